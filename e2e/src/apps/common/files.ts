import {readFileSync} from 'node:fs';
import {readSafetensors, type SafetensorsFile, writeSafetensors} from '@tfjs-peft/layers';
import {writeWhole} from '../../tools/command/output.js';

export interface NamedArray {
  shape: readonly number[];
  values: Float32Array;
}

/** Writes arrays by name, and one JSON value beside them, as a safetensors file. */
export function writeArrays(path: string, arrays: ReadonlyMap<string, NamedArray>, about: unknown): void {
  writeWhole(path, writeSafetensors(arrays, new Map([['about', JSON.stringify(about)]])));
}

/** Reads what {@link writeArrays} wrote. */
export function readArrays<T>(path: string): {arrays: Map<string, NamedArray>; about: T} {
  const {tensors, metadata}: SafetensorsFile = readSafetensors(readFileSync(path));
  const arrays = new Map(
    [...tensors].map(([name, {shape, values}]) => [name, {shape, values: values as Float32Array}]),
  );
  return {arrays, about: JSON.parse(metadata.get('about')!) as T};
}
