import * as tf from '@tensorflow/tfjs-core';
import type * as tfl from '@tensorflow/tfjs-layers';
import {ConfigError, NoTargetError, UnsupportedSiteError} from '@tfjs-peft/kernels';
import type {SiteDims} from '../adapters/adapter.js';
import {PeftLayer} from '../sites/peft-layer.js';
import {siteClasses, siteOf} from '../sites/site-registry.js';
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
  /** What the layer is to an adapter, such as `dense`, `conv2d` or `lstm`; `other` if it cannot carry one. */
  kind: string;
  /** The kernel as a matrix, [inputDim, outputDim]: of a convolution, window and channels by filters. Null for other layers. */
  shape: [number, number] | null;
  /** Number of parameters that the layer has without adapters. */
  parameters: number;
}

/** A layer's name, or path, or that of a model around it; or a pattern for its path. */
export type Target = string | RegExp;

/**
 * Which layers to adapt: all Dense layers; all projections, which are Dense layers, convolutions, the input products of LSTMs and GRUs, and
 * layers of a registered class; those that a list matches; or those for which a predicate is true. Embeddings and depthwise
 * convolutions are taken in by name, pattern or predicate only.
 */
export type Targets = 'all-dense' | 'all-projections' | Target[] | ((site: SiteInfo) => boolean);

/** A layer with weights and what becomes of it. */
export interface Selected<At = Located> {
  at: At;
  info: SiteInfo;
  /** Widths of the site, where there can be one. */
  dims?: SiteDims | undefined;
  /**
   * - `adapted`: carries the adapter, or would.
   * - `trained`: trained in full, because `alsoTrain` says so.
   * - `unsupported`: a target matches, but the layer cannot carry an adapter.
   * - `frozen`: no target matches.
   */
  status: 'adapted' | 'trained' | 'unsupported' | 'frozen';
  reason: string;
}

/** Why a layer cannot carry an adapter. */
interface Refusal {
  reason: string;
  /** Layers of its class can; it is this layer's options that do not allow it. */
  asked: boolean;
}

/** A layer with weights, before anything is decided. */
export interface Described extends Pick<Selected, 'at' | 'info' | 'dims'> {
  refusal?: Refusal | undefined;
}

const ALL = {
  'all-dense': {
    reason: 'a Dense layer',
    takes: ({kind}: SiteInfo) => kind === 'dense',
  },
  'all-projections': {
    reason: 'a projection',
    takes: (_: SiteInfo, dims?: SiteDims) =>
      dims !== undefined && (dims.kind ?? 'projection') === 'projection',
  },
};

/** The layers of a model that have weights. */
function describeLayers(layers: readonly Located[], isSite: IsSite): Described[] {
  return layers.filter(({layer}) => layer.weights.length > 0).map((at) => describeLayer(at, isSite));
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
  const selected = described.map((layer): Selected => {
    const {at, info, dims, refusal} = layer;
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
      return {at, info, dims, status: 'trained', reason: `alsoTrain ${show(trained)} matches`};
    }
    const match = firstMatch(targets, layer);
    if (refusal === undefined) {
      return match === undefined
        ? {at, info, dims, status: 'frozen', reason: 'no target matches'}
        : {at, info, dims, status: 'adapted', reason: match};
    }
    return {at, info, status: match === undefined ? 'frozen' : 'unsupported', reason: refusal.reason};
  });
  if (Array.isArray(targets)) for (const entry of targets) checkEntry(entry, selected);
  if (!selected.some(({status}) => status === 'adapted')) throw nothingMatches(targets, selected);
  return selected;
}

/** @throws ConfigError unless it is one of the three forms of targets. */
export function checkTargets(targets: unknown, what = 'targets'): void {
  if (typeof targets === 'function' || (typeof targets === 'string' && Object.hasOwn(ALL, targets))) return;
  if (!Array.isArray(targets)) {
    throw new ConfigError(
      `${what} is ${show(targets)}, but must be 'all-dense', 'all-projections', a list of layer names and patterns such as ` +
        `['dense_1', /ffn/], or a predicate.`,
    );
  }
  checkList(what, targets);
}

/** Whether targets take in a layer. */
export function takesIn(targets: Targets, layer: Pick<Selected, 'at' | 'info' | 'dims'>): boolean {
  return firstMatch(targets, layer) !== undefined;
}

export function listNames(names: readonly string[], most = 8): string {
  const shown = names.slice(0, most).map((name) => `'${name}'`);
  const more = names.length - shown.length;
  return shown.join(', ') + (more > 0 ? ` and ${more} more` : '');
}

/** What a layer is, with or without weights. */
export function describeLayer(at: Located, isSite: IsSite): Described {
  const {layer, path} = at;
  const site = isSite(layer);
  const {kind, dims, refusal}: Looks =
    site === undefined ? lookAt(layer) : {kind: site.kind, dims: site.dims};
  return {
    at,
    info: {
      name: path,
      layer: layer.name,
      className: (site?.stock ?? layer).getClassName(),
      kind,
      shape: dims === undefined ? null : [dims.inputDim, dims.outputDim],
      parameters: countParameters(site?.base ?? layer.weights),
    },
    dims,
    refusal,
  };
}

interface Looks {
  kind: string;
  dims?: SiteDims;
  refusal?: Refusal;
}

/** What a layer is to an adapter, or why it cannot carry one. */
function lookAt(layer: Layer): Looks {
  const className = layer.getClassName();
  const refused = (reason: string, asked = false) => ({kind: 'other', refusal: {reason, asked}});
  if (layer instanceof PeftLayer) {
    return refused('a drop-in layer with adapters of its own; add more with its addAdapter');
  }
  const site = siteOf(layer);
  if (site === undefined) {
    const classes = siteClasses().join(', ');
    return refused(
      `a ${className}, which cannot carry an adapter; ${classes} can, and what registerSite is told of`,
    );
  }
  try {
    return {kind: site.kind, dims: site.operation(layer).dims};
  } catch (error) {
    if (!(error instanceof UnsupportedSiteError)) throw error;
    return refused(`a ${className} that cannot carry an adapter: ${error.message}`, true);
  }
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
function firstMatch(targets: Targets, {at, info, dims, refusal}: Described): string | undefined {
  if (typeof targets === 'string') {
    const {takes, reason} = ALL[targets];
    // A layer that is left out for its options alone is a gap to be told of.
    return takes(info, dims) || (targets === 'all-projections' && refusal?.asked) ? reason : undefined;
  }
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
        `Choose among: ${listNames(siteNames(selected)) || 'none; no layer of the model can'}.`,
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
  const sites = siteNames(selected);
  const choice =
    sites.length > 0
      ? `Layers that can be targeted: ${listNames(sites)}`
      : 'The model has no layer that can carry an adapter';
  if (unsupported.length > 0) {
    return new UnsupportedSiteError(
      `The targets match only layers that cannot carry an adapter: ${listNames(unsupported)}. ${choice}.`,
    );
  }
  return new NoTargetError(`Targets ${show(targets)} leave nothing to adapt. ${choice}.`);
}

function siteNames(selected: readonly Pick<Selected, 'info' | 'dims'>[]): string[] {
  return selected.filter(({dims}) => dims !== undefined).map(({info}) => info.name);
}

function show(value: unknown): string {
  if (value instanceof RegExp) return String(value);
  if (typeof value === 'function') return 'predicate';
  if (typeof value === 'string') return `'${value}'`;
  if (Array.isArray(value)) return `[${value.map(show).join(', ')}]`;
  return String(value);
}
