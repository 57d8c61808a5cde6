import type {GraphModel} from '@tensorflow/tfjs-converter';
import {ConfigError} from '@tfjs-peft/kernels';
import type {StorageLocation} from '../core/io/storage-location.js';
import {PeftHandle} from '../core/lifecycle/handle.js';
import type {ModelKind} from '../core/lifecycle/kinds.js';
import type {SaveOptions} from '../core/lifecycle/peft.js';
import {AdaptedGraphModel} from './adapted-graph-model.js';
import {isGraphModel} from './internals.js';
import {storeModel} from './saving/model-folder.js';

/** What only the {@link Peft} of a GraphModel has. */
export interface GraphPeft {
  /**
   * Stores a whole GraphModel with an adapter, as the converter stores models. `tf.loadGraphModel` loads it where
   * `@tfjs-peft/layers/graph` is imported; there it computes what this model does, adapters and routers included, and cannot be trained further: keep the
   * adapter's own files for that. (The model's own `save` goes on writing the base alone.)
   *
   * @param to A folder, with or without `file://` (Node only): it gets `model.json` and its weights. Or what the model's own `save`
   * takes.
   * @returns Paths of the files, where they went into a folder.
   * @throws ConfigError if there is no such adapter, no way to save to that place, or the folder has a model that was not saved so.
   */
  saveModel(to: StorageLocation, options?: SaveOptions): Promise<string[]>;

  /**
   * Stores a whole GraphModel with an adapter worked into its weights: a plain model that needs none of our packages, and costs no
   * more than the base. Weights of its sites are stored in float32, even if the base is quantised.
   *
   * @param to As for {@link GraphPeft.saveModel}.
   * @throws UnsupportedSiteError if that is not exact at some site, as where gates depend on the input; and as {@link GraphPeft.saveModel} does.
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

  /** Not in the types; for callers without them. */
  contextFrom(): never {
    this.live();
    throw new ConfigError('contextFrom is for LayersModels. Call setContext before each batch.');
  }
}

/** GraphModels, as a kind of model that can be upgraded. */
export const graphKind: ModelKind<GraphModel> = {
  is: isGraphModel,
  state: (model) => new AdaptedGraphModel(model),
  peft: (model) => new GraphHandle(model, new AdaptedGraphModel(model)),
};
