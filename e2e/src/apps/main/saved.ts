// What a run leaves in its out folder beside the adapter: heads, test predictions and their logits.
import {readFileSync} from 'node:fs';
import {join} from 'node:path';
import {writeWhole} from '../../tools/command/output.js';
import {type Head, predictionsOf, widthOf} from '../../tools/probe/linear.js';
import {type NamedArray, readArrays, writeArrays} from '../common/files.js';
import type {Addition} from './addition.js';
import type {EncodedTask} from './corpus.js';
import type {BaseModel} from './encoders/load.js';

/**
 * All that a process needs beside the model's own files to predict: how the base is quantised, the adapter's
 * config, and the heads with their classes.
 */
export interface SavedHeads extends BaseModel {
  adapter: Addition;
  maxTokens: number;
  tasks: {name: string; classes: string[]}[];
}

export const adapterFolder = (out: string) => join(out, 'adapter');
const headsPath = (out: string) => join(out, 'heads.safetensors');
const logitsPath = (out: string) => join(out, 'logits.safetensors');
const predictionsPath = (out: string) => join(out, 'predictions.jsonl');

export function writeHeads(out: string, about: SavedHeads, heads: Head[], centroids?: Float32Array): void {
  const arrays = new Map<string, NamedArray>();
  about.tasks.forEach(({classes}, i) => {
    arrays.set(`${i}.kernel`, {shape: [widthOf(heads[i]!), classes.length], values: heads[i]!.kernel});
    arrays.set(`${i}.bias`, {shape: [classes.length], values: heads[i]!.bias});
  });
  if (centroids !== undefined) {
    const width = widthOf(heads[0]!);
    arrays.set('centroids', {shape: [centroids.length / width, width], values: centroids});
  }
  writeArrays(headsPath(out), arrays, about);
}

export function readHeads(out: string): {
  about: SavedHeads;
  heads: Head[];
  /** Of an adapter that reads an intuition. */
  centroids: Float32Array | undefined;
} {
  const {arrays, about} = readArrays<SavedHeads>(headsPath(out));
  const heads = about.tasks.map((_, i) => ({
    kernel: arrays.get(`${i}.kernel`)!.values,
    bias: arrays.get(`${i}.bias`)!.values,
  }));
  return {about, heads, centroids: arrays.get('centroids')?.values};
}

/** Test texts with label and prediction, one JSON object a line, and the logits behind them. */
export function writePredictions(out: string, tasks: EncodedTask[], logits: Float32Array[]): void {
  const lines = tasks.flatMap(({name, classes, test}, i) => {
    const predicted = predictionsOf(logits[i]!, classes.length);
    return test.texts.map((text, row) =>
      JSON.stringify({
        task: name,
        text,
        label: classes[test.labels[row]!],
        predicted: classes[predicted[row]!],
      }),
    );
  });
  writeWhole(predictionsPath(out), `${lines.join('\n')}\n`);
  const arrays = tasks.map(({classes, test}, i): [string, NamedArray] => [
    String(i),
    {shape: [test.labels.length, classes.length], values: logits[i]!},
  ]);
  writeArrays(logitsPath(out), new Map(arrays), {tasks: tasks.map(({name}) => name)});
}

/** The texts and logits of {@link writePredictions}, by task. */
export function readPredictions(out: string): {texts: string[]; logits: Float32Array}[] {
  const {arrays, about} = readArrays<{tasks: string[]}>(logitsPath(out));
  const lines = readFileSync(predictionsPath(out), 'utf8')
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as {task: string; text: string});
  return about.tasks.map((name, i) => ({
    texts: lines.filter(({task}) => task === name).map(({text}) => text),
    logits: arrays.get(String(i))!.values,
  }));
}
