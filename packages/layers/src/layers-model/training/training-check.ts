import * as tf from '@tensorflow/tfjs-core';
import {NoGradientError} from '@tfjs-peft/kernels';
import {describeGap, type LayerGap} from '../../core/lifecycle/layer-gap.js';
import {type Container, inside} from '../../core/tfjs/internals.js';
import {gapsAmong, type Ran, traceStep} from './kernel-trace.js';
import type {Named} from './layer-gaps.js';

interface Weight {
  id: number;
  read(): tf.Tensor;
}

interface Trained {
  lossFunctions: unknown;
  collectedTrainableWeights: Weight[];
  weights: Weight[];
  makeTrainFunction(): (data: tf.Tensor[]) => tf.Tensor[];
}

/** What a trace depends on: the backend, the compiled losses and what is trained. */
function subjectOf({lossFunctions, collectedTrainableWeights}: Trained): unknown[] {
  return [tf.getBackend(), lossFunctions, ...collectedTrainableWeights.map(({id}) => id)];
}

const isSame = (a: readonly unknown[], b: readonly unknown[] | undefined): boolean =>
  a.length === b?.length && a.every((value, i) => value === b[i]);

/**
 * Checks gradients when a model begins to train: what is known beforehand, and the
 * kernels that the first step runs.
 */
export class TrainingCheck {
  private readonly models = new Set<Trained>();
  /** Models whose first step was found correct, with their state at the time. */
  private readonly right = new WeakMap<Trained, unknown[]>();
  private last: {model: Trained; ran: Ran[]; weights: number[]} | undefined;

  /** The gaps that the last traced step would have now; none once other variables are trained. */
  get gaps(): LayerGap[] {
    if (this.last === undefined) return [];
    const {model, ran, weights} = this.last;
    const ids = model.collectedTrainableWeights.map(({id}) => id);
    return isSame(ids, weights) ? gapsAmong(ran) : [];
  }

  /**
   * @param model What runs: of a Sequential, the model inside it.
   * @param gaps Asked before each `fit`, `fitDataset` and `trainOnBatch`.
   * @param layers Asked before a first step.
   */
  watch(model: Container, {gaps, layers}: {gaps(): LayerGap[]; layers(): readonly Named[]}): void {
    const running = inside<Trained>(model);
    if (this.models.has(running) || Object.hasOwn(running, 'makeTrainFunction')) return;
    const stock = running.makeTrainFunction;
    running.makeTrainFunction = () => {
      const known = gaps();
      if (known.length > 0) throw new NoGradientError(known.slice(0, 8).map(describeGap).join('\n'));
      const step = stock.call(running);
      return (data) => {
        const subject = subjectOf(running);
        if (isSame(subject, this.right.get(running))) return step(data);
        const done = this.first(running, () => step(data), layers());
        this.right.set(running, subject);
        return done;
      };
    };
    this.models.add(running);
  }

  private first<T>(model: Trained, step: () => T, layers: readonly Named[]): T {
    const trained = new Set(model.collectedTrainableWeights.map(({id}) => id));
    const untrained = model.weights
      .filter(({id}) => !trained.has(id))
      .map((weight) => weight.read() as tf.Variable);
    return traceStep(step, layers, untrained, (ran) => {
      this.last = {model, ran, weights: [...trained]};
    });
  }

  restore(): void {
    for (const model of this.models) delete (model as Partial<Trained>).makeTrainFunction;
    this.models.clear();
    this.last = undefined;
  }
}
