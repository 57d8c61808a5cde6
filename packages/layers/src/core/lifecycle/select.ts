import {ConfigError, describe, NoTargetError, UnsupportedSiteError} from '@tfjs-peft/kernels';
import {checkOptions} from '@tfjs-peft/routers';
import type {SiteDims} from '../adapters/adapter.js';
import {listNames} from '../messages.js';

/** A layer with weights, or a node of a graph, as a predicate in `targets` receives it. */
export interface SiteInfo {
  /**
   * Path of the layer: its name after the names of the models and wrappers around it, as in
   * `encoder/dense_1`. For a node, its name.
   */
  name: string;
  /** The layer's own name. */
  layer: string;
  /** The layer's class, or the node's op. */
  className: string;
  /**
   * How adapters treat the layer: `dense`, `conv2d`, `lstm` and so on; `other` if it cannot carry an adapter.
   */
  kind: string;
  /**
   * Shape of the kernel as a matrix, [inputDim, outputDim]; for a convolution, window times channels by
   * filters. Null for other layers.
   */
  shape: [number, number] | null;
  /** Shape of the kernel in the model; null if there is no kernel. */
  weightShape: number[] | null;
  /**
   * Type of the kernel in the model's file: `float32`, `uint8` if it is quantised, and so on; null if there
   * is no kernel.
   */
  dtype: string | null;
  /** Number of parameters of the layer, without adapters. */
  parameters: number;
}

/**
 * One entry of {@link Targets}:
 *
 * - a string: the name or path of a layer or node, or of a model or scope around it;
 * - a RegExp: tested against the path, and against a layer's own name;
 * - an object: an op (for layers, a class), the kernel's shape, or both.
 */
export type Target = string | RegExp | {op?: string; weightShape?: number[]};

/**
 * Which layers or nodes to adapt:
 *
 * - `'all-dense'`: Dense layers and matrix products.
 * - `'all-projections'`: these, convolutions (transposed and separable ones too), the input products of LSTMs
 *   and GRUs, and layers of a class passed to `registerSite`.
 * - a list: all that match an entry; see {@link Target}.
 * - a predicate: all for which it returns true.
 *
 * Embeddings and depthwise convolutions are adapted only if an entry of a list or a predicate selects them.
 */
export type Targets = 'all-dense' | 'all-projections' | Target[] | ((site: SiteInfo) => boolean);

/** A layer or node that `targets` can select. */
export interface Candidate {
  /** Unique within the model. */
  readonly path: string;
  /** Names of this candidate and of no other. */
  readonly names: readonly string[];
  /** Names of the models or scopes around it. */
  readonly around: readonly string[];
}

/**
 * What an upgrade does with a layer or node.
 *
 * - `adapted`: carries the adapter, or would in a dry run.
 * - `trained`: trained in full, because `alsoTrain` names it.
 * - `unsupported`: a target matches, but the layer cannot carry an adapter.
 * - `frozen`: no target matches.
 */
export type SiteStatus = 'adapted' | 'trained' | 'unsupported' | 'frozen';

/** A candidate with weights, and how an upgrade treats it. */
export interface Selected<At = Candidate> {
  at: At;
  info: SiteInfo;
  /** Widths of the site, if the candidate can be one. */
  dims?: SiteDims | undefined;
  status: SiteStatus;
  reason: string;
  /** Whether it is adapted because of a preset, though it gives an output of the model. */
  adaptedOutput?: boolean;
}

/** Why a candidate cannot carry an adapter. */
export interface Refusal {
  /** Continues a sentence that starts with `layer 'x' is`. */
  reason: string;
  /** Whether other layers of its class can, and only the options of this one forbid it. */
  asked: boolean;
  /** Whether it has adapters already that another upgrade owns. */
  carries?: boolean;
}

