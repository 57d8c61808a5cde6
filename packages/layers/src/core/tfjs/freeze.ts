import type * as tfl from '@tensorflow/tfjs-layers';
import {type Container, inside, internals, type Layer, type VariableInternals} from './internals.js';
import {wrapCall} from './wrap-methods.js';

interface LayerRecord {
  trainable: boolean;
  trainableWeights: tfl.LayerVariable[];
  nonTrainableWeights: tfl.LayerVariable[];
  /** Lets a BatchNormalization out of inference mode. */
  release?: (() => void) | undefined;
}

/**
 * Freezes layers and brings them back exactly as they were.
 *
 * Neither of tfjs-layers' two ways to freeze holds alone. A weight whose `trainable` is false but which is
 * listed as trainable is revived by `model.trainable = true`; one that is only listed as non-trainable is
 * still trained by `optimizer.minimize` without a variable list. So a frozen weight is moved to the other
 * list and marked too. BatchNormalization changes its moving statistics in every `fit`, trainable or not, and
 * so runs in inference mode while it is frozen.
 */
export class Freezer {
  private readonly layers = new Map<Layer, LayerRecord>();
  private readonly frozen = new Set<Layer>();
  private readonly bits = new Map<tfl.LayerVariable, boolean>();
  private readonly containers = new Map<Container, boolean>();

  private note(layer: Layer): void {
    if (this.layers.has(layer)) return;
    const {_trainableWeights, _nonTrainableWeights} = internals(layer);
    this.layers.set(layer, {
      trainable: layer.trainable,
      trainableWeights: _trainableWeights,
      nonTrainableWeights: _nonTrainableWeights,
    });
    for (const variable of [..._trainableWeights, ..._nonTrainableWeights]) {
      if (!this.bits.has(variable)) this.bits.set(variable, inside<VariableInternals>(variable).trainable_);
    }
  }

  /**
   * Freezes layers; those that are frozen already stay so.
   *
   * @param layers With their parts, outer ones first: the setter of a wrapper's `trainable` changes its
   * parts'.
   */
  freeze(layers: readonly Layer[]): void {
    const fresh = layers.filter((layer) => !this.frozen.has(layer));
    for (const layer of fresh) this.note(layer);
    for (const layer of fresh) {
      this.frozen.add(layer);
      const lists = internals(layer);
      lists._nonTrainableWeights = [...lists._trainableWeights, ...lists._nonTrainableWeights];
      lists._trainableWeights = [];
      for (const variable of lists._nonTrainableWeights) variable.trainable = false;
      // So that a saved model loads as frozen as it is now.
      layer.trainable = false;
      if (layer.getClassName() === 'BatchNormalization') {
        this.layers.get(layer)!.release = wrapCall(
          layer,
          (call) => (inputs, kwargs) => call(inputs, {...kwargs, training: false}),
        );
      }
    }
  }

  /**
   * Makes frozen layers trainable in full, whatever they were before; all but the weights
   * that they do not train themselves.
   */
  train(layers: readonly Layer[]): void {
    const thawed = layers.filter((layer) => this.frozen.delete(layer));
    for (const layer of thawed) restoreLists(layer, this.layers.get(layer)!);
    for (const layer of thawed) layer.trainable = true;
  }

  /** The weights that a layer trains when it is not frozen. */
  trainableOf(layer: Layer): readonly tfl.LayerVariable[] {
    return this.layers.get(layer)?.trainableWeights ?? internals(layer)._trainableWeights;
  }

  /** Layers that have been frozen, with their `trainable` of before. */
  get before(): [Layer, boolean][] {
    return [...this.layers].map(([layer, {trainable}]) => [layer, trainable]);
  }

  /** Exposes trainable weights inside a model that was frozen as a whole. */
  open(containers: readonly Container[]): void {
    for (const container of containers) {
      if (!this.containers.has(container)) this.containers.set(container, container.trainable_);
      container.trainable_ = true;
    }
  }

  /** Brings everything back; may be called again. */
  restore(): void {
    this.frozen.clear();
    for (const [layer, record] of this.layers) {
      restoreLists(layer, record);
      layer.trainable = record.trainable;
    }
    for (const [container, trainable] of this.containers) container.trainable_ = trainable;
    for (const [variable, trainable] of this.bits) variable.trainable = trainable;
  }
}

function restoreLists(layer: Layer, record: LayerRecord): void {
  // Sets the fields and not the properties, whose setters wrappers and RNNs remove.
  internals(layer)._trainableWeights = record.trainableWeights;
  internals(layer)._nonTrainableWeights = record.nonTrainableWeights;
  record.release?.();
  record.release = undefined;
}
