import * as tf from '@tensorflow/tfjs-core';
import type * as tfl from '@tensorflow/tfjs-layers';
import {ConfigError, NoTargetError, UnsupportedSiteError} from '@tfjs-peft/kernels';
import type {PeftLayer} from '../sites/peft-layer.js';
import type {Layer} from './internals.js';
import type {Located} from './walk.js';

/** Gives the layer as a PeftLayer if an upgrade of the same model put it there. */
export type IsSite = (layer: Layer) => PeftLayer | undefined;

/** A layer with weights, as a target predicate sees it. */
export interface SiteInfo {
  /** Where the layer is: its name, behind the names of the models and wrappers around it, as in `encoder/dense_1`. */
  name: string;
  /** The layer's own name. */
  layer: string;
  className: string;
  /** `dense` for layers that can carry an adapter, `other` for the rest. */
  kind: 'dense' | 'other';
  /** [inputDim, outputDim] of a Dense; null for other layers. */
  shape: [number, number] | null;
  /** Number of parameters that the layer has without adapters. */
  parameters: number;
}

/** A layer's name, or path, or that of a model around it; or a pattern for its path. */
export type Target = string | RegExp;

/** Which layers to adapt: all Dense layers, those that a list matches, or those for which a predicate is true. */
export type Targets = 'all-dense' | Target[] | ((site: SiteInfo) => boolean);

/** A layer with weights and what becomes of it. */
export interface Selected<At = Located> {
  at: At;
  info: SiteInfo;
  /**
   * - `adapted`: carries the adapter, or would.
   * - `trained`: trained in full, because `alsoTrain` says so.
   * - `unsupported`: a target matches, but the layer cannot carry an adapter.
   * - `frozen`: no target matches.
   */
  status: 'adapted' | 'trained' | 'unsupported' | 'frozen';
  reason: string;
}

/** The layers of a model that have weights. */
function describeLayers(layers: readonly Located[], isSite: IsSite): Pick<Selected, 'at' | 'info'>[] {
  return layers.filter(({layer}) => layer.weights.length > 0).map((at) => ({at, info: describe(at, isSite)}));
}

/**
 * Decides for every layer with weights whether it is adapted, trained in full, or frozen.
 *
 * @throws ConfigError if targets or alsoTrain are of another form; NoTargetError if nothing can be adapted, or an entry of a list
 * matches nothing; UnsupportedSiteError if an entry matches layers none of which can be adapted, or names such a layer.
 */
export function selectLayers(
  layers: readonly Located[],
  isSite: IsSite,
  targets: Targets = 'all-dense',
  alsoTrain: Target[] = [],
): Selected[] {
  checkTargets(targets);
  checkList('alsoTrain', alsoTrain);
  const described = describeLayers(layers, isSite);
  for (const entry of alsoTrain) {
    if (!described.some(({at}) => matches(entry, at))) throw noMatch('alsoTrain', entry, described);
  }
  const selected = described.map(({at, info}): Selected => {
    const trained = alsoTrain.find((entry) => matches(entry, at));
    if (trained !== undefined) {
      const named =
        Array.isArray(targets) && targets.find((entry) => typeof entry === 'string' && names(entry, at));
      if (named) {
        throw new ConfigError(
          `Layer '${info.name}' is named in targets ('${named}') and matched by alsoTrain (${show(trained)}). ` +
            'Leave it out of one of them: a layer is adapted or trained in full.',
        );
      }
      return {at, info, status: 'trained', reason: `alsoTrain ${show(trained)} matches`};
    }
    const match = firstMatch(targets, at, info);
    if (info.kind === 'dense') {
      return match === undefined
        ? {at, info, status: 'frozen', reason: 'no target matches'}
        : {at, info, status: 'adapted', reason: match};
    }
    const reason =
      info.className === 'PeftDense'
        ? 'a drop-in layer with adapters of its own; add more with its addAdapter'
        : `a ${info.className}, which cannot carry an adapter; only Dense layers can`;
    return {
      at,
      info,
      status: match === undefined || targets === 'all-dense' ? 'frozen' : 'unsupported',
      reason,
    };
  });
  if (Array.isArray(targets)) for (const entry of targets) checkEntry(entry, selected);
  if (!selected.some(({status}) => status === 'adapted')) throw nothingMatches(targets, selected);
  return selected;
}

/** @throws ConfigError unless it is one of the three forms of targets. */
export function checkTargets(targets: unknown, what = 'targets'): void {
  if (targets === 'all-dense' || typeof targets === 'function') return;
  if (!Array.isArray(targets)) {
    throw new ConfigError(
      `${what} is ${show(targets)}, but must be 'all-dense', a list of layer names and patterns such as ` +
        `['dense_1', /ffn/], or a predicate.`,
    );
  }
  checkList(what, targets);
}

