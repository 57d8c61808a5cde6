import {ConfigError, describe, NoTargetError, UnsupportedSiteError} from '@tfjs-peft/kernels';
import {checkOptions} from '@tfjs-peft/routers';
import type {SiteDims} from '../adapters/adapter.js';
import {listNames} from '../names.js';

/** A layer with weights, or a node of a graph, as a target predicate sees it. */
export interface SiteInfo {
  /**
   * Where the layer is: its name, behind the names of the models and wrappers around it, as in `encoder/dense_1`. Of a node: its
   * name.
   */
  name: string;
  /** The layer's own name. */
  layer: string;
  /** The layer's class, or the node's op. */
  className: string;
  /** What the layer is to an adapter, such as `dense`, `conv2d` or `lstm`; `other` if it cannot carry one. */
  kind: string;
  /** The kernel as a matrix, [inputDim, outputDim]: of a convolution, window and channels by filters. Null for other layers. */
  shape: [number, number] | null;
  /** Shape of the kernel as the model has it; null if there is none. */
  weightShape: number[] | null;
  /** What the file of the model stores the kernel as, such as `float32`, or `uint8` if it is quantised; null if there is none. */
  dtype: string | null;
  /** Number of parameters that the layer has without adapters. */
  parameters: number;
}

/**
 * A layer's name, or path, or that of a model around it; a node's name, or that of a scope around it; a pattern for its path; or an op
 * (of layers: a class) and a kernel's shape, of which one will do.
 */
export type Target = string | RegExp | {op?: string; weightShape?: number[]};

/**
 * Which layers or nodes to adapt: all Dense layers and matrix products; all projections, which are these, convolutions (transposed and separable ones too), the input
 * products of LSTMs and GRUs, and layers of a registered class; those that a list matches; or those for which a predicate is true.
 * Embeddings and depthwise convolutions are taken in by name, pattern or predicate only.
 */
export type Targets = 'all-dense' | 'all-projections' | Target[] | ((site: SiteInfo) => boolean);

/** A part of a model that can be targeted: a layer or a node. */
export interface Candidate {
  /** Unique within the model. */
  readonly path: string;
  /** Each of them names this candidate and no other. */
  readonly names: readonly string[];
  /** What is around it: models, or scopes of names. */
  readonly around: readonly string[];
}

