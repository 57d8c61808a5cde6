import * as tf from '@tensorflow/tfjs-core';
import {adapterShapes} from '../adapters/count.js';
import {adapters, createAdapter} from '../adapters/registry.js';
import {
  type AdapterFile,
  type FileLayer,
  type FileWeight,
  isHead,
  type StoredFile,
  sameShape,
  savedShared,
  sharedKey,
  siteConfig,
  type WeightValues,
  weightKey,
} from '../io/adapter-file.js';
import {type Rename, renameSites} from '../io/rename.js';
import type {SharedShape} from '../sites/shared-weights.js';
import type {AdaptedModel, FileVariables, SiteVariables, StoredAdapter} from './adapted-model.js';
import {checkBase, fail} from './base-check.js';
import {checkName, type Plan, type PlannedSite} from './plan.js';

/** Options of {@link AnyPeft.load}. */
export interface LoadOptions {
  /** Name of the adapter in the model. Default: its name in the file. */
  name?: string;
  /** Load the adapter even if the file was saved with other base weights. Default false. */
  ignoreBase?: boolean;
  /**
   * The model's name for each site of the file: an object, a Map, or a function of the file's name. Use it if
   * the file was saved from a model of another kind, or with other layer names. A site may then be of another
   * kind too, such as a 1 x 1 convolution for a Dense, if its weights have the same shapes. The base weights
   * usually differ then: see `ignoreBase`. Default: the names of the file.
   */
  rename?: Rename;
}

/**
 * Checks everything that loading an adapter into a model needs.
 *
 * @returns A function that loads the adapter synchronously and makes it active. It checks the model again,
 * which may have changed.
 * @throws WeightMismatchError if the file does not fit the model; the errors of `planUpgrade` if its adapter
 * cannot be made there.
 */
export async function prepareLoad(
  state: AdaptedModel,
  stored: StoredFile,
  {name = stored.file.name, ignoreBase = false, rename}: LoadOptions,
): Promise<() => void> {
  const {file, weights} = rename === undefined ? stored : renameSites(stored, rename);
  // A type that is not known is the first thing to say.
  adapters.get(file.adapter.type);
  const prepare = () => planLoad(state, file, name, rename !== undefined);
  prepare();
  if (!ignoreBase) await checkBase(state, file);
  return () => {
    const plan = prepare();
    if (plan !== undefined) state.add(plan);
    else state.enable(name);
    state.expectHeads(
      name,
      file.trained.filter((layer) => isHead(layer.name)),
    );
    const sites = state.siteVariables(name);
    assign([...sites, ...trainedOf(state, name, file)], weights);
    assignShared(sites, file, weights);
  };
}

/** The upgrade that makes the file's adapter; undefined if the model has that adapter already and it fits. */
function planLoad(state: AdaptedModel, file: AdapterFile, name: string, renamed: boolean): Plan | undefined {
  const existing = state.adapters.get(name);
  if (existing !== undefined) {
    checkExisting(state, name, existing, file);
    return undefined;
  }
  checkName(name, []);
  checkLayers(state, file, renamed);
  const known = new Set(file.trained.map(({name}) => name));
  const sites = new Map(file.sites.map((site) => [site.name, site]));
  const plan = state.plan({
    adapter: file.adapter,
    targets: ({name}) => sites.has(name),
    overrides: file.overrides.map(({site, adapter}) => ({targets: (info) => info.name === site, adapter})),
    name,
  });
  for (const selected of plan.selected) {
    if (!known.has(selected.info.name)) continue;
    selected.status = 'trained';
    selected.reason = 'the file has its weights';
  }
  const problems = [
    ...compareShared(plan.shared, file.shared ?? []),
    ...plan.sites.flatMap((site) => siteProblems(site, file)),
  ];
  // The file's shapes: the largest site may have been removed since the weights were drawn.
  plan.shared = file.shared ?? [];
  fail(
    problems,
    'The weights do not fit the adapter that the config describes',
    'Register the adapter that saved them, or save the adapter again.',
  );
  return plan;
}

/** Checks that the model has all layers of the file, with the same shapes. */
function checkLayers(state: AdaptedModel, file: AdapterFile, renamed: boolean): void {
  const problems: string[] = [];
  for (const {name, kind, shape} of file.sites) {
    const found = state.siteAt(name);
    const place = `${state.noun} '${name}'`;
    if (found === 'missing') problems.push(`${place} is missing in the model`);
    else if (typeof found === 'string')
      problems.push(`${place} is ${found} in the model, but of kind '${kind}' in the file`);
    else if (found.kind !== kind && !renamed)
      problems.push(`${place} is of kind '${found.kind}' in the model, but '${kind}' in the file`);
    else if (!sameShape(found.shape, shape))
      problems.push(`${place} is [${found.shape}] in the model, but [${shape}] in the file`);
  }
  for (const layer of file.trained) {
    if (state.noun === 'node' && isHead(layer.name)) continue;
    const found = state.variablesAt(layer.name);
    if (found === undefined) problems.push(`layer '${layer.name}' is missing in the model`);
    else problems.push(...compare(layer, found.file.weights, 'model'));
  }
  fail(
    problems,
    'The file belongs to another model',
    "Load it into the model it was trained on, or map its names to this model's: load(from, {rename: {…}}).",
  );
}

