import type * as tf from '@tensorflow/tfjs-core';
import type {SymbolicTensor} from '@tensorflow/tfjs-layers';
import type {Layer} from '../../core/tfjs/internals.js';
import {withParts} from '../../core/tfjs/model-map.js';
import {offTape} from '../../core/tfjs/off-tape.js';
import {ancestors, isInput, siblings} from './symbols.js';

/** A value of the front, and the mask that goes with it. */
export interface FrontValue {
  value: tf.Tensor;
  mask: tf.Tensor | null;
}

interface Step {
  tensor: SymbolicTensor;
  outputs: SymbolicTensor[];
  /** Whether something in it, or before it, is trained. */
  onTape: boolean;
}

/**
 * The part of a model in front of some tensors, run layer by layer in inference mode, and off the tape but
 * for what follows a trained layer. Each value is disposed as soon as no layer needs it any more, and no
 * gradient, which tfjs-layers does outside of training only.
 */
export class Front {
  /** What the model is fed with here. */
  readonly inputs: SymbolicTensor[];
  private readonly steps: Step[] = [];
  /** How often each tensor is read. */
  private readonly reads = new Map<SymbolicTensor, number>();
  /** What gradients go through. */
  private readonly taped = new Set<SymbolicTensor>();
  /** What the layers read that gradients go through: a gradient may need it. */
  private readonly kept = new Set<SymbolicTensor>();

  /**
   * @param fetched What is wanted.
   * @param trained Layers that are trained.
   */
  constructor(
    private readonly fetched: readonly SymbolicTensor[],
    trained: ReadonlySet<Layer> = new Set(),
  ) {
    const all = ancestors(fetched);
    this.inputs = [...all].filter(isInput);
    const computed = new Set<SymbolicTensor>();
    for (const tensor of all) {
      if (isInput(tensor) || computed.has(tensor)) continue;
      const outputs = siblings(tensor);
      for (const output of outputs) computed.add(output);
      const onTape =
        tensor.inputs.some((input) => this.taped.has(input)) ||
        withParts(tensor.sourceLayer).some((part) => trained.has(part));
      if (onTape) for (const output of outputs) this.taped.add(output);
      this.steps.push({tensor, outputs, onTape});
      for (const input of tensor.inputs) this.count(input);
    }
    for (const tensor of fetched) this.count(tensor);
    for (const {tensor, onTape} of this.steps)
      if (onTape) for (const input of tensor.inputs) this.kept.add(input);
  }

  /** A layer that carries something from batch to batch, if there is one. */
  get stateful(): Layer | undefined {
    const layers = this.steps.map(({tensor}) => tensor.sourceLayer);
    return layers.find((layer) => withParts(layer).some((part) => part.stateful));
  }

  /** @param feeds In the order of `inputs`. The caller, or a tidy, disposes what it gives. */
  run(feeds: readonly tf.Tensor[]): FrontValue[] {
    const values = new Map<SymbolicTensor, FrontValue>(
      this.inputs.map((input, i) => [input, {value: feeds[i]!, mask: null}]),
    );
    const left = new Map(this.reads);
    for (const {tensor, outputs, onTape} of this.steps) {
      const {sourceLayer: layer, inputs} = tensor;
      const given = inputs.map((input) => values.get(input)!);
      const masks = given.map(({mask}) => mask);
      const kwargs = masks.some((mask) => mask != null)
        ? {training: false, mask: masks[0]}
        : {training: false};
      const tensors = given.map(({value}) => value);
      const run = () => layer.apply(tensors, kwargs);
      const results = [onTape ? run() : offTape(run)].flat() as tf.Tensor[];
      // As tfjs-layers has it: the first mask is that of all outputs.
      const masking = () => layer.computeMask(tensors, masks as tf.Tensor[]);
      const mask = layer.supportsMasking ? offTape(masking) : null;
      const own = [mask].flat()[0] ?? null;
      for (const [i, output] of outputs.entries()) {
        if (this.reads.has(output)) values.set(output, {value: results[i]!, mask: own});
        else if (!onTape) results[i]!.dispose();
      }
      for (const input of inputs) {
        const reads = left.get(input)! - 1;
        left.set(input, reads);
        if (reads === 0 && this.isOurs(input)) values.get(input)!.value.dispose();
      }
    }
    return this.fetched.map((tensor) => values.get(tensor)!);
  }

  /** Whether nobody needs a value but the layers that read it. */
  private isOurs(tensor: SymbolicTensor): boolean {
    return (
      !isInput(tensor) && !tensor.sourceLayer.stateful && !this.taped.has(tensor) && !this.kept.has(tensor)
    );
  }

  private count(tensor: SymbolicTensor): void {
    this.reads.set(tensor, (this.reads.get(tensor) ?? 0) + 1);
  }
}