/** A candidate with weights, before targets are applied. */
export interface Described<At = Candidate> extends Pick<Selected<At>, 'at' | 'info' | 'dims'> {
  refusal?: Refusal | undefined;
  /** Whether it gives an output of the model, by itself or through what has no weights. Default false. */
  output?: boolean;
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
 * @throws ConfigError if `targets` or `alsoTrain` has another form; NoTargetError if nothing can be adapted,
 * or an entry of a list matches nothing; UnsupportedSiteError if an entry names a layer that cannot be
 * adapted, or matches only such layers.
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
          `${capital(noun)} '${info.name}' is named in targets and matched by alsoTrain ` +
            `(${describe(trained)}). A layer is either adapted or trained in full: remove it from one of them.`,
        );
      }
      return {at, info, dims, status: 'trained', reason: `alsoTrain ${describe(trained)} matches`};
    }
    const match = firstMatch(targets, candidate);
    if (refusal === undefined) {
      if (match === undefined) return {at, info, dims, status: 'frozen', reason: 'no target matches'};
      const adaptedOutput = typeof targets === 'string' && candidate.output === true;
      return {at, info, dims, status: 'adapted', reason: match, ...(adaptedOutput && {adaptedOutput})};
    }
    return {at, info, status: match === undefined ? 'frozen' : 'unsupported', reason: refusal.reason};
  });
  if (Array.isArray(targets)) for (const entry of targets) checkEntry(noun, entry, selected);
  if (!selected.some(({status}) => status === 'adapted'))
    throw nothingMatches(noun, targets, selected, described);
  return selected;
}

/** @throws ConfigError unless `targets` has one of the forms of {@link Targets}. */
export function checkTargets(targets: unknown, what = 'targets'): void {
  if (typeof targets === 'function' || (typeof targets === 'string' && Object.hasOwn(ALL, targets))) return;
  if (!Array.isArray(targets)) {
    throw new ConfigError(
      `${what} is ${describe(targets)}, but must be 'all-dense', 'all-projections', ` +
        "a list of names and patterns such as ['dense_1', /ffn/], or a predicate.",
    );
  }
  checkList(what, targets);
}

/** Whether targets select a candidate. */
export function takesIn(targets: Targets, candidate: Described): boolean {
  return firstMatch(targets, candidate) !== undefined;
}

/**
 * Whether an entry of targets is the name of this very candidate: it is an
 * error then if it cannot be adapted.
 */
export function isNamed(targets: Targets | undefined, {at}: Pick<Described, 'at'>): boolean {
  return Array.isArray(targets) && targets.some((entry) => typeof entry === 'string' && names(entry, at));
}

function checkList(what: string, list: unknown): void {
  const good = (entry: unknown) =>
    (typeof entry === 'string' && entry !== '') || entry instanceof RegExp || isShapeTarget(what, entry);
  if (!Array.isArray(list) || !list.every(good)) {
    throw new ConfigError(
      `${what} is ${describe(list)}, but must be a list of layer names, RegExps, and objects ` +
        "such as {op: 'MatMul'} and {weightShape: [64, 64]}.",
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

/** Why targets select a candidate; undefined if they do not. */
function firstMatch(targets: Targets, candidate: Described): string | undefined {
  const {info, dims, refusal} = candidate;
  if (typeof targets === 'string') {
    const {takes, reason} = ALL[targets];
    // The report names a layer that only its options keep from being adapted.
    return takes(info, dims) || (targets === 'all-projections' && refusal?.asked) ? reason : undefined;
  }
  if (typeof targets === 'function') return targets(info) ? 'the predicate is true' : undefined;
  const entry = targets.find((target) => matches(target, candidate));
  return entry === undefined ? undefined : `target ${describe(entry)} matches`;
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

/** Whether a string names this very candidate, and not a model or scope around it. */
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
    const sites = siteNames(selected);
    throw new UnsupportedSiteError(
      `Target ${describe(entry)}: ${noun} '${info.name}' is ${reason}. ` +
        (sites.length > 0
          ? `Target one of: ${listNames(sites)}.`
          : `The model has no ${noun} that can carry an adapter.`),
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
    `${what}: ${describe(entry)} matches no ${noun} with weights. Use one of the model's ${noun}s: ` +
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
      ? `Target one of these ${noun}s: ${listNames(sites)}`
      : `The model has no ${noun} that can carry an adapter${other}`;
  if (unsupported.length > 0) {
    return new UnsupportedSiteError(
      `The targets match only ${noun}s that cannot carry an adapter: ${listNames(unsupported)}. ${choice}.`,
    );
  }
  return new NoTargetError(`targets: ${describe(targets)} selects nothing to adapt. ${choice}.`);
}

function siteNames(selected: readonly Pick<Selected, 'info' | 'dims'>[]): string[] {
  return selected.filter(({dims}) => dims !== undefined).map(({info}) => info.name);
}

function capital(noun: LayerOrNode): string {
  return noun === 'layer' ? 'Layer' : 'Node';
}
