import type * as tfl from '@tensorflow/tfjs-layers';
import type {ContextStore} from '../../core/lifecycle/context.js';
import type {LayerGap} from '../../core/lifecycle/layer-gap.js';
import {repairTotals} from '../../core/tfjs/evaluate-totals.js';
import {FusedLayerNorms} from '../../core/tfjs/fused-layer-norms.js';
import {asContainer, type Container, isContainer, type Layer} from '../../core/tfjs/internals.js';
import {type LocatedLayer, mapModel, withParts} from '../../core/tfjs/model-map.js';
import {modelsSharing} from '../surgery/known-models.js';
import {RnnArguments} from '../surgery/rnn-arguments.js';
import {BatchFollower} from './follow-batches.js';
import {findLayerGaps} from './layer-gaps.js';
import {explainFrozen} from './nothing-trained.js';
import {TrainingCheck} from './training-check.js';

/** What the repairs ask an upgrade for. */
interface Upgrade {
  readonly model: tfl.LayersModel;
  readonly active: string | null;
  readonly context: ContextStore;
  readonly layers: LocatedLayer[];
  readonly gaps: LayerGap[];
}

/**
 * What an upgrade repairs in tfjs-layers while it lasts: layer norms in one kernel, the arguments of RNNs,
 * batches that bring their context along, totals of several outputs, and errors of a training that has no
 * correct gradient or nothing to train.
 */
export class StockRepairs {
  private readonly norms = new FusedLayerNorms();
  private readonly rnnArguments = new RnnArguments();
  private readonly check = new TrainingCheck();
  private readonly follower: BatchFollower;
  private readonly undo: (() => void)[] = [];

  constructor(private readonly upgrade: Upgrade) {
    this.follower = new BatchFollower(upgrade.context);
  }

  /** Layers after trained ones that have no correct gradient: known in advance, or found by a training. */
  gapsBehind(trained: readonly Layer[]): LayerGap[] {
    const {layers, containers} = mapModel(asContainer(this.upgrade.model));
    const known = findLayerGaps(layers, trained, containers);
    const met = this.check.gaps.filter(({layer}) => !known.some((gap) => gap.layer === layer));
    return [...known, ...met];
  }

  /** Repairs layers, before any of them is replaced. */
  repairLayers(layers: readonly LocatedLayer[]): void {
    this.norms.replace(
      layers.flatMap(({layer}) => withParts(layer)),
      () => this.upgrade.active !== null,
    );
    this.rnnArguments.give(
      layers.flatMap(({layer, holder}) => (isContainer(holder) ? [layer] : [layer, holder])),
    );
  }

  /** Lets the batches that models train on bring their context along. */
  followBatches(models: readonly Container[]): void {
    for (const model of models) this.follower.follow(model);
  }

  /** Repairs models, once they are compiled for what is trained now. */
  repairModels(models: readonly Container[]): void {
    const {upgrade, check} = this;
    const upgraded = {
      model: upgrade.model,
      get active() {
        return upgrade.active;
      },
      watch: (running: Container) =>
        check.watch(running, {
          gaps: () => (upgrade.active === null ? [] : upgrade.gaps),
          layers: () => upgrade.layers,
        }),
    };
    const sharing = new Set([asContainer(upgrade.model), ...modelsSharing(upgrade.model)]);
    this.undo.push(
      ...models.map(repairTotals),
      ...[...sharing].flatMap((each) => mapModel(each).models.map((part) => explainFrozen(part, upgraded))),
    );
  }

  restore(): void {
    this.follower.restore();
    this.norms.restore();
    this.check.restore();
    this.rnnArguments.restore();
    for (const undo of this.undo.splice(0)) undo();
  }
}
