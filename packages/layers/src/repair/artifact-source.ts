import * as tf from '@tensorflow/tfjs-core';
import {ConfigError} from '@tfjs-peft/kernels';
import {checkOptions} from '@tfjs-peft/routers';
import {askHandler, oneHandler} from '../core/io/storage-location.js';
import {splitWeights} from '../core/io/weight-bytes.js';

/**
 * Where a model is: an address or path that tfjs has a handler for, a handler, or the artifacts themselves.
 */
export type ArtifactSource = string | tf.io.IOHandler | tf.io.IOHandlerSync | tf.io.ModelArtifacts;

/** What tfjs's own loaders take that says how an address is fetched. */
const FETCHING = [
  'requestInit',
  'onProgress',
  'fetchFunc',
  'weightPathPrefix',
  'weightUrlConverter',
  'streamWeights',
  'fromTFHub',
] as const;

/**
 * How deep a topology may nest, such as models in models: no recursion over it comes near the end of the
 * stack.
 */
const DEEPEST = 200;

/**
 * Checks the options of a load.
 *
 * @throws ConfigError if one is unknown, or says how to fetch what is no address.
 */
export function checkLoadOptions(source: ArtifactSource, options: unknown): void {
  if (typeof options === 'object' && options !== null && 'strict' in options) {
    throw new ConfigError(
      'normalizeArtifacts: strict is an option of tf.loadLayersModel. Pass it to ' +
        'tf.loadLayersModel, along with this handler.',
    );
  }
  checkOptions('normalizeArtifacts', options, ['onRepair', ...FETCHING]);
  const {onRepair, ...fetching} = options as {onRepair?: unknown} & tf.io.LoadOptions;
  if (onRepair !== undefined && typeof onRepair !== 'function')
    throw new ConfigError(
      `normalizeArtifacts: onRepair is a ${typeof onRepair}. Pass a function, such as console.log.`,
    );
  const given = Object.keys(fetching).filter((key) => fetching[key as keyof typeof fetching] !== undefined);
  if (typeof source !== 'string' && given.length > 0) {
    throw new ConfigError(
      `normalizeArtifacts: only an address takes ${given.join(', ')}, but the source is an IO ` +
        `handler or artifacts. Remove ${given.length === 1 ? 'this option' : 'these options'}.`,
    );
  }
}

/**
 * Reads the artifacts of a model.
 *
 * @throws ConfigError if nothing can load the source, or what does so fails or gives nothing;
 * WeightMismatchError if the weights
 *   take more bytes than there are.
 */
export async function loadArtifacts(
  source: ArtifactSource,
  options: tf.io.LoadOptions = {},
): Promise<tf.io.ModelArtifacts> {
  if (typeof source === 'string') {
    const {fromTFHub, ...fetching} = options;
    const address = fromTFHub ? hubAddress(source) : source;
    const handlers = tf.io.getLoadHandlers(address, fetching);
    // tfjs itself falls back on http if no handler claims an address, as a file name without a scheme needs
    // in a browser.
    const handler =
      handlers.length === 0 ? tf.io.http(address, fetching) : oneHandler(handlers, address, 'load');
    return loadWith(handler, `'${address}'`, address);
  }
  if (typeof source !== 'object' || source === null) {
    throw new ConfigError(
      'normalizeArtifacts takes an address, an IO handler with load(), or model artifacts, but ' +
        `got ${source === null ? 'null' : typeof source}.`,
    );
  }
  if ('load' in source || 'save' in source) return loadWith(source, 'The IO handler', source);
  return checked(source as tf.io.ModelArtifacts, 'The artifacts');
}

async function loadWith(handler: tf.io.IOHandler | tf.io.IOHandlerSync, what: string, source: unknown) {
  if (typeof handler.load !== 'function')
    throw new ConfigError(`${what} has no load(). Pass a handler that has one.`);
  return checked(await askHandler(source, 'load', () => handler.load!()), what);
}

function checked(artifacts: tf.io.ModelArtifacts, what: string): tf.io.ModelArtifacts {
  const modelTopology: unknown = artifacts?.modelTopology;
  if (typeof modelTopology !== 'object' || modelTopology === null || modelTopology instanceof ArrayBuffer) {
    throw new ConfigError(`${what} has no JSON modelTopology. Pass a model.json from the converter.`);
  }
  checkDepth(modelTopology, what);
  checkWeights(artifacts, what);
  return artifacts;
}

/** Where TensorFlow Hub has the model.json of a model, as tfjs-converter asks for it. */
function hubAddress(url: string): string {
  return `${url.replace(/\/*$/, '/')}model.json?tfjs-format=file`;
}

function checkDepth(topology: object, what: string): void {
  let level: object[] = [topology];
  for (let depth = 0; level.length > 0; depth++) {
    if (depth > DEEPEST) {
      throw new ConfigError(
        `${what} has a modelTopology nested more than ${DEEPEST} levels deep, which no model ` +
          'needs. It is damaged: convert the model again.',
      );
    }
    const inner: object[] = [];
    for (const part of level)
      for (const value of Object.values(part))
        if (typeof value === 'object' && value !== null) inner.push(value);
    level = inner;
  }
}

/** Trusts a weight's spec only as far as there are bytes: the tensors made for it are as large as it says. */
function checkWeights({weightSpecs, weightData}: tf.io.ModelArtifacts, what: string): void {
  if (weightSpecs === undefined) return;
  const isShape = (shape: unknown) =>
    Array.isArray(shape) && shape.every((size) => Number.isSafeInteger(size) && size >= 0);
  const wrong = Array.isArray(weightSpecs)
    ? weightSpecs.findIndex((spec) => typeof spec?.name !== 'string' || !isShape(spec.shape))
    : 0;
  if (wrong >= 0) {
    throw new ConfigError(
      `${what} has no valid name and shape for weight ${wrong}, such as {name: 'dense/kernel', ` +
        "shape: [2, 3], dtype: 'float32'}. Convert the model again.",
    );
  }
  if (weightData === undefined) return;
  splitWeights(weightSpecs, new Uint8Array(tf.io.CompositeArrayBuffer.join(weightData)), what);
}
