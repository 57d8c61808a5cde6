import type * as tf from '@tensorflow/tfjs-core';
import type * as tfl from '@tensorflow/tfjs-layers';
import type {AdapterConfig, SiteDims} from '../adapters/adapter.js';
import type {FileLayer, FileSite} from '../io/adapter-file.js';
import type {Hashable} from '../io/weight-hashes.js';
import type {LossScale} from '../sites/auxiliary-loss.js';
import type {SharedPart, SharedShape} from '../sites/shared-weights.js';
import type {SiteUsage} from '../sites/usage.js';
import type {Preparation} from '../tfjs/recompile.js';
import type {ContextStore} from './context.js';
import type {MergedAdapter} from './exchanged.js';
import type {LayerGap} from './layer-gap.js';
import type {PackableMatrix} from './packable.js';
import type {AlsoTrain, AnyUpgradeConfig, Plan} from './plan.js';
import type {Candidate, LayerOrNode, Selected, Target, Targets} from './select.js';

/** What a model remembers of an adapter besides its weights. */
export interface StoredAdapter {
  config: AdapterConfig;
  /** Config at each site, by the site's path; with all defaults filled in. */
  sites: Map<string, AdapterConfig>;
  selected: Selected[];
  /** Shapes of the weights that all sites have in common. */
  shared: SharedShape[];
}

/** Another model that has layers of an upgraded one, so that its outputs move with the adapters too. */
export interface SharedWith {
  /** Name of the model. */
  model: string;
  /** Paths of the layers, in the upgraded model. */
  layers: string[];
}

/** What a file has values of. */
export type StoredVariable = Pick<tfl.LayerVariable, 'shape' | 'read'> & {write(value: tf.Tensor): unknown};

/** A layer or node that a file has weights of, and its variables by the names that they have there. */
export interface FileVariables<F extends FileLayer = FileLayer> {
  file: F;
  variables: Map<string, StoredVariable>;
}

/** A site of an adapter, with what it has in common with the adapter's other sites. */
export interface SiteVariables extends FileVariables<FileSite> {
  shared: ReadonlyMap<string, SharedPart>;
  /** Gives shared weights that are saved other values; see {@link AdaptedSite.useShared}. */
  useShared(values: ReadonlyMap<string, Float32Array>): void;
}

/**
 * A model under upgrade, whatever its kind: all that {@link Peft} and its files know of it. Its changes are
 * synchronous and all or nothing.
 */
export interface AdaptedModel {
  /** What errors call the model, and its layers or nodes. */
  readonly label: string;
  readonly noun: LayerOrNode;
  readonly adapters: ReadonlyMap<string, StoredAdapter>;
  /** Name of the active adapter; null while the model is as it was before. */
  readonly active: string | null;
  readonly context: ContextStore;
  /** The adapter that is merged into the base, if one is. */
  merged?: MergedAdapter | undefined;
  /** The factor of the routers' losses at its sites. */
  readonly lossScale: LossScale;
  /** How many sites' routers add a loss while training, with the active adapter. */
  readonly lossSites: number;
  /** Whether the next call of `dispose` disposes the tensors of the model. */
  readonly isLastHolder: boolean;
  /** @throws ConfigError if the model is disposed. */
  checkAlive(): void;
  /** @throws ConfigError if the model is being trained, and so must not change. */
  checkIdle(): void;

  /** Checks an upgrade in full and changes nothing; see `planUpgrade`. */
  plan(config: AnyUpgradeConfig & AlsoTrain): Plan;
  /** Notices what the user has changed in the model since the upgrade. */
  refresh(): void;
  /** What an adapter selected, as the model is now. */
  selected(name: string): Selected[];
  /** What targets would select. */
  select(targets?: Targets, alsoTrain?: Target[]): Selected[];
  /** Adds an adapter and makes it the active one. On an error the model is as before. */
  add(plan: Plan): void;
  /** Makes an adapter active, or none; models that are compiled are not looked at. */
  activate(name: string | null): void;
  /** Makes an adapter active, and whatever trains the model ready for that. */
  enable(name: string): void;
  /** Disposes an adapter; `next` is the active one then, or none. */
  remove(name: string, next: string | null): void;
  /** Brings the model back to what it was before the first adapter came, and disposes all adapters. */
  detach(): void;
  /** Like {@link detach}, for a model that is about to be disposed: what is kept to restore it goes too. */
  release(): void;

  /** The variables that training changes now. */
  trainableVariables(): tf.Variable[];
  /** Starts counting how each site's experts are used, for so many tasks separately; null stops it. */
  trackUsage(tasks: number | null): void;
  /** Number of tasks that are counted separately; null if nothing is tracked. */
  readonly trackedTasks: number | null;
  /** What was counted, by site in the order of the upgrade; null if nothing is tracked. */
  usage(reset: boolean): Promise<SiteUsage[] | null>;

  /** Other models that have layers with weights of this one. */
  readonly sharedWith: SharedWith[];
  /** Layers through which no correct gradient flows; for a GraphModel, its trainer names the nodes. */
  readonly gaps: LayerGap[];
  /** Number of parameters of the model without adapters. */
  readonly parameters: number;
  /** Number of parameters that would be trained if a layer were trained in full. */
  countTrained(layer: Candidate): number;
  /** Widths of a site that carries an adapter. */
  dimsAt(path: string): SiteDims;
  /** The site at a path, as files describe it; or a text that says why no adapter can be there. */
  siteAt(path: string): Pick<FileSite, 'kind' | 'shape'> | string;
  /** The weight of a layer or node that can stay packed in memory; or a text that says why none can. */
  matrixAt(path: string): PackableMatrix | string;
  /** Makes whatever trains the model ready for weights that become packed, and so frozen, or plain again. */
  preparePacking(): Preparation;
  /** The sites of an adapter and their variables, in the order of the model. */
  siteVariables(name: string): SiteVariables[];
  /** The layers that an adapter trains in full, heads of trainers included, with its own values. */
  trainedVariables(name: string): FileVariables[];
  /** Makes room for the weights of heads that a file of the adapter has. */
  expectHeads(name: string, heads: readonly FileLayer[]): void;
  /** The variables of any layer; undefined if there is none at the path. */
  variablesAt(path: string): FileVariables | undefined;
  /** The base's weights, save those of some layers. */
  frozenWeights(except: ReadonlySet<string>): Hashable[];
}
