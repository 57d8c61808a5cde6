import {readFileSync} from 'node:fs';
import {readSafetensors} from '@tfjs-peft/layers';
import type {Golden} from './format.js';

/** The float32 and int32 tensors of the bytes of a safetensors file, which errors call `file`. */
export function parseTensors(bytes: Uint8Array, file: string): Map<string, Golden> {
  const tensors = new Map<string, Golden>();
  for (const [name, {dtype, shape, values}] of readSafetensors(bytes).tensors) {
    if (values instanceof Uint8Array)
      throw new Error(`${file}: tensor ${name} is ${dtype}; golden data are numbers`);
    tensors.set(name, {shape, data: values});
  }
  return tensors;
}

/** The float32 and int32 tensors of a safetensors file. */
export function readTensors(file: string): Map<string, Golden> {
  return parseTensors(readFileSync(file), file);
}
