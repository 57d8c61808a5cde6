import {type GraphModel, loadGraphModel} from '@tensorflow/tfjs-converter';
import {ConfigError} from '@tfjs-peft/kernels';
import {storeModel} from '../core/io/model-folder.js';
import type {StorageLocation} from '../core/io/storage-location.js';
import {PeftHandle} from '../core/lifecycle/handle.js';
import type {ModelKind} from '../core/lifecycle/kinds.js';
import type {SaveOptions} from '../core/lifecycle/peft.js';
import {type AdaptedGraphModel, graphStateOf} from './adapted-graph-model.js';
import {executorOf, isGraphModel} from './internals.js';

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
}

declare module '../core/lifecycle/peft.js' {
  interface ModelKinds {
    graph: {model: GraphModel; peft: GraphPeft; config: object};
  }
}

class GraphHandle extends PeftHandle<GraphModel, AdaptedGraphModel> implements GraphPeft {
  saveModel(to: StorageLocation, options: SaveOptions = {}): Promise<string[]> {
    return this.inTurn(async () => {
      const {state, name} = this.chosen('saveModel', options);
      return storeModel(to, await state.modelArtifacts(name));
    });
  }

  /** Not in the public type; for callers of 0.1.0. */
  async merge(): Promise<never> {
    this.live();
    throw new ConfigError("merge(to) is now a function: exportPlain(peft, to) of '@tfjs-peft/layers/merge'.");
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
  async load(artifacts, constants) {
    const model = await loadGraphModel({load: async () => artifacts});
    const executor = executorOf(model);
    const given = Object.fromEntries([...constants].map(([name, value]) => [name, [value]]));
    executor.weightMap = {...executor.weightMap, ...given};
    return model;
  },
};
