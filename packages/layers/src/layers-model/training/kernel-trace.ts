import * as tf from '@tensorflow/tfjs-core';
import {NoGradientError} from '@tfjs-peft/kernels';
import {describeGap, type LayerGap} from '../../core/lifecycle/layer-gap.js';
import {
  type Flow,
  faultOf,
  flowOfKernel,
  isBackward,
  WASM_TRAINING,
} from '../../core/tfjs/gradient-faults.js';
import type {Named} from './layer-gaps.js';

interface TapeNode {
  kernelName: string;
  inputs: Record<string, tf.Tensor>;
  outputs: tf.Tensor[];
  saved: tf.Tensor[];
  gradient?: (dys: tf.Tensor[]) => unknown;
}

interface Engine {
  state: {activeTape: TapeNode[]};
  addTapeNode(
    kernel: string,
    inputs: unknown,
    outputs: unknown,
    gradient: unknown,
    saved: unknown,
    attrs?: Record<string, unknown>,
  ): void;
  gradients(f: () => tf.Tensor, xs: tf.Tensor[], ...rest: unknown[]): unknown;
}

/**
 * A kernel that a step ran between what is trained and the loss, and the layer that
 * ran it; none where it was the loss.
 */
export interface Ran {
  by: Named | undefined;
  flow: Flow;
}

/** The gaps among the kernels that a step ran, as things are now. */
export function gapsAmong(ran: readonly Ran[]): LayerGap[] {
  const gaps = ran.flatMap(({by: named, flow}): [string, LayerGap][] => {
    const fault = faultOf(flow);
    if (fault === undefined) return [];
    const layer = named?.path ?? null;
    return [[`${layer} ${fault.kernel}`, {layer, className: named?.layer.getClassName() ?? null, ...fault}]];
  });
  return [...new Map(gaps).values()];
}

/** Makes the calls of layers report which layer is running; `restore` undoes this. */
function followCalls(layers: readonly Named[]): {running: Named[]; restore(): void} {
  const running: Named[] = [];
  const restores = layers.map((named) => {
    const {layer} = named;
    const isOwn = Object.hasOwn(layer, 'call');
    const call = layer.call;
    layer.call = (...args) => {
      running.push(named);
      try {
        return call.apply(layer, args);
      } finally {
        running.pop();
      }
    };
    return () => {
      if (isOwn) layer.call = call;
      else delete (layer as {call?: unknown}).call;
    };
  });
  return {
    running,
    restore: () => {
      for (const restore of restores.reverse()) restore();
    },
  };
}

/** For each node of a tape between some tensors and a result: which of its inputs depend on these tensors. */
function between(tape: readonly TapeNode[], from: readonly tf.Tensor[], to: tf.Tensor) {
  const following = new Set(from.map(({id}) => id));
  const carrying = new Map<TapeNode, boolean[]>();
  for (const node of tape) {
    const carries = Object.values(node.inputs).map((input) => input != null && following.has(input.id));
    if (!carries.includes(true)) continue;
    carrying.set(node, carries);
    for (const {id} of node.outputs) following.add(id);
  }
  const leading = new Set([to.id]);
  for (const node of [...tape].reverse()) {
    if (!node.outputs.some(({id}) => leading.has(id))) carrying.delete(node);
    else for (const input of Object.values(node.inputs)) if (input != null) leading.add(input.id);
  }
  return carrying;
}

/**
 * Runs a training step and looks at the kernels that its forward ran, before any gradient is taken.
 *
 * @param onTrace Gets the kernels between what is trained and the loss.
 * @param untrained Variables that a forward may change; where the step is refused they are as before.
 * @throws NoGradientError that names the layers through which no right gradient flows.
 */
export function traceStep<T>(
  step: () => T,
  layers: readonly Named[],
  untrained: readonly tf.Variable[],
  onTrace: (ran: Ran[]) => void,
): T {
  // Its types declare the tape private.
  const engine = tf.engine() as unknown as Engine;
  const calls = followCalls(layers);
  const before = untrained.map((variable) => tf.keep(tf.clone(variable)));
  const {addTapeNode, gradients} = engine;
  const notes = new Map<TapeNode, {by: Named | undefined; attrs: Record<string, unknown>}>();
  let backward: TapeNode | undefined;
  engine.addTapeNode = function (kernel, inputs, outputs, gradient, saved, attrs) {
    addTapeNode.call(this, kernel, inputs, outputs, gradient, saved, attrs);
    notes.set(this.state.activeTape.at(-1)!, {by: calls.running.at(-1), attrs: attrs ?? {}});
  };
  engine.gradients = function (f, xs, ...rest) {
    engine.gradients = gradients;
    const checked = (): tf.Tensor => {
      const y = f();
      const tape = this.state.activeTape;
      const ran = [...between(tape, xs, y)].map(([node, carries]): Ran => {
        const {by, attrs} = notes.get(node) ?? {by: undefined, attrs: {}};
        const shapes = Object.values(node.inputs).map((input) => input?.shape ?? []);
        const {kernelName, outputs} = node;
        return {
          by,
          flow: flowOfKernel(kernelName, attrs, shapes, outputs.length, (i) => carries[i] ?? false),
        };
      });
      onTrace(ran);
      const gaps = gapsAmong(ran);
      if (gaps.length > 0) {
        for (const {saved} of tape) tf.dispose(saved);
        untrained.forEach((variable, i) => {
          if (variable.dataId !== before[i]!.dataId) variable.assign(before[i]!);
        });
        throw new NoGradientError(gaps.slice(0, 8).map(describeGap).join('\n'));
      }
      for (const node of tape) {
        const {gradient} = node;
        if (gradient === undefined) continue;
        node.gradient = (dys) => {
          backward = node;
          return gradient(dys);
        };
      }
      return y;
    };
    return gradients.call(this, checked, xs, ...rest);
  };
  try {
    return step();
  } catch (error) {
    throw backward === undefined ? error : explain(error, backward.kernelName, notes.get(backward)?.by);
  } finally {
    engine.addTapeNode = addTapeNode;
    engine.gradients = gradients;
    calls.restore();
    tf.dispose(before);
  }
}

/** The error of tfjs about a gradient that it cannot take, with the layer added. */
function explain(error: unknown, kernel: string, by: Named | undefined): unknown {
  const message = (error as Error)?.message ?? '';
  if (!/gradient|backprop|kernel '/i.test(message)) return error;
  const where = by === undefined ? 'the loss' : `layer '${by.path}' (${by.layer.getClassName()})`;
  // Ops that tfjs composes are recorded under names such as fusedConv2d__op.
  const what = kernel.replace(/__op$/, '');
  const missing = /Kernel '(\w+)' not registered/.exec(message)?.[1];
  const advice =
    missing !== undefined && isBackward(missing)
      ? `Import '${WASM_TRAINING}', which has that kernel.`
      : 'Adapt no layer before it, or register a gradient with tf.registerGradient.';
  return new NoGradientError(
    `The gradient of ${what}, run by ${where}, fails on ${tf.getBackend()}: ` +
      `${message.replace(/\.?\s*$/, '.')} ${advice}`,
    {cause: error},
  );
}
