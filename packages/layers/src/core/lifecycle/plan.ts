import {
  ConfigError,
  DuplicateNameError,
  describe,
  NoTargetError,
  UnsupportedSiteError,
} from '@tfjs-peft/kernels';
import {checkInteger, checkOptions, LIMITS, plainCopy} from '@tfjs-peft/routers';
import type {AdapterConfig, SiteDims} from '../adapters/adapter.js';
import {checkCompatible} from '../adapters/compatibility.js';
import {adapterShapes, countTrainable, sharedShapes, sizeOf} from '../adapters/count.js';
import {createAdapter} from '../adapters/registry.js';
import {listNames} from '../messages.js';
import {checkSavedOnce, largestShapes, type SharedShape} from '../sites/shared-weights.js';
import {
  type Candidate,
  checkTargets,
  isNamed,
  type LayerOrNode,
  type Selected,
  type Target,
  type Targets,
  takesIn,
} from './select.js';

/** The config of {@link upgrade} for a model of any kind. */
export interface AnyUpgradeConfig {
  /** The adapter of every site, such as `{type: 'molora', experts: 4, rank: 4}`. */
  adapter: AdapterConfig;
  /** Which layers to adapt. Default `'all-dense'`. */
  targets?: Targets;
  /** Name of the adapter. Default `'default'`. */
  name?: string;
  /** Other options for some of the sites. If several overrides match a site, later ones win. */
  overrides?: Override[];
  /** Seed of the adapters' random initial values. Default: different every time. */
  seed?: number;
}

/** Options of {@link upgrade} for models whose layers have variables. */
export interface AlsoTrain {
  /**
   * Layers to train in full, such as a new head, by name, path, pattern, or the name of a nested model. Their
   * values belong to the adapter, as with PEFT's `modules_to_save`: it starts with a copy of the base's
   * values, which is enabled, saved, loaded and removed with the adapter. Default: none.
   */
  alsoTrain?: Target[];
}

/** The options of {@link UpgradeConfig}. */
export const UPGRADE_OPTIONS = ['adapter', 'targets', 'name', 'alsoTrain', 'overrides', 'seed'] as const;

/**
 * Options that replace those of the main adapter at some of its sites. With another `type`, `adapter` is a
 * complete config and inherits nothing.
 */
export interface Override {
  targets: Targets;
  adapter: Partial<AdapterConfig>;
}

/** A site that will carry an adapter. */
export interface PlannedSite<At = Candidate> {
  at: At;
  dims: SiteDims;
  /** With all defaults filled in. */
  config: AdapterConfig;
}

/** An upgrade that is checked in full and has changed nothing yet. */
export interface Plan<At = Candidate> {
  name: string;
  adapter: AdapterConfig;
  sites: PlannedSite<At>[];
  selected: Selected<At>[];
  seed: number | undefined;
  /** Shapes of the weights that all sites have in common. */
  shared: SharedShape[];
}

/** Decides how an upgrade treats every candidate of a model; see `selectTargets`. */
export type Select<At> = (targets: Targets | undefined, alsoTrain: Target[] | undefined) => Selected<At>[];

/**
 * Checks an upgrade against a model and changes nothing.
 *
 * @param existing Names of the adapters that the model has.
 * @throws ConfigError, NoTargetError, UnsupportedSiteError or DuplicateNameError.
 */
export function planUpgrade<At extends Candidate>(
  noun: LayerOrNode,
  select: Select<At>,
  given: AnyUpgradeConfig & AlsoTrain,
  existing: readonly string[],
): Plan<At> {
  const config = checkOptions('upgrade', given, UPGRADE_OPTIONS);
  config.adapter = plainCopy('upgrade: adapter', config.adapter);
  const name = checkName(config.name === undefined ? 'default' : config.name, existing);
  const seed =
    config.seed === undefined
      ? undefined
      : checkInteger('upgrade', 'seed', config.seed, {min: Number.MIN_SAFE_INTEGER});
  const adapter = createAdapter(config.adapter).getConfig();
  const selected = select(config.targets, config.alsoTrain);
  const sites = selected
    .filter(({status}) => status === 'adapted')
    .map((candidate) => ({candidate, config: config.adapter}));
  for (const override of checkOverrides(config.overrides)) {
    const matched = sites.filter(({candidate}) => takesIn(override.targets, candidate));
    if (matched.length === 0) {
      throw new NoTargetError(
        `upgrade: the override for ${describe(override.targets)} matches no adapted ${noun}. ` +
          'Correct its targets or remove it.',
      );
    }
    for (const site of matched) site.config = merge(site.config, override.adapter);
  }
  const {planned, judged} = fitting(noun, sites, selected, config.targets);
  const asked = planned.flatMap(({config, dims}) => sharedShapes(config, dims));
  checkSavedOnce(asked);
  const shared = largestShapes(asked);
  const common = shared.reduce((sum, {shape}) => sum + sizeOf(shape), 0);
  const total = planned.reduce((sum, {config, dims}) => sum + countSite({config, dims}).total, common);
  if (total > LIMITS.parameters) {
    throw new ConfigError(
      `upgrade: the adapter would have ${total} parameters at ${planned.length} ${noun}s, but at most ` +
        `${LIMITS.parameters} are possible. Set a smaller rank or fewer experts, or target fewer ${noun}s.`,
    );
  }
  return {name, adapter, seed, shared, sites: planned, selected: judged};
}

