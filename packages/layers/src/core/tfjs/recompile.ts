import * as tf from '@tensorflow/tfjs-core';
import type * as tfl from '@tensorflow/tfjs-layers';
import {ConfigError, shared} from '@tfjs-peft/kernels';
import {type Container, inside} from './internals.js';

interface Compiled {
  optimizer: tf.Optimizer;
  /** Whether the model disposes the optimizer with itself. */
  owned: boolean;
  /** What the model trained then. */
  trained: readonly unknown[];
}

interface Change {
  model: Container;
  optimizer: tf.Optimizer;
  /** What the model trains before it. */
  trained: readonly unknown[];
}

/** Compilations that were prepared and wait for the model to change. */
export interface Preparation {
  /** Compiles the models whose trainable weights have changed. */
  commit(): void;
  /** Drops what was prepared. */
  abandon(): void;
}

/** Optimizers that this package made, so that it disposes them and never a user's. */
const made = shared('layers.optimizers', () => new WeakSet<tf.Optimizer>());

/**
 * Compiles models again when their trainable weights change. `compile` takes a snapshot of the trainable
 * weights, and optimizers keep their moments by position in it, so neither the snapshot nor the optimizer may
 * stay: the model gets a fresh optimizer of the same class and settings, with its own loss and metrics. When
 * the upgrade ends, the optimizer that it began with comes back.
 */
export class Recompiler {
  private readonly originals = new Map<Container, Compiled>();

  /**
   * Makes the optimizers that are going to be needed, and changes nothing.
   *
   * @param ending Whether the models go back to the state before the upgrade.
   * @throws ConfigError if an optimizer cannot be made again.
   */
  prepare(models: readonly Container[], ending = false): Preparation {
    const changes: Change[] = [];
    const abandon = () => {
      for (const {optimizer} of changes) if (made.has(optimizer)) disposeOptimizer(optimizer);
      changes.length = 0;
    };
    try {
      for (const model of models) {
        const current = optimizerOf(model);
        if (current == null) continue;
        const original = ending ? this.originals.get(model)?.optimizer : undefined;
        const returns = original !== undefined && (made.has(current) || alike(current, original));
        const trained = inside<tfl.LayersModel>(model).trainableWeights;
        changes.push({model, optimizer: returns ? original : renew(current, model), trained});
      }
    } catch (error) {
      abandon();
      throw error;
    }
    return {
      abandon,
      commit: () => {
        for (const change of changes) this.compile(change, ending);
      },
    };
  }

  /**
   * Disposes the optimizers that wait for the end of the upgrade, and those of this class: the
   * models are about to be disposed.
   */
  release(): void {
    for (const [model, {optimizer, owned}] of this.originals) {
      const current = optimizerOf(model)!;
      if (owned && optimizer !== current) disposeOptimizer(optimizer);
      if (!made.has(current)) continue;
      disposeOptimizer(current);
      for (const part of [model, running(model)]) part.isOptimizerOwned = false;
    }
    this.originals.clear();
  }

  /** Whether a model is compiled to train some of these weights. */
  trains(models: readonly Container[], weights: ReadonlySet<unknown>): boolean {
    return models.some((model) =>
      running(model).collectedTrainableWeights?.some((weight) => weights.has(weight)),
    );
  }

  private compile({model, optimizer, trained}: Change, ending: boolean): void {
    const {collectedTrainableWeights: collected, loss, metrics, isOptimizerOwned} = running(model);
    const current = optimizerOf(model)!;
    const original = this.originals.get(model);
    const returns = optimizer === original?.optimizer;
    if (returns && !sameList(original!.trained, model.trainableWeights)) {
      // Weights were quantised, or plain again, meanwhile: its moments are of another list.
      this.originals.delete(model);
      this.compile({model, optimizer: renew(optimizer, model), trained}, ending);
      if (original!.owned) disposeOptimizer(optimizer);
      return;
    }
    if (!returns && sameList(collected ?? [], model.trainableWeights)) {
      disposeOptimizer(optimizer);
      return;
    }
    // An optimizer that was set after the upgrade began is not restored when the upgrade ends.
    if (original === undefined && !ending)
      this.originals.set(model, {
        optimizer: current,
        owned: isOptimizerOwned ?? false,
        trained,
      });
    inside<tfl.LayersModel>(model).compile({optimizer, loss, metrics});
    for (const part of [model, running(model)]) part.isOptimizerOwned = returns ? original!.owned : true;
    const kept = this.originals.get(model)?.optimizer;
    if (current !== optimizer && current !== kept && (made.has(current) || isOptimizerOwned))
      disposeOptimizer(current);
  }
}

/** Whether `fit` of a model runs. */
export function isInTraining(model: Container): boolean {
  return running(model).isTraining === true;
}

/** @throws ConfigError if a model is being trained. */
export function checkIdle(models: readonly Container[]): void {
  const busy = models.find(isInTraining);
  if (busy !== undefined) {
    throw new ConfigError(`Model '${busy.name}' is being trained. Wait for fit to end, or stop it.`);
  }
}

type Running = Container & {loss: tfl.ModelCompileArgs['loss']; metrics: tfl.ModelCompileArgs['metrics']};

/** What holds the state of compilation: for a Sequential, the model inside it. */
function running(model: Container): Running {
  return inside(model.model ?? model);
}

function optimizerOf(model: Container): tf.Optimizer | undefined {
  return inside<tfl.LayersModel>(model).optimizer;
}

/** tfjs's MomentumOptimizer forgets to dispose the learning rate's tensor, which it has from SGD. */
export function disposeOptimizer(optimizer: tf.Optimizer): void {
  optimizer.dispose();
  for (const tensor of tensorsOf(optimizer)) tensor.dispose();
}

function tensorsOf(optimizer: tf.Optimizer): tf.Tensor[] {
  return Object.values(optimizer).filter((value): value is tf.Tensor => value instanceof tf.Tensor);
}

function sameList(left: readonly unknown[], right: readonly unknown[]): boolean {
  return left.length === right.length && left.every((item, i) => item === right[i]);
}

function alike(left: tf.Optimizer, right: tf.Optimizer): boolean {
  return (
    left.constructor === right.constructor &&
    JSON.stringify(left.getConfig()) === JSON.stringify(right.getConfig())
  );
}

type OptimizerClass = tf.serialization.SerializableConstructor<tf.Optimizer>;

/**
 * An optimizer of the same class and settings, without the other's moments.
 *
 * @throws ConfigError if its class has no working `getConfig` and `fromConfig`.
 */
export function renew(optimizer: tf.Optimizer, model: {readonly name: string}): tf.Optimizer {
  try {
    // TypeScript types a constructor only as a Function.
    const type = optimizer.constructor as unknown as OptimizerClass;
    const fresh = type.fromConfig(type, optimizer.getConfig());
    if (!alike(fresh, optimizer)) throw new Error(`fromConfig gave ${JSON.stringify(fresh.getConfig())}`);
    // It has to outlive a tidy in which it may be made.
    for (const tensor of tensorsOf(fresh)) tf.keep(tensor);
    made.add(fresh);
    return fresh;
  } catch (cause) {
    throw new ConfigError(
      `Model '${model.name}' is compiled with ${optimizer.constructor.name}, which cannot be copied for ` +
        'the new set of ' +
        'trainable weights: its getConfig or fromConfig does not work. Upgrade the model before compile.',
      {cause},
    );
  }
}
