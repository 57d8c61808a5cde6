import * as tf from '@tensorflow/tfjs-core';
import {WeightMismatchError} from '@tfjs-peft/kernels';
import {type Log, UnsupportedModelError} from '../log.js';
import type {ExpectedWeight} from './probe.js';
import {namesIn} from './weight-paths.js';

type Spec = tf.io.WeightsManifestEntry;

/**
 * Where weights of a `.keras` file are: the layer's path, what is inside the
 * layer, and which of its weights it is.
 */
const VARS = /^(?<layer>(?:layers\/[^/]+\/)*layers\/[^/]+)(?:\/(?<inside>.*))?\/vars\/(?<index>\d+)$/;

/**
 * The names that tfjs looks for, for the weights of a file. Keras names them by layer in an h5 file, with the
 * models, wrappers and cells around a weight or without, and by class and position in a `.keras` file
 * (tfjs#8494); the order within a layer is the same everywhere, and shapes are checked.
 *
 * @returns the specs under the names of tfjs, in the file's order; `undefined` in place of a weight that is
 * nobody's: the state of a random generator.
 * @throws WeightMismatchError naming a weight that no layer takes, one that is not in
 * the file, or one of another shape.
 */
export function renameWeights(
  specs: readonly Spec[],
  expected: ReadonlyMap<string, readonly ExpectedWeight[]>,
  paths: ReadonlyMap<string, string>,
  log: Log,
): (Spec | undefined)[] {
  const all = [...expected.values()].flat();
  const names = new Set(all.map(({name}) => name));
  if (names.size === all.length && specs.every(({name}) => names.has(name))) {
    checkNamed(specs, expected);
    return [...specs];
  }

  const byLayer = new Map<string, Spec[]>();
  const nobodys = new Set<Spec>();
  const full = (key: string) => (byLayer.get(key)?.length ?? 0) >= expected.get(key)!.length;
  for (const spec of specs) {
    if (spec.group === 'optimizer' || isGeneratorState(spec.name)) {
      nobodys.add(spec);
      continue;
    }
    const key = VARS.test(pathOf(spec.name))
      ? layerByPath(spec.name, paths)
      : layerByName(spec.name, expected, full);
    if (key === undefined || !expected.has(key)) throw noLayer(spec, expected);
    byLayer.set(key, [...(byLayer.get(key) ?? []), spec]);
  }

  const renamed = new Map<Spec, Spec>();
  for (const [key, weights] of expected) {
    const given = inLayerOrder(key, byLayer.get(key) ?? []);
    for (const [i, spec] of pair(key, weights, given).entries()) {
      const {name} = weights[i]!;
      if (spec.name !== name) log('weight-names', name, `it is the weight '${spec.name}' of the file.`);
      renamed.set(spec, {...spec, name});
    }
  }
  return specs.map((spec) => {
    if (spec.group === 'optimizer') return spec;
    if (nobodys.has(spec))
      log(
        'weight-names',
        spec.name,
        'the state of a random generator is left out, because tfjs does not use it.',
      );
    return renamed.get(spec);
  });
}

/** Older files write the same path with other separators and another name for `layers`. */
function pathOf(name: string): string {
  return name.replaceAll('\\', '/').replaceAll('_layer_checkpoint_dependencies/', 'layers/');
}

function isGeneratorState(name: string): boolean {
  return /seed_generator/.test(name);
}

function layerByPath(name: string, paths: ReadonlyMap<string, string>): string | undefined {
  return paths.get(VARS.exec(pathOf(name))!.groups!.layer!);
}

/**
 * The layer whose own name and, where several layers have it, the names of the models
 * around it, are in the weight's name.
 */
function layerByName(
  name: string,
  expected: ReadonlyMap<string, readonly ExpectedWeight[]>,
  full: (key: string) => boolean,
): string | undefined {
  const parts = name.split('/').slice(0, -1);
  // A second Keras session in one process appends a number to its names: batch_normalization_1_1/gamma
  // belongs to batch_normalization_1.
  const counted = parts.map((part) => part.replace(/_\d+$/, ''));
  for (const candidates of [parts, counted]) {
    for (const part of candidates) {
      const keys = [...expected.keys()].filter((key) => namesIn(key).at(-1) === part && !full(key));
      if (keys.length === 0) continue;
      const shared = (key: string) => namesIn(key).filter((model) => candidates.includes(model)).length;
      return keys.reduce((best, key) => (shared(key) > shared(best) ? key : best));
    }
  }
  return undefined;
}

