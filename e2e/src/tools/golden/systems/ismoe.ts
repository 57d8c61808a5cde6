import * as tf from '@tensorflow/tfjs-core';
import {Ismoe, type IsmoeConfig} from '@tfjs-peft/layers/side';
import {type Deviations, deviation, Worst} from '../compare.js';
import {type Golden, type GoldenCase, NotExpressible, tensorOf} from '../format.js';
import {tensorFrom} from './expert-weights.js';

type Tensors = Map<string, Golden>;

/** As much of a case's config as its mixture is made of. */
export interface MixtureData {
  dSide: number;
  dBackbone: number;
  dHidden: number;
  experts: number;
  k: number;
  norm: IsmoeConfig['norm'] | null;
  gate: IsmoeConfig['gates'];
  activation: IsmoeConfig['activation'];
  interaction: boolean;
}

export function mixtureConfig({config}: GoldenCase, routerBias: boolean): IsmoeConfig {
  const {experts, k, norm, gate, activation, interaction} = config as unknown as MixtureData;
  if (norm !== null && !['softmax', 'l2', 'layernorm'].includes(norm!))
    throw new NotExpressible(`norm ${norm}`);
  return {
    experts,
    topK: k,
    ...(norm !== null && {norm: norm!}),
    gates: gate!,
    activation: activation!,
    interaction,
    routerBias,
  };
}

/** What the data call the weights of a mixture, and what the layer does. */
export const MIXTURE_NAMES: Record<string, string> = {
  'gate.w': 'router',
  'gate.b': 'router_bias',
  r: 'interaction',
  'e.w1': 'w1',
  'e.b1': 'b1',
  'e.w2': 'w2',
  'e.b2': 'b2',
};

/** The data keep experts one after the other; the layers side by side. */
export function sideBySide(name: string, golden: Golden): Golden {
  const [experts, rows, columns] = golden.shape as [number, number, number];
  const {data} = golden;
  if (name.endsWith('e.b1')) return {shape: [data.length], data};
  if (name.endsWith('e.w2')) return {shape: [experts * rows, columns], data};
  if (!name.endsWith('e.w1')) return golden;
  const wide = new Float32Array(data.length);
  for (let e = 0; e < experts; e++)
    for (let row = 0; row < rows; row++) {
      const run = data.subarray((e * rows + row) * columns, (e * rows + row + 1) * columns);
      wide.set(run, (row * experts + e) * columns);
    }
  return {shape: [rows, experts * columns], data: wide};
}

/** The variables of a case, by the names that the data give them behind `in.` and `param.`. */
export class CaseVariables {
  private readonly variables = new Map<string, tf.Variable>();

  constructor(private readonly tensors: Tensors) {
    for (const [name, golden] of tensors) {
      const given = /^(in|param)\.(.+)$/.exec(name);
      if (given === null) continue;
      const {shape, data} = sideBySide(name, golden);
      const value = tensorFrom({shape, data: Float32Array.from(data)});
      this.variables.set(name, tf.variable(value));
      value.dispose();
    }
  }

  /** @throws Error if the data have none of that name, or one of another shape. */
  of(name: string, shape?: readonly number[]): tf.Variable {
    const variable = this.variables.get(name);
    if (variable === undefined) throw new Error(`the case has no tensor ${name}`);
    if (shape !== undefined && !tf.util.arraysEqual(variable.shape, [...shape]))
      throw new Error(`${name} is [${variable.shape}], but the layer has [${shape}]`);
    return variable;
  }

  has(name: string): boolean {
    return this.variables.has(name);
  }

  /** Compares the gradients that the data have. */
  async gradients(run: () => tf.Tensor): Promise<Worst> {
    const worst = new Worst();
    const wanted = [...this.tensors].filter(([name]) => name.startsWith('grad.'));
    const by = wanted.map(([name]) => this.of(name.slice('grad.'.length)));
    const cotangent = tensorFrom(tensorOf(this.tensors, 'cot.y'));
    const {value, grads} = tf.variableGrads(() => tf.sum(tf.mul(run(), cotangent)) as tf.Scalar, by);
    for (const [i, [name, golden]] of wanted.entries()) {
      const got = grads[by[i]!.name];
      const want = sideBySide(name, golden);
      const values = got === undefined ? new Float32Array(want.data.length) : await got.data();
      worst.add(name, deviation(name, values, want));
    }
    tf.dispose([value, grads, cotangent]);
    return worst;
  }

  dispose(): void {
    tf.dispose([...this.variables.values()]);
  }
}

/** A mixture of experts with a say of the backbone: gates, output and all gradients. */
export async function runIsmoe(golden: GoldenCase, tensors: Tensors): Promise<Deviations> {
  const {dSide, dBackbone, dHidden} = golden.config as unknown as MixtureData;
  const variables = new CaseVariables(tensors);
  try {
    const layer = new Ismoe(mixtureConfig(golden, variables.has('param.gate.b')));
    const names = new Map(Object.entries(MIXTURE_NAMES).map(([theirs, ours]) => [ours, theirs]));
    layer.build({width: dSide, hidden: dHidden, salient: dBackbone}, (name, shape) => {
      const variable = variables.of(`param.${names.get(name)}`, shape);
      return {read: () => variable};
    });
    const x = variables.of('in.x');
    const h = variables.has('in.h') ? variables.of('in.h') : x;
    const forward = new Worst();
    const [gates, y] = [layer.gates(x, h), layer.apply(x, h)];
    const values = await gates.data();
    forward.add('out.gates', deviation('out.gates', values, tensorOf(tensors, 'out.gates')));
    forward.add('out.y', deviation('out.y', await y.data(), tensorOf(tensors, 'out.y')));
    const chosen = tensorOf(tensors, 'aux.selected').data;
    const other = chosen.findIndex((selected, at) => (selected !== 0) !== (values[at] !== 0));
    if (other >= 0) throw new Error(`gate ${other} is ${values[other]}, but selected is ${chosen[other]}`);
    tf.dispose([gates, y]);
    return {forward, grad: await variables.gradients(() => layer.apply(x, h))};
  } finally {
    variables.dispose();
  }
}