/** A candidate with weights and what becomes of it. */
export interface Selected<At = Candidate> {
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

/** Why a candidate cannot carry an adapter. */
export interface Refusal {
  /** A text that goes on behind `layer 'x' is`. */
  reason: string;
  /** Others of its class can; it is this one's options that do not allow it. */
  asked: boolean;
  /** It has adapters already, of which this upgrade knows nothing. */
  carries?: boolean;
}

/** A candidate with weights, before anything is decided. */
export interface Described<At = Candidate> extends Pick<Selected<At>, 'at' | 'info' | 'dims'> {
  refusal?: Refusal | undefined;
}

/** What errors call the candidates of a model. */
export type LayerOrNode = 'layer' | 'node';

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

/**
 * Decides for every candidate with weights whether it is adapted, trained in full, or frozen.
 *
 * @throws ConfigError if targets or alsoTrain are of another form; NoTargetError if nothing can be adapted, or an entry of a list
 * matches nothing; UnsupportedSiteError if an entry matches layers none of which can be adapted, or names such a layer.
 */
export function selectTargets<At extends Candidate>(
  noun: LayerOrNode,
  described: readonly Described<At>[],
  targets: Targets = 'all-dense',
  alsoTrain: Target[] = [],
): Selected<At>[] {
  checkTargets(targets);
  checkList('alsoTrain', alsoTrain);
  for (const entry of alsoTrain) {
    if (!described.some((candidate) => matches(entry, candidate)))
      throw noMatch(noun, 'alsoTrain', entry, described);
  }
  const selected = described.map((candidate): Selected<At> => {
    const {at, info, dims, refusal} = candidate;
    const trained = alsoTrain.find((entry) => matches(entry, candidate));
    if (trained !== undefined) {
      if (isNamed(targets, candidate)) {
        throw new ConfigError(
          `${capital(noun)} '${info.name}' is named in targets and matched by alsoTrain (${show(trained)}). ` +
            'Leave it out of one of them: it is adapted or trained in full.',
        );
      }
      return {at, info, dims, status: 'trained', reason: `alsoTrain ${show(trained)} matches`};
    }
    const match = firstMatch(targets, candidate);
    if (refusal === undefined) {
      return match === undefined
        ? {at, info, dims, status: 'frozen', reason: 'no target matches'}
        : {at, info, dims, status: 'adapted', reason: match};
    }
    return {at, info, status: match === undefined ? 'frozen' : 'unsupported', reason: refusal.reason};
  });
  if (Array.isArray(targets)) for (const entry of targets) checkEntry(noun, entry, selected);
  if (!selected.some(({status}) => status === 'adapted'))
    throw nothingMatches(noun, targets, selected, described);
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

/** Whether targets take in a candidate. */
export function takesIn(targets: Targets, candidate: Described): boolean {
  return firstMatch(targets, candidate) !== undefined;
}

/** Whether an entry of targets is this very candidate's name, so that it must be adapted or refused. */
export function isNamed(targets: Targets | undefined, {at}: Pick<Described, 'at'>): boolean {
  return Array.isArray(targets) && targets.some((entry) => typeof entry === 'string' && names(entry, at));
}

function checkList(what: string, list: unknown): void {
  const good = (entry: unknown) =>
    (typeof entry === 'string' && entry !== '') || entry instanceof RegExp || isShapeTarget(what, entry);
  if (!Array.isArray(list) || !list.every(good)) {
    throw new ConfigError(
      `${what} is ${show(list)}, but must be a list of layer names, RegExps, and objects such as {op: 'MatMul'} and ` +
        '{weightShape: [64, 64]}.',
    );
  }
}

function isShapeTarget(what: string, entry: unknown): boolean {
  if (typeof entry !== 'object' || entry === null || Array.isArray(entry)) return false;
  checkOptions(`an entry of ${what}`, entry, ['op', 'weightShape']);
  const {op, weightShape} = entry as {op?: unknown; weightShape?: unknown};
  const goodShape =
    weightShape === undefined || (Array.isArray(weightShape) && weightShape.every(Number.isInteger));
  return goodShape && (op === undefined ? weightShape !== undefined : typeof op === 'string');
}

/** Why the targets take in a candidate, or undefined if they do not. */
function firstMatch(targets: Targets, candidate: Described): string | undefined {
  const {info, dims, refusal} = candidate;
  if (typeof targets === 'string') {
    const {takes, reason} = ALL[targets];
    // A layer that is left out for its options alone is a gap to be told of.
    return takes(info, dims) || (targets === 'all-projections' && refusal?.asked) ? reason : undefined;
  }
  if (typeof targets === 'function') return targets(info) ? 'the predicate is true' : undefined;
  const entry = targets.find((target) => matches(target, candidate));
  return entry === undefined ? undefined : `target ${show(entry)} matches`;
}

function matches(entry: Target, {at, info}: Described): boolean {
  if (typeof entry === 'string') return names(entry, at) || at.around.includes(entry);
  if (entry instanceof RegExp) {
    // A copy: a pattern with the flag g or y keeps a position between tests.
    const pattern = new RegExp(entry.source, entry.flags.replace(/[gy]/g, ''));
    return pattern.test(at.path) || pattern.test(info.layer);
  }
  const {op, weightShape} = entry;
  const sameShape = (shape: number[]) => JSON.stringify(shape) === JSON.stringify(info.weightShape);
  return (op === undefined || op === info.className) && (weightShape === undefined || sameShape(weightShape));
}

/** Whether a text names this very candidate, not just what is around it. */
function names(entry: string, at: Candidate): boolean {
  return entry === at.path || at.names.includes(entry);
}

function checkEntry(noun: LayerOrNode, entry: Target, selected: readonly Selected[]): void {
  const matched = selected.filter((candidate) => matches(entry, candidate));
  if (matched.length === 0) throw noMatch(noun, 'targets', entry, selected);
  const unsupported = matched.filter(({status}) => status === 'unsupported');
  const named = unsupported.find(({at}) => typeof entry === 'string' && names(entry, at));
  if (named !== undefined || unsupported.length === matched.length) {
    const {info, reason} = (named ?? unsupported[0])!;
    throw new UnsupportedSiteError(
      `Target ${show(entry)}: ${noun} '${info.name}' is ${reason}. ` +
        `Choose among: ${listNames(siteNames(selected)) || `none; no ${noun} of the model can`}.`,
    );
  }
}

function noMatch(
  noun: LayerOrNode,
  what: string,
  entry: Target,
  candidates: readonly Pick<Selected, 'info'>[],
): NoTargetError {
  return new NoTargetError(
    `${what}: ${show(entry)} matches no ${noun} with weights. The model has: ` +
      `${listNames(candidates.map(({info}) => info.name)) || 'none'}.`,
  );
}

function nothingMatches(
  noun: LayerOrNode,
  targets: Targets,
  selected: readonly Selected[],
  described: readonly Described[],
): Error {
  const unsupported = selected.filter(({status}) => status === 'unsupported').map(({info}) => info.name);
  const sites = siteNames(selected);
  const carrying = described.find(({refusal}) => refusal?.carries);
  const other =
    carrying === undefined ? '' : `: ${noun} '${carrying.info.name}' is ${carrying.refusal!.reason}`;
  const choice =
    sites.length > 0
      ? `${capital(noun)}s that can be targeted: ${listNames(sites)}`
      : `The model has no ${noun} that can carry an adapter${other}`;
  if (unsupported.length > 0) {
    return new UnsupportedSiteError(
      `The targets match only ${noun}s that cannot carry an adapter: ${listNames(unsupported)}. ${choice}.`,
    );
  }
  return new NoTargetError(`Targets ${show(targets)} leave nothing to adapt. ${choice}.`);
}

function siteNames(selected: readonly Pick<Selected, 'info' | 'dims'>[]): string[] {
  return selected.filter(({dims}) => dims !== undefined).map(({info}) => info.name);
}

export function show(value: unknown): string {
  if (value instanceof RegExp) return String(value);
  if (typeof value === 'function') return 'predicate';
  if (Array.isArray(value)) {
    const more = value.length > 8 ? [`and ${value.length - 8} more`] : [];
    return `[${[...value.slice(0, 8).map((entry) => (Array.isArray(entry) ? describe(entry) : show(entry))), ...more].join(', ')}]`;
  }
  return describe(value);
}

function capital(noun: LayerOrNode): string {
  return noun === 'layer' ? 'Layer' : 'Node';
}
