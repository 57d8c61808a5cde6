import * as tf from '@tensorflow/tfjs-core';
import {describe} from '../describe.js';
import {ConfigError, ShapeError} from '../errors.js';
import type {CombineAttrs} from '../kernel-attrs.js';
import type {KernelInputs} from '../kernel-map.js';
import {isRecording} from '../kernel-registry.js';
import {isPackedKernel, type PackedKernel} from '../packed/matrix.js';
import {
  ACTIVATIONS,
  type CombineInputs,
  gradientFrom,
  type Mix,
  SCALES,
  type Scale,
  type ScaleName,
} from '../types.js';
import './combine-gradient.js';
import {runPeftKernel} from './kernels.js';
import {packedMatMul} from './packed.js';
import {ACTIVATION_RANKS, checkSize, checkTensor, leadingSize, withLeading} from './shapes.js';
import {choosesSparse} from './sparse.js';

/**
 * The output of a site with an adapter, in one pass:
 *
 *     post ∘ act( alpha ∘ ((pre ∘ x) W + bias)  +  beta ∘ scale · mix(h, gates) B  +  offset )
 *
 * Every part but the base product is optional; a part that is left out costs nothing. Pass `z` if the base
 * product is already computed. Gradients are computed only for the inputs that need them; a frozen kernel
 * costs nothing. There is no second derivative.
 *
 * @returns [..., dOut], float32, with the leading axes of `x` or `z`.
 * @throws ShapeError if a rank, dtype or size does not fit; ConfigError if parts contradict each other.
 * @example
 * ```ts
 * import * as tf from '@tensorflow/tfjs-core';
 * import {combine} from '@tfjs-peft/kernels';
 *
 * // A Dense layer with LoRA: x W + 2 · (x A) B.
 * const x = tf.ones([2, 4]);
 * const h = tf.matMul(x, tf.ones([4, 1]));
 * const y = combine({x, kernel: tf.ones([4, 3]), h, b: tf.ones([1, 3]), scale: 2});
 * ```
 */
export function combine(inputs: CombineInputs): tf.Tensor {
  const {x, kernel, bias, z, h, b, gates, offset} = inputs;
  const mix = inputs.mix ?? 'none';
  const activation = inputs.activation ?? 'linear';
  const base = checkBase(inputs);
  const outputDim = x === undefined ? base.shape[base.rank - 1]! : kernel!.shape[1];
  const rows = leadingSize(base.shape);
  if (!ACTIVATIONS.includes(activation)) {
    throw new ConfigError(
      `combine: activation is ${describe(activation)}. Set it to one of: ${ACTIVATIONS.join(', ')}.`,
    );
  }
  checkVector('bias', bias, outputDim);
  checkVector('offset', offset, outputDim);
  checkTail(inputs, mix, rows, outputDim);
  if (kernel !== undefined && isPackedKernel(kernel)) return onPacked(inputs, x!, kernel);
  return tf.tidy(() => {
    const leading = base.shape.slice(0, -1);
    const named: KernelInputs<'PeftCombine', tf.Tensor> = {
      ...(x === undefined ? {z} : {x, kernel, bias}),
      h: withLeading(h, leading),
      b,
      gates: withLeading(gates, leading),
      offset,
    };
    for (const name of SCALES) {
      const scale = inputs[name];
      if (scale === undefined) continue;
      const width = name === 'pre' ? x!.shape[x!.rank - 1]! : outputDim;
      Object.assign(named, scaleInputs(name, scale, leading, width));
    }
    const heads = headsOf(inputs);
    const recording = isRecording();
    const saveU =
      recording &&
      (inputs.post !== undefined || (activation !== 'linear' && gradientFrom(activation) === 'input'));
    const attrs: CombineAttrs = {
      scale: inputs.scale ?? 1,
      mix,
      ...(heads && {heads}),
      sparse: takesSparse(inputs, mix, rows, outputDim),
      activation,
      saveZ: recording && inputs.alpha !== undefined && z === undefined,
      saveU,
    };
    const saveY = recording && !saveU && activation !== 'linear';
    return runPeftKernel('PeftCombine', named, attrs, {leading, saveY})[0]!;
  });
}

/** The base product is the packed matrix's own; the rest goes over it as over any z. */
function onPacked({pre, bias, ...inputs}: CombineInputs, x: tf.Tensor, kernel: PackedKernel): tf.Tensor {
  return tf.tidy(() => {
    // As the scale of an output it would be called by that name if it did not fit.
    if (pre !== undefined) scaleInputs('pre', pre, x.shape.slice(0, -1), x.shape[x.rank - 1]!);
    const scaled = pre === undefined ? x : combine({z: x, post: pre});
    const {x: _x, kernel: _kernel, ...parts} = inputs;
    return combine({...parts, z: packedMatMul(scaled, kernel, {bias})});
  });
}

function checkBase({x, kernel, bias, z, pre}: CombineInputs): tf.Tensor {
  if ((x === undefined) === (z === undefined)) {
    throw new ConfigError('combine: pass either x and kernel, or z, and not both.');
  }
  if (z !== undefined) {
    if (kernel !== undefined || bias !== undefined || pre !== undefined) {
      throw new ConfigError('combine: kernel, bias and pre belong to x; with z, fold them into z.');
    }
    checkTensor('combine', 'z', z, ACTIVATION_RANKS);
    return z;
  }
  if (kernel === undefined) throw new ConfigError('combine: x needs its kernel. Pass kernel.');
  checkTensor('combine', 'x', x!, ACTIVATION_RANKS);
  if (!isPackedKernel(kernel)) checkTensor('combine', 'kernel', kernel, [2]);
  checkSize('combine', "kernel's first axis", kernel.shape[0], x!.shape[x!.rank - 1]!, `x [${x!.shape}]`);
  return x!;
}