/**
 * A Bidirectional's weights are sorted by name in a `.keras` file, so the backward ones come first. For
 * several layers inside any other wrapper or cell, the order is unknown.
 */
function inLayerOrder(key: string, specs: readonly Spec[]): Spec[] {
  const place = ({name}: Spec) => {
    const {inside = '', index = '0'} = VARS.exec(pathOf(name))?.groups ?? {};
    return {inside, backward: inside.startsWith('backward_') ? 1 : 0, index: Number(index)};
  };
  const inside = new Set(specs.map((spec) => place(spec).inside));
  if (inside.size > 1 && ![...inside].every((name) => /^(for|back)ward_/.test(name))) {
    throw new UnsupportedModelError(
      `Layer '${namesIn(key).join('/')}' holds several layers (${[...inside].join(', ')}), ` +
        'whose order a .keras file does not record. Save the model as .h5 and convert that file.',
    );
  }
  return [...specs].sort((a, b) => {
    const [p, q] = [place(a), place(b)];
    return p.backward - q.backward || p.index - q.index;
  });
}

/** Pairs weights by name if their names are those of the layer, which no order can mix up; else by order. */
function pair(key: string, weights: readonly ExpectedWeight[], given: readonly Spec[]): Spec[] {
  const own = (name: string) => name.slice(name.lastIndexOf('/') + 1);
  const byName = new Map(given.map((spec) => [own(spec.name), spec]));
  const named = weights.map(({name}) => byName.get(own(name)));
  const pairs = named.every((spec) => spec !== undefined) && byName.size === given.length ? named : given;
  const layer = namesIn(key).join('/');
  for (const [i, {name, shape}] of weights.entries()) {
    const spec = pairs[i];
    if (spec === undefined) throw missing(layer, given.length, weights.length, name, shape);
    if (!tf.util.arraysEqual(spec.shape, shape)) throw misfit(spec, name, shape, layer);
  }
  return pairs as Spec[];
}

/** Weights under the names that tfjs looks for: each is there once, with its layer's shape. */
function checkNamed(specs: readonly Spec[], expected: ReadonlyMap<string, readonly ExpectedWeight[]>): void {
  const byName = new Map(specs.map((spec) => [spec.name, spec]));
  if (byName.size < specs.length) {
    const twice = specs.find((spec) => byName.get(spec.name) !== spec)!;
    throw new WeightMismatchError(`The file has weight '${twice.name}' twice. Convert the model again.`);
  }
  for (const [key, weights] of expected) {
    const layer = namesIn(key).join('/');
    const given = weights.filter(({name}) => byName.has(name));
    for (const {name, shape} of weights) {
      const spec = byName.get(name);
      if (spec === undefined) throw missing(layer, given.length, weights.length, name, shape);
      if (!tf.util.arraysEqual(spec.shape, shape)) throw misfit(spec, name, shape, layer);
    }
  }
}

function missing(
  layer: string,
  given: number,
  wanted: number,
  name: string,
  shape: number[],
): WeightMismatchError {
  return new WeightMismatchError(
    `The file has ${given} of the ${wanted} weights of layer '${layer}': '${name}' [${shape}] ` +
      'is missing. Convert the model again.',
  );
}

function misfit(spec: Spec, name: string, shape: number[], layer: string): WeightMismatchError {
  return new WeightMismatchError(
    `Weight '${spec.name}' [${spec.shape}] of the file does not fit '${name}' [${shape}] of ` +
      `layer '${layer}'. Convert the model again, with the config and weights of the same save.`,
  );
}

function noLayer({name, shape}: Spec, expected: ReadonlyMap<string, unknown>): WeightMismatchError {
  const layers = [...expected.keys()].map((key) => namesIn(key).join('/'));
  return new WeightMismatchError(
    `Weight '${name}' [${shape}] of the file belongs to no layer of the model ` +
      `(${layers.slice(0, 8).join(', ')}${layers.length > 8 ? ', ...' : ''}). Convert the model ` +
      'again, with the config and weights of the same save.',
  );
}
