import type {GraphModel} from '@tensorflow/tfjs-converter';
import {ConfigError} from '@tfjs-peft/kernels';
import type {StorageLocation} from '../core/io/storage-location.js';
import {PeftHandle} from '../core/lifecycle/handle.js';
import type {ModelKind} from '../core/lifecycle/kinds.js';
import type {SaveOptions} from '../core/lifecycle/peft.js';
import {type AdaptedGraphModel, graphStateOf} from './adapted-graph-model.js';
import {isGraphModel} from './internals.js';
import {storeModel} from './saving/model-folder.js';

/** The members of {@link Peft} for GraphModels only. */
export interface GraphPeft {
  /**
   * Saves the whole GraphModel with an adapter, in the converter's format. `tf.loadGraphModel` loads it if
   * `@tfjs-peft/layers/graph` is imported. The loaded model computes the same outputs, adapters and routers
   * included, but cannot be trained further: also save the adapter itself for that. (The model's own `save`
   * still writes the base alone.)
   *
   * @param to A folder, with or without `file://` (Node only), which gets `model.json` and the weights; or
   * any argument of the model's own `save`.
   * @returns Paths of the files if they were saved to a folder.
   * @throws ConfigError if no adapter has that name, the location cannot be written, or the folder has a
   * model that another program saved.
   */
  saveModel(to: StorageLocation, options?: SaveOptions): Promise<string[]>;

  /**
   * Saves the whole GraphModel with an adapter merged into its weights: a plain model that needs none of our
   * packages and runs as fast as the base. The weights of its sites are stored in float32, even if the base
   * is quantised.
   *
   * @param to See {@link GraphPeft.saveModel}.
   * @throws UnsupportedSiteError if merging is not exact at a site, as when gates depend on the input; and
   * the errors of {@link GraphPeft.saveModel}.
   */
  merge(to: StorageLocation, options?: SaveOptions): Promise<string[]>;
}

declare module '../core/lifecycle/peft.js' {
  interface ModelKinds {
    graph: {model: GraphModel; peft: GraphPeft; config: object};
  }
}

class GraphHandle extends PeftHandle<GraphModel, AdaptedGraphModel> implements GraphPeft {
  saveModel(to: StorageLocation, options: SaveOptions = {}): Promise<string[]> {
    return this.store('saveModel', to, options, false);
  }

  merge(to: StorageLocation, options: SaveOptions = {}): Promise<string[]> {
    return this.store('merge', to, options, true);
  }

  private store(what: string, to: StorageLocation, options: SaveOptions, merged: boolean): Promise<string[]> {
    return this.inTurn(async () => {
      const {state, name} = this.chosen(what, options);
      return storeModel(to, await state.modelArtifacts(name, merged));
    });
  }

  /** Not in the public type; for callers without types. */
  contextFrom(): never {
    this.live();
    throw new ConfigError(
      'contextFrom works only for a LayersModel. For a GraphModel, call setContext before each batch.',
    );
  }
}

/** GraphModels, as a kind of model that can be upgraded. */
export const graphKind: ModelKind<GraphModel> = {
  is: isGraphModel,
  state: graphStateOf,
  peft: (model) => new GraphHandle(model, graphStateOf(model)),
};
