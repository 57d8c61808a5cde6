import type * as tf from '@tensorflow/tfjs-core';
import type * as tfl from '@tensorflow/tfjs-layers';
import {ConfigError} from '@tfjs-peft/kernels';
import type {RouterContext} from '@tfjs-peft/routers';
import {PeftHandle} from '../core/lifecycle/handle.js';
import type {ModelKind} from '../core/lifecycle/kinds.js';
import type {AlsoTrain} from '../core/lifecycle/plan.js';
import {isContainer, type Layer} from '../core/tfjs/internals.js';
import {AdaptedLayersModel} from './adapted-layers-model.js';

/** The members of {@link Peft} for LayersModels only. */
export interface LayersPeft {
  /**
   * Computes the context from the inputs of a layer: `compute` is called each time that layer runs, in
   * `predict` and `fit` alike, and returns the context of the batch. For instance, compute a mask from the
   * token ids at an Embedding, or pass on a task number that is an input of the model.
   *
   * @param path Path of a layer, as in `report`, that runs before the layers whose routers read the context.
   * Or the name of an input of the model, for the first layer that it feeds.
   * @param compute Receives the inputs of the layer, or the value of the input. The tensors that it returns
   * are copied.
   * @throws ConfigError if there is no such layer, or the input feeds no layer that runs.
   */
  contextFrom(path: string, compute: (inputs: tf.Tensor[]) => RouterContext): void;
}

declare module '../core/lifecycle/peft.js' {
  interface ModelKinds {
    layers: {model: tfl.LayersModel; peft: LayersPeft; config: AlsoTrain};
  }
}

class LayersHandle extends PeftHandle<tfl.LayersModel, AdaptedLayersModel> implements LayersPeft {
  contextFrom(path: string, compute: (inputs: tf.Tensor[]) => RouterContext): void {
    this.live().contextFrom(path, compute);
  }

  /** Not in the public type; for callers without types. */
  async saveModel(): Promise<never> {
    this.live();
    throw new ConfigError(
      'saveModel is for GraphModels. A LayersModel saves its adapters with itself: call model.save.',
    );
  }
}

/** LayersModels, as a kind of model that can be upgraded. */
export const layersKind: ModelKind<tfl.LayersModel> = {
  is: (model): model is tfl.LayersModel =>
    typeof model === 'object' && model !== null && isContainer(model as Layer),
  state: (model) => new AdaptedLayersModel(model),
  peft: (model) => new LayersHandle(model, new AdaptedLayersModel(model)),
};
