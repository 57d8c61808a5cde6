import * as tf from '@tensorflow/tfjs-core';
import type {LayersModel} from '@tensorflow/tfjs-layers';
import {bucketOf, padTokens} from '../models/padding.js';
import {USE_LITE_PADDING, USE_LITE_WIDTH} from '../models/use-lite.js';

/** Tokens of one forward pass, padding included: large enough that calls cost nothing, small enough for the caches. */
const TOKENS_A_BATCH = 1024;

/** Lets signals and timers in: an awaited tensor of the wasm backend is only a microtask. */
export const breathe = () => new Promise<void>((resolve) => setImmediate(resolve));

/** Sentence vectors [batch, 512] of token lists that all fit in `length`; part of the tape when one is recording. */
export function sentenceVectors(
  model: LayersModel,
  tokens: Int32Array[],
  length: number,
  training: boolean,
): tf.Tensor2D {
  const ids = tf.tensor2d(padTokens(tokens, length, USE_LITE_PADDING), [tokens.length, length], 'int32');
  return model.apply(ids, {training}) as tf.Tensor2D;
}

/**
 * Sentence vectors of many texts, row-major [texts, 512], in the order of the texts. Batches hold texts of like length, so
 * that little is computed on padding; the same texts always make the same batches, hence the same bits.
 *
 * @param onTexts told how many texts each batch had; may throw to stop.
 */
export async function encodeAll(
  model: LayersModel,
  tokens: Int32Array[],
  maxTokens: number,
  onTexts: (count: number) => void = () => {},
): Promise<Float32Array> {
  const vectors = new Float32Array(tokens.length * USE_LITE_WIDTH);
  const byLength = tokens.map((_, i) => i).sort((a, b) => tokens[a]!.length - tokens[b]!.length || a - b);
  for (let start = 0; start < byLength.length; ) {
    const length = bucketOf(tokens[byLength[start]!]!.length, maxTokens);
    const most = Math.max(1, Math.floor(TOKENS_A_BATCH / length));
    const rows = byLength.slice(start, start + most).filter((i) => tokens[i]!.length <= length);
    const batch = tf.tidy(() =>
      sentenceVectors(
        model,
        rows.map((i) => tokens[i]!),
        length,
        false,
      ),
    );
    const values = (await batch.data()) as Float32Array;
    batch.dispose();
    rows.forEach((i, row) => {
      vectors.set(values.subarray(row * USE_LITE_WIDTH, (row + 1) * USE_LITE_WIDTH), i * USE_LITE_WIDTH);
    });
    start += rows.length;
    onTexts(rows.length);
    await breathe();
  }
  return vectors;
}