function checkVector(name: string, vector: tf.Tensor | undefined, size: number): void {
  if (vector === undefined) return;
  checkTensor('combine', name, vector, [1]);
  checkSize('combine', `the size of ${name}`, vector.shape[0]!, size, 'the output');
}

function checkRows(name: string, tensor: tf.Tensor, rows: number): void {
  checkTensor('combine', name, tensor, ACTIVATION_RANKS);
  checkSize(
    'combine',
    `the number of rows of ${name} [${tensor.shape}]`,
    leadingSize(tensor.shape),
    rows,
    'the base product',
  );
}

function checkTail({h, b, gates, beta}: CombineInputs, mix: Mix, rows: number, outputDim: number): void {
  if ((h === undefined) !== (b === undefined)) {
    throw new ConfigError('combine: h and b are the two factors of the low-rank tail: pass both or neither.');
  }
  if (h === undefined || b === undefined) {
    if (gates !== undefined || beta !== undefined || mix !== 'none') {
      throw new ConfigError('combine: gates, beta and mix belong to the low-rank tail, which needs h and b.');
    }
    return;
  }
  checkRows('h', h, rows);
  checkTensor('combine', 'b', b, [2]);
  checkSize('combine', "b's second axis", b.shape[1], outputDim, 'the output');
  const width = h.shape[h.rank - 1]!;
  if (mix === 'none') {
    if (gates !== undefined)
      throw new ConfigError("combine: gates need a mix. Set mix: 'expert' or 'dense'.");
    checkSize('combine', "b's first axis", b.shape[0], width, `h [${h.shape}]`);
    return;
  }
  if (gates === undefined) throw new ConfigError(`combine: mix '${mix}' needs gates. Pass gates.`);
  checkRows('gates', gates, rows);
  const count = gates.shape[gates.rank - 1]!;
  if (mix === 'dense') {
    checkSize(
      'combine',
      "gates' last axis",
      count,
      width * b.shape[0],
      `mix 'dense' of h [${h.shape}] with b [${b.shape}]`,
    );
    return;
  }
  if (mix !== 'expert')
    throw new ConfigError(`combine: mix is ${describe(mix)}. Set it to 'none', 'expert' or 'dense'.`);
  checkSize('combine', "b's first axis", b.shape[0], width, `h [${h.shape}]`);
  if (count === 0 || width % count !== 0) {
    throw new ShapeError(
      `combine: h [${h.shape}] holds the experts' ranks side by side, so its last axis must be a multiple ` +
        `of the ${count} gates of [${gates.shape}].`,
    );
  }
}

function takesSparse(
  {h, gates, topK, sparse}: CombineInputs,
  mix: Mix,
  rows: number,
  width: number,
): boolean {
  if (mix !== 'expert') {
    if (topK !== undefined)
      throw new ConfigError(`combine: topK is ${topK}, but is only for mix 'expert'. Leave it out.`);
    return false;
  }
  return choosesSparse('combine', {topK, sparse}, {rows, width, all: h!.shape[h!.rank - 1]!, gates: gates!});
}

function scaleInputs(
  name: ScaleName,
  scale: Scale,
  leading: number[],
  width: number,
): Record<string, tf.Tensor> {
  if (!('gates' in scale)) {
    checkVector(name, scale, width);
    return {[name]: scale};
  }
  const {gates, table, heads} = scale;
  checkTensor('combine', `${name}.gates`, gates, ACTIVATION_RANKS);
  const byRow = heads === undefined ? gates.shape : gates.shape.slice(0, -1);
  const rows = tf.util.sizeFromShape(leading);
  if (heads !== undefined) checkHeads(name, heads, gates, width);
  checkSize(
    'combine',
    `the number of rows of ${name}.gates [${gates.shape}]`,
    leadingSize(byRow),
    rows,
    'the base product',
  );
  checkTensor('combine', `${name}.table`, table, [2]);
  const experts = gates.shape[gates.rank - 1]!;
  checkSize('combine', `${name}.table's first axis`, table.shape[0], experts, `the gates [${gates.shape}]`);
  checkSize(
    'combine',
    `${name}.table's second axis`,
    table.shape[1],
    width,
    name === 'pre' ? 'the input' : 'the output',
  );
  const same = tf.util.arraysEqual(gates.shape.slice(0, leading.length), leading);
  const flat = same ? gates : tf.reshape(gates, [rows, (heads ?? 1) * experts]);
  return {[`${name}Gates`]: flat, [`${name}Table`]: table};
}

function checkHeads(name: ScaleName, heads: number, gates: tf.Tensor, width: number): void {
  if (!Number.isInteger(heads) || heads < 1 || width % heads !== 0) {
    throw new ConfigError(
      `combine: ${name}.heads is ${heads}, but must be a whole number that divides the ${width} columns it ` +
        'scales.',
    );
  }
  if (gates.rank < 3 || gates.shape[gates.rank - 2] !== heads) {
    throw new ShapeError(
      `combine: ${name}.gates has shape [${gates.shape}], but with heads ${heads} must be [..., ${heads}, ` +
        'E]. Reshape it.',
    );
  }
}

/** The heads of the scales that have more than one. */
function headsOf(inputs: CombineInputs): CombineAttrs['heads'] {
  const found = SCALES.flatMap((name) => {
    const scale = inputs[name];
    const heads = scale !== undefined && 'gates' in scale ? scale.heads : undefined;
    return heads === undefined || heads === 1 ? [] : [[name, heads] as const];
  });
  return found.length === 0 ? undefined : Object.fromEntries(found);
}
