import * as tf from '@tensorflow/tfjs-core';
import type * as tfl from '@tensorflow/tfjs-layers';
import type {ContextStore} from '../../core/lifecycle/context.js';
import type {Container} from '../../core/tfjs/internals.js';

type Step = (batch: tf.Tensor[]) => tf.Tensor[];

/** The loops over batches of a LayersModel, which are private to tfjs-layers. */
interface Loops {
  predictLoop(inputs: tf.Tensor | tf.Tensor[], batchSize?: number): tf.Tensor | tf.Tensor[];
  testLoop(step: Step, data: tf.Tensor[], batchSize?: number, ...rest: unknown[]): tf.Tensor[];
  fitLoop(step: Step, data: tf.Tensor[], ...rest: unknown[]): Promise<tfl.History>;
}

const NAMES = ['predictLoop', 'testLoop', 'fitLoop'] as const;
const DEFAULT_BATCH = 32;

/**
 * Gives every batch that `predict`, `evaluate` and `fit` cut from a call's samples its own rows of a context
 * that has a row for each of them, in the order in which the batch has them.
 */
export class BatchFollower {
  private readonly models = new Set<Container>();
  private readonly undo: (() => void)[] = [];

  constructor(private readonly context: ContextStore) {}

  /** @param model A container; one that is no LayersModel has no loops. */
  follow(model: Container): void {
    if (this.models.has(model)) return;
    this.models.add(model);
    const loops: unknown = model;
    if ('model' in model) this.undo.push(this.followInner(loops as {model: Loops | null}));
    else if ('fitLoop' in model) this.undo.push(this.followLoops(loops as Loops));
  }

  /** A Sequential runs a model inside it, which is replaced whenever the Sequential is built or compiled. */
  private followInner(sequential: {model: Loops | null}): () => void {
    let {model} = sequential;
    const followed = (inner: Loops | null) => (inner === null ? () => {} : this.followLoops(inner));
    let undo = followed(model);
    const set = (inner: Loops | null) => {
      undo();
      model = inner;
      undo = followed(inner);
    };
    const shown = {enumerable: true, configurable: true};
    Object.defineProperty(sequential, 'model', {get: () => model, set, ...shown});
    return () => {
      undo();
      Object.defineProperty(sequential, 'model', {value: model, writable: true, ...shown});
    };
  }

  private followLoops(loops: Loops): () => void {
    const own = NAMES.map((name) => [name, Object.getOwnPropertyDescriptor(loops, name)] as const);
    const undo = () => {
      for (const [name, descriptor] of own) {
        if (descriptor === undefined) delete (loops as Partial<Loops>)[name];
        else Object.defineProperty(loops, name, descriptor);
      }
    };
    const {context} = this;
    const stock = {
      predictLoop: loops.predictLoop,
      testLoop: loops.testLoop,
      fitLoop: loops.fitLoop,
    };
    /**
     * Where the samples of validation begin in the context: after those of training, if `fit` has split them.
     */
    let validationFrom: number | undefined;

    loops.predictLoop = (inputs, batchSize = DEFAULT_BATCH) => {
      const samples = countOf(inputs);
      if (samples <= batchSize || !context.hasRows(samples))
        return stock.predictLoop.call(loops, inputs, batchSize);
      return tf.tidy(() => {
        const parts: tf.Tensor[][] = [];
        for (let start = 0; start < samples; start += batchSize) {
          const size = Math.min(batchSize, samples - start);
          const batch = [inputs].flat().map((x) => tf.slice(x, start, size));
          const outputs = context.withRows(tf.range(start, start + size, 1, 'int32'), () =>
            stock.predictLoop.call(loops, batch, size),
          );
          parts.push([outputs].flat());
        }
        const joined = parts[0]!.map((_, i) =>
          tf.concat(
            parts.map((outputs) => outputs[i]!),
            0,
          ),
        );
        return joined.length === 1 ? joined[0]! : joined;
      });
    };

    loops.testLoop = (step, data, ...rest) => {
      const from = validationFrom ?? 0;
      const samples = countOf(data);
      if (!context.hasRows(from + samples)) return stock.testLoop.call(loops, step, data, ...rest);
      return tf.tidy(() =>
        stock.testLoop.call(
          loops,
          withRows(context, step),
          [...data, tf.range(from, from + samples, 1, 'int32')],
          ...rest,
        ),
      );
    };

    loops.fitLoop = async (step, data, ...rest) => {
      const samples = countOf(data);
      const validation = rest[6] as tf.Tensor[] | undefined;
      const split = validation?.length ? samples + countOf(validation) : samples;
      const total = context.hasRows(split) ? split : samples;
      if (!context.hasRows(total)) return stock.fitLoop.call(loops, step, data, ...rest);
      const places = tf.range(0, samples, 1, 'int32');
      validationFrom = samples;
      try {
        return await stock.fitLoop.call(loops, withRows(context, step), [...data, places], ...rest);
      } finally {
        validationFrom = undefined;
        places.dispose();
      }
    };
    return undo;
  }

  restore(): void {
    for (const undo of this.undo.reverse()) undo();
    this.undo.length = 0;
    this.models.clear();
  }
}

/** A step that takes the places of its batch's samples as the last tensor. */
function withRows(context: ContextStore, step: Step): Step {
  return (batch) => {
    const places = batch.at(-1)!;
    return context.withRows(places, () => step(batch.slice(0, -1)));
  };
}

function countOf(data: tf.Tensor | tf.Tensor[]): number {
  return [data].flat()[0]?.shape[0] ?? 0;
}
