import * as tf from '@tensorflow/tfjs-core';
import type {LayersModel} from '@tensorflow/tfjs-layers';
import {padTokens} from '../../../data/models/padding.js';
import {USE_LITE_PADDING, USE_LITE_WIDTH} from '../../../data/models/use-lite.js';
import {loadUseLiteTokenizer} from '../../../data/models/use-lite-tokenizer.js';
import {DEFAULT_TASKS, loadBuiltinTasks} from '../../../data/tasks/builtin.js';

/** Tokens of a text at most, and texts that go through the model together. */
const [MOST_TOKENS, BATCH] = [32, 32];
/** Texts of each built-in task. */
const TEXTS = 32;

/** Cuts texts into tokens of USE-lite. */
export function tokenise(texts: readonly string[]): number[][] {
  const tokenizer = loadUseLiteTokenizer();
  return texts.map((text) => tokenizer.encode(text).slice(0, MOST_TOKENS));
}

/** Real texts of the tasks of the main job, as tokens: those to calibrate with, and others to compare. */
export interface Sentences {
  calibration: number[][];
  compared: number[][];
}

export function readSentences(): Sentences {
  const tasks = loadBuiltinTasks(DEFAULT_TASKS, {train: TEXTS, validation: 1, test: TEXTS}, 1);
  const tokens = (split: 'train' | 'test') =>
    tokenise(tasks.flatMap((task) => task[split].map(({text}) => text)));
  return {calibration: tokens('train'), compared: tokens('test')};
}

/** Texts in batches for the model, each padded to its longest. The caller disposes them. */
export function batchesOf(tokens: readonly number[][]): tf.Tensor2D[] {
  return Array.from({length: Math.ceil(tokens.length / BATCH)}, (_, i) => {
    const own = tokens.slice(i * BATCH, (i + 1) * BATCH);
    const length = Math.max(1, ...own.map((text) => text.length));
    return tf.tensor2d(padTokens(own, length, USE_LITE_PADDING), [own.length, length], 'int32');
  });
}

/** Vectors of texts, row-major [texts, width]. */
export async function vectorsOf(model: LayersModel, tokens: readonly number[][]): Promise<Float32Array> {
  const vectors = new Float32Array(tokens.length * USE_LITE_WIDTH);
  let at = 0;
  for (const ids of batchesOf(tokens)) {
    const own = model.predict(ids) as tf.Tensor;
    vectors.set((await own.data()) as Float32Array, at);
    at += own.size;
    tf.dispose([ids, own]);
  }
  return vectors;
}

/** Mean cosine of vectors that belong together; all have length 1. */
export function meanCosine(a: Float32Array, b: Float32Array): number {
  return a.reduce((sum, value, i) => sum + value * b[i]!, 0) / (a.length / USE_LITE_WIDTH);
}
