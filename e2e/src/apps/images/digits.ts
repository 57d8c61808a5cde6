import {readFileSync} from 'node:fs';
import {join} from 'node:path';
import * as tf from '@tensorflow/tfjs-core';
import {packageFolder} from '../../data/models/package-folder.js';
import type {LabelledPicture} from './source.js';

const SIDE = 28;
const PIXELS = SIDE * SIDE;

export interface Digits {
  /** Images [28, 28] one after the other, from 0 to 1. */
  pixels: Float32Array;
  labels: Int32Array;
}

/**
 * The same number of handwritten digits of each class, from the package `mnist`, classes taking turns.
 *
 * @param skip Digits of each class to leave out at the start: a test set is what a training set skipped.
 */
export function readDigits(perClass: number, skip = 0): Digits {
  const folder = join(packageFolder('mnist'), 'src/digits');
  const classes = Array.from({length: 10}, (_, digit) => {
    const {data} = JSON.parse(readFileSync(join(folder, `${digit}.json`), 'utf8')) as {data: number[]};
    return data;
  });
  const pixels = new Float32Array(10 * perClass * PIXELS);
  const labels = new Int32Array(10 * perClass);
  for (let i = 0; i < labels.length; i++) {
    const digit = i % 10;
    const from = (skip + Math.floor(i / 10)) * PIXELS;
    pixels.set(classes[digit]!.slice(from, from + PIXELS), i * PIXELS);
    labels[i] = digit;
  }
  return {pixels, labels};
}

/** Some of the images in colour and at another size, [end - start, size, size, 3]. */
export function imagesOf({pixels}: Digits, start: number, end: number, size: number): tf.Tensor4D {
  return tf.tidy(() => {
    const own = tf.tensor4d(pixels.subarray(start * PIXELS, end * PIXELS), [end - start, SIDE, SIDE, 1]);
    return tf.tile(tf.image.resizeBilinear(own, [size, size]), [1, 1, 1, 3]);
  });
}

/** Handwritten digits of the package `mnist`, about 1,000 of each. */
export function digits(): LabelledPicture[] {
  const folder = join(packageFolder('mnist'), 'src/digits');
  return Array.from({length: 10}, (_, digit) => {
    const {data} = JSON.parse(readFileSync(join(folder, `${digit}.json`), 'utf8')) as {data: number[]};
    return Array.from({length: Math.floor(data.length / PIXELS)}, (_, i): LabelledPicture => {
      const read = () => {
        const grey = data.slice(i * PIXELS, (i + 1) * PIXELS);
        const colours = Uint8Array.from(
          grey.flatMap((value) => [value, value, value].map((own) => Math.round(255 * own))),
        );
        return {width: SIDE, height: SIDE, colours};
      };
      return {label: String(digit), read};
    });
  }).flat();
}
