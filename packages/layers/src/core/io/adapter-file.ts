import {ConfigError, describe, WeightMismatchError} from '@tfjs-peft/kernels';
import type {AdapterConfig} from '../adapters/adapter.js';
import {isSketch} from './sketch.js';

/** A weight in a file: its name at its site, and its shape. */
export interface FileWeight {
  name: string;
  shape: number[];
}

/** A layer that the file has weights of. */
export interface FileLayer {
  name: string;
  weights: FileWeight[];
}

/** A site of the file's adapter. */
export interface FileSite extends FileLayer {
  /** What the layer is to an adapter, such as `dense`. */
  kind: string;
  /** [inputDim, outputDim]. */
  shape: [number, number];
}

/** A weight of the base model, known by the SHA-256 of its bytes. */
export interface BaseWeight extends FileWeight {
  sha256: string;
  /** What tells it where a GPU rounds weights to halves; see `sketchOf`. The first files lack it. */
  sketch?: string;
}

/** What `adapter_config.json` says. */
export interface AdapterFile {
  format: 'tfjs-peft';
  /** Version of this form. */
  schema: 1;
  name: string;
  adapter: AdapterConfig;
  /** Sites whose config is another one. A list, since a site may be called `__proto__`. */
  overrides: {site: string; adapter: AdapterConfig}[];
  sites: FileSite[];
  /**
   * Weights that all sites have in common, and whether the file has their values; if not, they are drawn
   * again. Default: there are none.
   */
  shared?: (FileWeight & {saved?: true})[];
  /** Layers that were trained in full, and heads of trainers, whose weights are in the file too. */
  trained: FileLayer[];
  /**
   * The frozen weights that the adapter was trained with; `sha256` is over all their names, shapes and bytes.
   */
  base: {
    sha256: string;
    weights: BaseWeight[];
    /**
     * The device that saved the file keeps weights as halves, so that the hashes may be of rounded values.
     */
    halves?: true;
  };
  /** SHA-256 over the names, shapes and bytes of the adapter's weights. */
  weightsSha256: string;
}

/** A float32 weight as it lies in memory. */
export interface WeightValues {
  shape: number[];
  values: Float32Array;
}

/** An adapter as it is stored: its config, and its weights by key. */
export interface StoredFile {
  file: AdapterFile;
  weights: Map<string, WeightValues>;
}

export const CONFIG_FILE = 'adapter_config.json';
export const WEIGHTS_FILE = 'adapter_model.safetensors';

/** No node of a graph can be called so, and no site. */
const HEAD = 'head:';

/**
 * What a head that a trainer put behind a GraphModel is called among the layers that were trained in full.
 */
export function headName(name: string): string {
  return HEAD + name;
}

/** Whether a layer of a file is such a head. */
export function isHead(layer: string): boolean {
  return layer.startsWith(HEAD);
}

/** Key of a weight among the file's tensors. */
export function weightKey(layer: string, weight: string): string {
  return `${layer}.${weight}`;
}

/**
 * Key, among the file's tensors, of a weight that all sites have in common. No layer with weights can have a
 * colon in its name.
 */
export function sharedKey(weight: string): string {
  return `shared:${weight}`;
}

/** The weights that all sites have in common, as far as the file has their values. */
export function savedShared({shared = []}: AdapterFile): FileWeight[] {
  return shared.filter(({saved}) => saved);
}

/** Config of the adapter at a site of the file. */
export function siteConfig(file: AdapterFile, site: string): AdapterConfig {
  return file.overrides.find((override) => override.site === site)?.adapter ?? file.adapter;
}

/**
 * Checks what was read as `adapter_config.json`.
 *
 * @throws ConfigError naming the field that is missing or of another form.
 */