/**
 * The sites that can carry their adapters. Others that a pattern, a predicate or a preset selected, such as
 * an output too narrow for the router, stay frozen, and the report gives the reason.
 *
 * @throws UnsupportedSiteError of the first that cannot, if targets name it or no site is left.
 */
function fitting<At extends Candidate>(
  noun: LayerOrNode,
  sites: readonly {candidate: Selected<At>; config: AdapterConfig}[],
  selected: readonly Selected<At>[],
  targets: Targets | undefined,
): {planned: PlannedSite<At>[]; judged: Selected<At>[]} {
  const planned: PlannedSite<At>[] = [];
  const refused = new Map<Selected<At>, UnsupportedSiteError>();
  for (const {candidate, config} of sites) {
    const {at, info, dims} = candidate;
    try {
      planned.push({at, dims: dims!, config: checkAdapter(config, dims!, noun, info.name)});
    } catch (error) {
      if (!(error instanceof UnsupportedSiteError)) throw error;
      refused.set(candidate, error);
    }
  }
  const named = [...refused.keys()].find((candidate) => isNamed(targets, candidate));
  if (named !== undefined || (planned.length === 0 && refused.size > 0)) {
    const [first, error] = named === undefined ? [...refused][0]! : [named, refused.get(named)!];
    const others = [...refused.keys()].filter((candidate) => candidate !== first).map(({info}) => info.name);
    if (others.length > 0) error.message += ` The same holds for: ${listNames(others)}.`;
    throw error;
  }
  return {
    planned,
    judged: selected.map((candidate) => {
      const error = refused.get(candidate);
      return error === undefined ? candidate : {...candidate, status: 'unsupported', reason: error.message};
    }),
  };
}

/** The number of parameters that a site's adapter trains, and of all its parameters. */
export function countSite({config, dims}: Omit<PlannedSite, 'at'>): {trainable: number; total: number} {
  const total = adapterShapes(config, dims).reduce((sum, {shape}) => sum + sizeOf(shape), 0);
  return {trainable: countTrainable(config, dims), total};
}

/** The name is part of the name of every weight. */
const MOST_LETTERS = 1000;

/**
 * @throws ConfigError unless `name` is a non-empty string; DuplicateNameError if an adapter has that name.
 */
export function checkName(name: unknown, existing: readonly string[]): string {
  if (typeof name !== 'string' || name === '') {
    throw new ConfigError(`upgrade: name is ${describe(name)}. Set name to a string that is not empty.`);
  }
  if (name.length > MOST_LETTERS) {
    throw new ConfigError(
      `upgrade: name has ${name.length} characters. Set name to at most ${MOST_LETTERS}.`,
    );
  }
  if (existing.includes(name)) {
    throw new DuplicateNameError(
      `upgrade: the model already has an adapter '${name}'. Set another name, or call ` +
        `peft.remove('${name}') first.`,
    );
  }
  return name;
}

function checkOverrides(overrides: unknown): Override[] {
  if (overrides === undefined) return [];
  if (!Array.isArray(overrides)) {
    throw new ConfigError(
      `upgrade: overrides is ${describe(overrides)}, but must be a list such as [{targets: ['head'], ` +
        'adapter: {rank: 8}}].',
    );
  }
  return overrides.map((given: Override) => {
    const override = checkOptions('upgrade: an override', given, ['targets', 'adapter']);
    checkTargets(override.targets, "an override's targets");
    if (typeof override.adapter !== 'object' || override.adapter === null) {
      throw new ConfigError(
        `upgrade: an override's adapter is ${describe(override.adapter)}. Set it to the options that ` +
          'differ, such as {rank: 8}.',
      );
    }
    return {
      targets: override.targets,
      adapter: plainCopy("upgrade: an override's adapter", override.adapter),
    };
  });
}

function merge(base: AdapterConfig, change: Partial<AdapterConfig>): AdapterConfig {
  const replaces = change.type !== undefined && change.type !== base.type;
  return (replaces ? change : {...base, ...change}) as AdapterConfig;
}

/** The config with all defaults. */
function checkAdapter(config: AdapterConfig, dims: SiteDims, noun: LayerOrNode, name: string): AdapterConfig {
  const adapter = createAdapter(config, dims);
  const label = `${noun === 'layer' ? 'Layer' : 'Node'} '${name}'`;
  checkCompatible(adapter, dims, label);
  // A graph keeps its sequence lengths in constants, and nothing tells which of them belong to this node.
  if (noun === 'node' && adapter.virtualTokens) {
    throw new UnsupportedSiteError(
      `${label} cannot carry ${adapter.virtualTokens} virtual tokens: sequence lengths of a GraphModel are ` +
        'fixed. Use an adapter without a prompt.',
    );
  }
  try {
    adapterShapes(config, dims);
  } catch (error) {
    // The adapter refuses the widths of a site but does not know its name.
    if (error instanceof UnsupportedSiteError) error.message = `${label}: ${error.message}`;
    throw error;
  }
  return adapter.getConfig();
}
