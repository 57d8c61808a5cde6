import type * as tf from '@tensorflow/tfjs-core';
import type * as tfl from '@tensorflow/tfjs-layers';
import {ConfigError} from '@tfjs-peft/kernels';
import type {RouterContext} from '@tfjs-peft/routers';
import {PeftHandle} from '../core/lifecycle/handle.js';
import type {ModelKind} from '../core/lifecycle/kinds.js';
import type {AlsoTrain} from '../core/lifecycle/plan.js';
import {isContainer, type Layer} from '../core/tfjs/internals.js';
import {AdaptedLayersModel} from './adapted-layers-model.js';

/** What only the {@link Peft} of a LayersModel has. */
export interface LayersPeft {
  /**
   * Computes the context from the inputs of one of the model's layers whenever that layer is called, in `predict` and `fit` alike, so
   * that those calls stay as they are: from token ids at an Embedding, say, or from a task number that is an input of its own.
   *
   * @param path Path of a layer that runs before the layers whose routers read the context, as `report` names layers; or of an
   * input of the model, then what counts is the first layer that it feeds.
   * @param compute Gets the layer's inputs, or the value of the input; the tensors that it returns are copied.
   * @throws ConfigError if there is no such layer, or no layer that runs is fed by that input.
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

  /** Not in the types; for callers without them. */
  async saveModel(): Promise<never> {
    this.live();
    throw new ConfigError(
      'A LayersModel saves its adapters with itself: call model.save. This is for GraphModels, whose save writes the base alone.',
    );
  }

  /** Not in the types; for callers without them. */
  merge(): Promise<never> {
    return this.saveModel();
  }
}

/** LayersModels, as a kind of model that can be upgraded. */
export const layersKind: ModelKind<tfl.LayersModel> = {
  is: (model): model is tfl.LayersModel =>
    typeof model === 'object' && model !== null && isContainer(model as Layer),
  state: (model) => new AdaptedLayersModel(model),
  peft: (model) => new LayersHandle(model, new AdaptedLayersModel(model)),
};