export function checkAdapterFile(value: unknown, place = CONFIG_FILE): AdapterFile {
  const file = value as AdapterFile;
  const check = (good: boolean, field: string, wanted: string) => {
    if (!good) {
      throw new ConfigError(
        `${place}: ${field} must be ${wanted}. This is not an adapter's config, or it is damaged.`,
      );
    }
  };
  check(isObject(value), 'its content', 'a JSON object');
  if ('peft_type' in file) {
    throw new ConfigError(
      `${place}: format must be 'tfjs-peft', but this is an adapter of Python's PEFT ` +
        `(${describe(file.peft_type)}). Load one that save wrote.`,
    );
  }
  check(file.format === 'tfjs-peft', 'format', "'tfjs-peft'");
  if (file.schema !== 1) {
    throw new ConfigError(
      `${place}: schema is ${describe(file.schema)}, but this version reads 1. Update @tfjs-peft/layers.`,
    );
  }
  check(typeof file.name === 'string' && file.name !== '', 'name', 'a text');
  check(isObject(file.adapter), 'adapter', 'an object');
  check(
    isList(file.overrides, (entry) => isText(entry.site) && isObject(entry.adapter)),
    'overrides',
    'a list',
  );
  const isSite = (site: Fields) =>
    isLayer(site) && isText(site.kind) && isShape(site.shape) && site.shape.length === 2;
  check(
    isList(file.sites, isSite) && file.sites.length > 0,
    'sites',
    'a list of sites with their shapes and weights',
  );
  const overridden = new Set(file.overrides.map(({site}) => site));
  const known = new Set(file.sites.map(({name}) => name));
  const sound = overridden.size === file.overrides.length && [...overridden].every((site) => known.has(site));
  check(sound, 'overrides', 'of sites of the file, each once');
  check(file.shared === undefined || isSharedShapes(file.shared), 'shared', 'a list of names and shapes');
  const common = (file.shared ?? []).map(({name}) => name);
  check(new Set(common).size === common.length, 'shared', 'free of names that come twice');
  check(isList(file.trained, isLayer), 'trained', 'a list of layers with their weights');
  check(isObject(file.base) && isText(file.base.sha256), 'base.sha256', 'a text');
  const isBase = (weight: Fields) =>
    isWeight(weight) && isText(weight.sha256) && (weight.sketch === undefined || isSketch(weight.sketch));
  check(isList(file.base.weights, isBase), 'base.weights', 'a list of names, shapes and hashes');
  check(file.base.halves === undefined || file.base.halves === true, 'base.halves', 'true or left out');
  check(isText(file.weightsSha256), 'weightsSha256', 'a text');
  const names = [...file.sites, ...file.trained].map(({name}) => name);
  check(new Set(names).size === names.length, 'sites and trained', 'free of layers that come twice');
  return file;
}

/**
 * Checks that the tensors of a file are those of which its config speaks.
 *
 * @throws WeightMismatchError naming the first few that are missing, extra or of another shape.
 */
export function checkWeights(file: AdapterFile, weights: ReadonlyMap<string, WeightValues>): void {
  const expected = new Map<string, number[]>();
  for (const layer of [...file.sites, ...file.trained]) {
    for (const {name, shape} of layer.weights) expected.set(weightKey(layer.name, name), shape);
  }
  for (const {name, shape} of savedShared(file)) expected.set(sharedKey(name), shape);
  const problems: string[] = [];
  for (const [key, shape] of expected) {
    const found = weights.get(key);
    if (found === undefined) problems.push(`'${key}' is missing`);
    else if (!sameShape(found.shape, shape)) {
      problems.push(`'${key}' has shape [${found.shape}], but must have [${shape}]`);
    }
  }
  for (const key of weights.keys()) if (!expected.has(key)) problems.push(`'${key}' is not expected`);
  if (problems.length > 0) {
    throw new WeightMismatchError(
      `The weights do not fit ${CONFIG_FILE}: ${listProblems(problems)}. Save the adapter again: both ` +
        'files belong together.',
    );
  }
}

/**
 * Refuses weights that are not finite: they make every output NaN.
 *
 * @throws WeightMismatchError naming the first few.
 */
export function checkFinite(weights: ReadonlyMap<string, WeightValues>, verb: 'save' | 'load'): void {
  const problems: string[] = [];
  for (const [key, {values}] of weights) {
    const at = values.findIndex((value) => !Number.isFinite(value));
    if (at >= 0) problems.push(`'${key}' has ${values[at]} at position ${at}`);
  }
  if (problems.length === 0) return;
  const wayOut =
    verb === 'save'
      ? 'Training went wrong: load the last good file, or upgrade anew, and train with a smaller learning ' +
        'rate.'
      : 'Training had gone wrong before it was saved: use an earlier file.';
  throw new WeightMismatchError(`The adapter's weights are not finite: ${listProblems(problems)}. ${wayOut}`);
}

export function sameShape(left: readonly unknown[], right: readonly unknown[]): boolean {
  return left.length === right.length && left.every((axis, i) => axis === right[i]);
}

export function listProblems(problems: readonly string[], most = 4): string {
  const more = problems.length - most;
  const shown = problems.slice(0, most).map((text) => (text.length > 600 ? `${text.slice(0, 600)}…` : text));
  return shown.join('; ') + (more > 0 ? `; and ${more} more` : '');
}

type Fields = Record<string, unknown>;

function isObject(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function isList(value: unknown, each: (entry: Fields) => boolean): boolean {
  return Array.isArray(value) && value.every((entry) => isObject(entry) && each(entry));
}

function isText(value: unknown): value is string {
  return typeof value === 'string';
}

export function isShape(value: unknown): value is number[] {
  return Array.isArray(value) && value.every((axis) => Number.isSafeInteger(axis) && axis >= 0);
}

/** Whether it is a list of names and shapes of weights that sites have in common. */
export function isSharedShapes(value: unknown): value is (FileWeight & {saved?: true})[] {
  return isList(value, (weight) => isWeight(weight) && (weight.saved === undefined || weight.saved === true));
}

function isWeight(weight: Fields): boolean {
  return isText(weight.name) && isShape(weight.shape);
}

function isLayer(layer: Fields): boolean {
  return isText(layer.name) && isList(layer.weights, isWeight);
}
