import type * as tf from '@tensorflow/tfjs-core';
import type {LayerVariable} from '@tensorflow/tfjs-layers';
import {ConfigError, shared} from '@tfjs-peft/kernels';
import type {Hashable} from '../io/weight-hashes.js';
import type {LayerOrNode} from './select.js';
import type {TapCache} from './tap-cache.js';

/** Where a side network reads and writes in a model. */
export interface SidePlaces {
  /** Layers or nodes whose output it reads; to the last one's it adds. */
  taps: readonly string[];
  /** What says which tokens are real: a layer or node that gives [B, T], of which 0 is padding. */
  mask?: string | undefined;
  /** Inputs of the model to find the taps' shapes with, where the model itself does not say them. */
  example?: unknown;
  /** Whether layer norms of the model are trained beside the network. */
  trainNorms?: boolean;
}

/** A side network as the model's own code calls it. */
export interface SideRun {
  /**
   * The last tap, with the network's output added; on the tape, if there is one.
   *
   * @param mask A value for each token, of which 0 is padding; of any shape and type.
   */
  apply(taps: readonly tf.Tensor[], mask?: tf.Tensor): tf.Tensor;
  /** The network's own weights. */
  readonly variables: readonly LayerVariable[];
  /** What stands in the place of weights of layer norms while the network runs, by their names. */
  readonly norms: ReadonlyMap<string, LayerVariable>;
  /** Keeps what the base gives for samples that are trained on, if it is to be kept. */
  readonly cache?: TapCache | undefined;
}

/** A gain or shift of a layer norm of the model. */
export interface NormWeight {
  /** Unique in the model. */
  readonly name: string;
  /** The base's own value. */
  read(): tf.Tensor;
}

/** A model beside which a side network stands, whatever its kind. Its changes are synchronous. */
export interface SideHost {
  /** What errors call the model, and its layers or nodes. */
  readonly label: string;
  readonly noun: LayerOrNode;
  /** Channels of each tap, and whether a sample can have several tokens. */
  readonly dims: {widths: readonly number[]; tokens: boolean};
  /** Number of parameters of the model. */
  readonly parameters: number;
  /** The weights of its layer norms. */
  readonly norms: readonly NormWeight[];
  /**
   * Bytes that the last training step held of the base in front of the last tap: the taps, and what gradients
   * through layer norms need. Null before the first.
   */
  readonly heldBytes: number | null;
  /** Whether the model's tensors go with the next call of its `dispose`. */
  readonly isLastHolder: boolean;
  frozenWeights(): Hashable[];
  /** @throws ConfigError if the model is disposed. */
  checkAlive(): void;
  /** @throws ConfigError if the model is being trained. */
  checkIdle(): void;
  /** Puts the network into the model, frozen but for it. On an error the model is as before. */
  attach(side: SideRun): void;
  /** Lets the network run, or not; if not, the model computes what it did before. */
  enable(enabled: boolean): void;
  /** Brings the model back to what it was. */
  detach(): void;
  /** As {@link detach}, for a model that is about to be disposed. */
  release(): void;
  /**
   * Lets go of the model for as long as others change its weights: it is run and seen as without the network.
   *
   * @returns A function that takes it again.
   */
  pause(): () => void;
}

/** Finds the places in a model, and changes nothing. */
export type MakeSideHost = (model: never, places: SidePlaces) => Promise<SideHost>;

/** By kind of model; see `ModelKind`. */
const makers = shared('layers.side-hosts', () => new Map<string, MakeSideHost>());

/** Lets models of a kind have side networks from now on. */
export function registerSideHost(kind: string, make: MakeSideHost): void {
  if (!makers.has(kind)) makers.set(kind, make);
}

export function sideHostMaker(kind: string): MakeSideHost | undefined {
  return makers.get(kind);
}

/** A side network, as seen by what changes its base. */
export interface Beside {
  /**
   * Takes the network out of the model, and refuses changes of it.
   *
   * @returns A function that brings it back.
   * @throws ConfigError if the model is being trained.
   */
  pause(): () => void;
}

/** The side networks of models. */
const beside = shared('layers.beside', () => new WeakMap<object, Beside>());

export function setBeside(model: object, network: Beside | undefined): void {
  if (network === undefined) beside.delete(model);
  else beside.set(model, network);
}

/** Changes the weights of a model as if it had no side network; the network then reads the changed model. */
export async function withoutBeside<T>(model: object, change: () => Promise<T>): Promise<T> {
  const network = beside.get(model);
  if (network === undefined) return change();
  const resume = network.pause();
  beside.delete(model);
  try {
    return await change();
  } finally {
    beside.set(model, network);
    resume();
  }
}

/** @throws ConfigError if a model has a side network. */
export function checkAlone(model: object): void {
  if (!beside.has(model)) return;
  throw new ConfigError(
    'The model has a side network, and takes no other and no adapter. Call remove() of what ' +
      'attachSideNetwork gave first.',
  );
}