/** Whether targets take in a layer. */
export function takesIn(targets: Targets, at: Located, info: SiteInfo): boolean {
  return firstMatch(targets, at, info) !== undefined;
}

export function listNames(names: readonly string[], most = 8): string {
  const shown = names.slice(0, most).map((name) => `'${name}'`);
  const more = names.length - shown.length;
  return shown.join(', ') + (more > 0 ? ` and ${more} more` : '');
}

function describe(at: Located, isSite: IsSite): SiteInfo {
  const {layer, path} = at;
  const site = isSite(layer);
  const weights = site ? site.base : layer.weights;
  const className = site ? 'Dense' : layer.getClassName();
  const kernel = weights.find(({shape}) => shape.length === 2);
  return {
    name: path,
    layer: layer.name,
    className,
    kind: className === 'Dense' ? 'dense' : 'other',
    shape: className === 'Dense' ? (kernel!.shape as [number, number]) : null,
    parameters: countParameters(weights),
  };
}

/** Number of values in some variables. */
export function countParameters(weights: readonly tfl.LayerVariable[]): number {
  return weights.reduce((sum, {shape}) => sum + tf.util.sizeFromShape(shape as number[]), 0);
}

function checkList(what: string, list: unknown): void {
  const good = (entry: unknown) => (typeof entry === 'string' && entry !== '') || entry instanceof RegExp;
  if (!Array.isArray(list) || !list.every(good)) {
    throw new ConfigError(`${what} is ${show(list)}, but must be a list of layer names and RegExps.`);
  }
}

/** Why the targets take in a layer, or undefined if they do not. */
function firstMatch(targets: Targets, at: Located, info: SiteInfo): string | undefined {
  if (targets === 'all-dense') return info.kind === 'dense' ? 'a Dense layer' : undefined;
  if (typeof targets === 'function') return targets(info) ? 'the predicate is true' : undefined;
  const entry = targets.find((target) => matches(target, at));
  return entry === undefined ? undefined : `target ${show(entry)} matches`;
}

function matches(entry: Target, at: Located): boolean {
  if (typeof entry === 'string') return names(entry, at) || at.around.includes(entry);
  // A copy: a pattern with the flag g or y keeps a position between tests.
  const pattern = new RegExp(entry.source, entry.flags.replace(/[gy]/g, ''));
  return pattern.test(at.path) || pattern.test(at.layer.name);
}

/** Whether a text names this very layer, not just a model around it. */
function names(entry: string, at: Located): boolean {
  return entry === at.path || at.names.includes(entry);
}

function checkEntry(entry: Target, selected: readonly Selected[]): void {
  const matched = selected.filter(({at}) => matches(entry, at));
  if (matched.length === 0) throw noMatch('targets', entry, selected);
  const unsupported = matched.filter(({status}) => status === 'unsupported');
  const named = unsupported.find(({at}) => typeof entry === 'string' && names(entry, at));
  if (named !== undefined || unsupported.length === matched.length) {
    const {info, reason} = (named ?? unsupported[0])!;
    throw new UnsupportedSiteError(
      `Target ${show(entry)}: layer '${info.name}' is ${reason}. ` +
        `Choose among: ${listNames(denseNames(selected)) || 'none; the model has no Dense layer'}.`,
    );
  }
}

function noMatch(what: string, entry: Target, layers: readonly Pick<Selected, 'info'>[]): NoTargetError {
  return new NoTargetError(
    `${what}: ${show(entry)} matches no layer with weights. The model has: ` +
      `${listNames(layers.map(({info}) => info.name)) || 'none'}.`,
  );
}

function nothingMatches(targets: Targets, selected: readonly Selected[]): Error {
  const unsupported = selected.filter(({status}) => status === 'unsupported').map(({info}) => info.name);
  const dense = denseNames(selected);
  const choice =
    dense.length > 0
      ? `Dense layers that can be targeted: ${listNames(dense)}`
      : 'The model has no Dense layer to adapt';
  if (unsupported.length > 0) {
    return new UnsupportedSiteError(
      `The targets match only layers that cannot carry an adapter: ${listNames(unsupported)}. ${choice}.`,
    );
  }
  return new NoTargetError(`Targets ${show(targets)} leave nothing to adapt. ${choice}.`);
}

function denseNames(selected: readonly Pick<Selected, 'info'>[]): string[] {
  return selected.filter(({info}) => info.kind === 'dense').map(({info}) => info.name);
}

function show(value: unknown): string {
  if (value instanceof RegExp) return String(value);
  if (typeof value === 'function') return 'predicate';
  if (typeof value === 'string') return `'${value}'`;
  if (Array.isArray(value)) return `[${value.map(show).join(', ')}]`;
  return String(value);
}
