// What a run leaves in its folder beside the adapter: the head, and the logits of the test pictures.
import {join} from 'node:path';
import type {AdapterConfig} from '@tfjs-peft/layers';
import type {Limits} from '../../data/tasks/task.js';
import {type Head, widthOf} from '../../tools/probe/linear.js';
import {readArrays, writeArrays} from '../common/files.js';
import type {Backend} from '../common/options.js';

/** All that another process needs beside the base model to predict the test pictures again. */
export interface SavedRun {
  task: string;
  imagesDir?: string;
  classes: string[];
  limits: Limits;
  seed: number;
  backend: Backend;
  adapter: AdapterConfig;
}

export const adapterFolder = (out: string) => join(out, 'adapter');
const runPath = (out: string) => join(out, 'head.safetensors');

export function writeRun(out: string, about: SavedRun, head: Head, logits: Float32Array): void {
  const classes = about.classes.length;
  const arrays = new Map([
    ['kernel', {shape: [widthOf(head), classes], values: head.kernel}],
    ['bias', {shape: [classes], values: head.bias}],
    ['logits', {shape: [logits.length / classes, classes], values: logits}],
  ]);
  writeArrays(runPath(out), arrays, about);
}

export function readRun(out: string): {about: SavedRun; head: Head; logits: Float32Array} {
  const {arrays, about} = readArrays<SavedRun>(runPath(out));
  const values = (name: string) => arrays.get(name)!.values;
  return {about, head: {kernel: values('kernel'), bias: values('bias')}, logits: values('logits')};
}
