import type * as tf from '@tensorflow/tfjs-core';
import type {SymbolicTensor} from '@tensorflow/tfjs-layers';
import {ancestors, isInput, siblings} from './symbols.js';

/** A value of the front, and the mask that goes with it. */
export interface FrontValue {
  value: tf.Tensor;
  mask: tf.Tensor | null;
}

interface Step {
  tensor: SymbolicTensor;
  outputs: SymbolicTensor[];
}

/**
 * The part of a model in front of some tensors, run layer by layer in inference mode. Each value is disposed
 * as soon as no layer needs it any more, which tfjs-layers does outside of training only.
 */
export class Front {
  /** What the model is fed with here. */
  readonly inputs: SymbolicTensor[];
  private readonly steps: Step[] = [];
  /** How often each tensor is read. */
  private readonly reads = new Map<SymbolicTensor, number>();

  /** @param fetched What is wanted. */
  constructor(private readonly fetched: readonly SymbolicTensor[]) {
    const all = ancestors(fetched);
    this.inputs = [...all].filter(isInput);
    const computed = new Set<SymbolicTensor>();
    for (const tensor of all) {
      if (isInput(tensor) || computed.has(tensor)) continue;
      const outputs = siblings(tensor);
      for (const output of outputs) computed.add(output);
      this.steps.push({tensor, outputs});
      for (const input of tensor.inputs) this.count(input);
    }
    for (const tensor of fetched) this.count(tensor);
  }

  /** @param feeds In the order of `inputs`. The caller, or a tidy, disposes what it gives. */
  run(feeds: readonly tf.Tensor[]): FrontValue[] {
    const values = new Map<SymbolicTensor, FrontValue>(
      this.inputs.map((input, i) => [input, {value: feeds[i]!, mask: null}]),
    );
    const left = new Map(this.reads);
    for (const {tensor, outputs} of this.steps) {
      const {sourceLayer: layer, inputs} = tensor;
      const given = inputs.map((input) => values.get(input)!);
      const masks = given.map(({mask}) => mask);
      const kwargs = masks.some((mask) => mask != null)
        ? {training: false, mask: masks[0]}
        : {training: false};
      const tensors = given.map(({value}) => value);
      const results = [layer.apply(tensors, kwargs)].flat() as tf.Tensor[];
      // As tfjs-layers has it: the first mask is that of all outputs.
      const mask = layer.supportsMasking ? layer.computeMask(tensors, masks as tf.Tensor[]) : null;
      const own = [mask].flat()[0] ?? null;
      for (const [i, output] of outputs.entries()) {
        if (this.reads.has(output)) values.set(output, {value: results[i]!, mask: own});
        else results[i]!.dispose();
      }
      for (const input of inputs) {
        const reads = left.get(input)! - 1;
        left.set(input, reads);
        if (reads === 0 && !isInput(input) && !input.sourceLayer.stateful) values.get(input)!.value.dispose();
      }
    }
    return this.fetched.map((tensor) => values.get(tensor)!);
  }

  private count(tensor: SymbolicTensor): void {
    this.reads.set(tensor, (this.reads.get(tensor) ?? 0) + 1);
  }
}
