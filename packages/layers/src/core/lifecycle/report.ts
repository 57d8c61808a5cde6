import {listNames} from '../messages.js';
import type {AdaptedModel, SharedWith, StoredVariable} from './adapted-model.js';
import {describeGap, type LayerGap} from './layer-gap.js';
import {countSite, type PlannedSite} from './plan.js';
import type {LayerOrNode, Selected, SiteInfo, SiteStatus} from './select.js';

/** A layer with weights, or a node of a graph, in a {@link Report}. */
export interface ReportSite extends Omit<SiteInfo, 'layer' | 'parameters'> {
  status: SiteStatus;
  /** The reason for the status, in words. */
  reason: string;
  /** Number of parameters trained here. */
  trainable: number;
}

/** What an upgrade did, or would do, to a model. */
export interface Report {
  /** Name of the adapter; null in a dry run. */
  adapter: string | null;
  /** All layers with weights, in the model's order. */
  sites: ReportSite[];
  /** Number of trained parameters: the adapter's, and those of layers trained in full. */
  trainable: number;
  /** Number of parameters of the model without adapters, embeddings included. */
  base: number;
  /** Number of parameters of the model with this adapter. */
  total: number;
  /** trainable / total. */
  share: number;
  /**
   * Other models that share layers with this one: the adapters change their outputs and are saved with them.
   * Only LayersModels made since this package was imported are known.
   */
  sharedWith: SharedWith[];
  /**
   * Layers of a LayersModel through which training needs a gradient but tfjs has no correct one, and what to
   * import. `fit` throws while there are any. For a GraphModel, see its trainer's `preflight`.
   */
  gaps: LayerGap[];
  /**
   * Adapted layers or nodes that give the model's outputs, which `'all-dense'` and `'all-projections'` select
   * too. A head that is not trained yet is better named in `alsoTrain`, and left out of `targets`.
   */
  adaptedOutputs: string[];
  /** The report as a table. */
  toString(): string;
}

/** The number of parameters that training changes in each layer or node of the active adapter. */
export function trainedNow(state: AdaptedModel, name: string): ReadonlyMap<string, number> {
  const trained = new Set(state.trainableVariables().map(({id}) => id));
  const parts = [...state.siteVariables(name), ...state.trainedVariables(name)];
  const count = (variables: Iterable<StoredVariable>) =>
    [...variables]
      .map((variable) => variable.read())
      .reduce((sum, {id, size}) => sum + (trained.has(id) ? size : 0), 0);
  return new Map(parts.map(({file, variables}) => [file.name, count(variables.values())]));
}

/**
 * @param sites The sites that carry the adapter; empty if none is chosen yet.
 * @param now Number of parameters trained in each, if known. Default: all that
 * the adapter and its layers train.
 */
export function makeReport(
  state: AdaptedModel,
  adapter: string | null,
  selected: readonly Selected[],
  sites: readonly PlannedSite[],
  now?: ReadonlyMap<string, number>,
): Report {
  const counts = new Map(sites.map((site) => [site.at.path, countSite(site)]));
  const rows = selected.map(({at, info, status, reason}): ReportSite => {
    const {layer: _, parameters: __, ...shown} = info;
    const {name} = info;
    const all = status === 'trained' ? state.countTrained(at) : (counts.get(name)?.trainable ?? 0);
    return {...shown, status, reason, trainable: now === undefined ? all : (now.get(name) ?? 0)};
  });
  const sum = (numbers: number[]) => numbers.reduce((total, number) => total + number, 0);
  const trainable = sum(rows.map((row) => row.trainable));
  const base = state.parameters;
  const total = base + sum([...counts.values()].map((count) => count.total));
  const {sharedWith, gaps} = state;
  const adaptedOutputs = selected.filter((row) => row.adaptedOutput).map(({info}) => info.name);
  const share = total === 0 ? 0 : trainable / total;
  return {
    adapter,
    sites: rows,
    trainable,
    base,
    total,
    share,
    sharedWith,
    gaps,
    adaptedOutputs,
    toString: () =>
      toText(state.noun, adapter, rows, {trainable, total, share, sharedWith, gaps, adaptedOutputs}),
  };
}

const TRAINABLE = 'trainable';

const NODE_COLUMNS: [string, (row: ReportSite) => string][] = [
  ['op', ({className}) => className],
  ['weight', ({weightShape}) => (weightShape === null ? '' : `[${weightShape.join(', ')}]`)],
  ['stored as', ({dtype}) => dtype ?? ''],
];

function toText(
  noun: LayerOrNode,
  adapter: string | null,
  rows: readonly ReportSite[],
  {
    trainable,
    total,
    share,
    sharedWith,
    gaps,
    adaptedOutputs,
  }: Pick<Report, 'trainable' | 'total' | 'share' | 'sharedWith' | 'gaps' | 'adaptedOutputs'>,
): string {
  // A node's name says little, so its row shows the op and how its weight is stored.
  const columns: [string, (row: ReportSite) => string][] = [
    [noun, ({name}) => name],
    ...(noun === 'layer' ? [] : NODE_COLUMNS),
    ['shape', ({shape}) => shape?.join(' x ') ?? ''],
    ['status', ({status}) => status],
    [TRAINABLE, ({trainable}) => (trainable === 0 ? '' : number(trainable))],
    ['why', ({reason}) => reason],
  ];
  const cells = [columns.map(([title]) => title), ...rows.map((row) => columns.map(([, cell]) => cell(row)))];
  const widths = columns.map((_, column) => Math.max(...cells.map((row) => row[column]!.length)));
  const lines = cells.map((row) =>
    row
      .map((cell, column) =>
        columns[column]![0] === TRAINABLE ? cell.padStart(widths[column]!) : cell.padEnd(widths[column]!),
      )
      .join('  ')
      .trimEnd(),
  );
  const title = adapter === null ? 'Dry run' : `Adapter '${adapter}'`;
  const end = `${number(trainable)} of ${number(total)} parameters are trained (${(100 * share).toFixed(2)} %).`;
  const others = sharedWith.map(
    ({model, layers}) => `Model '${model}' shares ${listNames(layers)}: this adapter changes it too.`,
  );
  const heads = adaptedOutputs.length === 0 ? [] : [describeOutputs(noun, adaptedOutputs)];
  return [`${title}:`, ...lines, end, ...heads, ...others, ...gaps.map(describeGap)].join('\n');
}

function describeOutputs(noun: LayerOrNode, names: readonly string[]): string {
  const instead =
    noun === 'layer'
      ? ' To train a new head in full, name it in alsoTrain instead.'
      : ' A new head belongs to a trainer.';
  return (
    `Warning: ${listNames(names)} ${names.length === 1 ? 'gives an output' : 'give outputs'} of the model and carries the adapter too, ` +
    `since a preset of targets takes in every ${noun} of its kind. To leave it as it is, list the other ${noun}s in targets.${instead}`
  );
}

function number(value: number): string {
  return value.toLocaleString('en-US');
}