/** Checks that the model's adapter of that name is the file's. */
function checkExisting(state: AdaptedModel, name: string, existing: StoredAdapter, file: AdapterFile): void {
  const problems: string[] = [];
  const sites = new Map(file.sites.map((site) => [site.name, site]));
  for (const path of existing.sites.keys()) {
    if (!sites.has(path)) problems.push(`site '${path}' is missing in the file`);
  }
  for (const site of file.sites) {
    const config = existing.sites.get(site.name);
    if (config === undefined) {
      problems.push(`site '${site.name}' does not carry this adapter in the model`);
      continue;
    }
    const dims = state.dimsAt(site.name);
    const wanted = JSON.stringify(createAdapter(siteConfig(file, site.name), dims).getConfig());
    if (JSON.stringify(config) !== wanted) {
      problems.push(
        `site '${site.name}' has ${JSON.stringify(config)} in the model, but ${wanted} in the file`,
      );
    }
    problems.push(...siteProblems({at: {path: site.name}, dims, config}, file));
  }
  const [ours, theirs] = [existing.shared, file.shared ?? []].map((shared) => JSON.stringify(shared));
  if (ours !== theirs)
    problems.push(`the shared weights are ${ours} in the model, but ${theirs} in the file`);
  const trained = new Map(state.trainedVariables(name).map((layer) => [layer.file.name, layer.file]));
  const given = new Set(file.trained.map((layer) => layer.name));
  for (const path of trained.keys()) {
    if (!given.has(path) && !isHead(path))
      problems.push(`layer '${path}' is trained in full in the model, but not in the file`);
  }
  for (const layer of file.trained) {
    const found = trained.get(layer.name);
    if (found === undefined && isHead(layer.name)) continue;
    if (found === undefined)
      problems.push(`layer '${layer.name}' is trained in full in the file, but not in the model`);
    else problems.push(...compare(layer, found.weights, 'model'));
  }
  fail(
    problems,
    `The file does not fit the model's adapter '${name}'`,
    `Load it under another name: load(from, {name: 'other'}).`,
  );
}

/** What is wrong with the shared weights of a file, which must hold what the sites ask for. */
function compareShared(asked: readonly SharedShape[], given: readonly SharedShape[]): string[] {
  const shapes = new Map(given.map(({name, shape}) => [name, shape]));
  const names = new Set(asked.map(({name}) => name));
  const saved = new Map(given.map(({name, saved}) => [name, saved]));
  const missing = asked.flatMap(({name, shape, saved: own}) => {
    const whole = shapes.get(name);
    if (whole === undefined) return [`the shape of the shared weight '${name}' is missing in the file`];
    if (own !== saved.get(name)) {
      const [ours, theirs] = own ? ['saves', 'has no values'] : ['does not save', 'has values'];
      return [`the adapter ${ours} the shared weight '${name}', but the file ${theirs} of it`];
    }
    const holds = whole.length === shape.length && shape.every((axis, i) => axis <= whole[i]!);
    return holds ? [] : [`the shared weight '${name}' is [${whole}] in the file, but must hold [${shape}]`];
  });
  const extra = given.flatMap(({name}) =>
    names.has(name) ? [] : [`the adapter has no shared weight '${name}'`],
  );
  return [...missing, ...extra];
}

/** How the file's weights at a site differ from what the adapter's config makes there. */
function siteProblems(
  {at, dims, config}: Pick<PlannedSite, 'dims' | 'config'> & {at: {path: string}},
  file: AdapterFile,
): string[] {
  const layer = file.sites.find(({name}) => name === at.path)!;
  return compare(layer, adapterShapes(config, dims), 'adapter');
}

function compare(layer: FileLayer, wanted: readonly FileWeight[], where: string): string[] {
  const problems: string[] = [];
  const shapes = new Map(wanted.map(({name, shape}) => [name, shape]));
  const found = new Set(layer.weights.map(({name}) => name));
  for (const {name, shape} of layer.weights) {
    const own = shapes.get(name);
    const key = weightKey(layer.name, name);
    if (own === undefined) problems.push(`the ${where} has no weight '${key}'`);
    else if (!sameShape(own, shape))
      problems.push(`'${key}' is [${own}] in the ${where}, but [${shape}] in the file`);
  }
  for (const name of shapes.keys()) {
    if (!found.has(name)) problems.push(`'${weightKey(layer.name, name)}' is missing in the file`);
  }
  return problems;
}

function trainedOf(state: AdaptedModel, name: string, file: AdapterFile): FileVariables[] {
  const wanted = new Set(file.trained.map(({name}) => name));
  return state.trainedVariables(name).filter(({file}) => wanted.has(file.name));
}

function assign(layers: readonly FileVariables[], weights: ReadonlyMap<string, WeightValues>): void {
  tf.tidy(() => {
    for (const {file, variables} of layers) {
      for (const [name, variable] of variables) {
        const {shape, values} = weights.get(weightKey(file.name, name))!;
        variable.write(tf.tensor(values, shape, 'float32'));
      }
    }
  });
}

/** The sites of an adapter get one copy of the values, without the rest of the file that they lie in. */
function assignShared(
  sites: readonly SiteVariables[],
  file: AdapterFile,
  weights: ReadonlyMap<string, WeightValues>,
): void {
  const values = new Map(
    savedShared(file).map(({name}) => [name, weights.get(sharedKey(name))!.values.slice()]),
  );
  for (const {shared, useShared} of sites) {
    useShared(new Map([...values].filter(([name]) => shared.has(name))));
  }
}
