import {readFileSync} from 'node:fs';
import type {Golden} from './format.js';

/** The float32 and int32 tensors of a safetensors file. */
export function readTensors(file: string): Map<string, Golden> {
  const bytes = readFileSync(file);
  const start = 8 + Number(bytes.readBigUInt64LE(0));
  const header = JSON.parse(bytes.toString('utf8', 8, start)) as Record<
    string,
    {dtype: string; shape: number[]; data_offsets: [number, number]}
  >;
  const tensors = new Map<string, Golden>();
  for (const [
    name,
    {
      dtype,
      shape,
      data_offsets: [from, to],
    },
  ] of Object.entries(header)) {
    if (name === '__metadata__') continue;
    // A copy, since the offsets in the file need not be multiples of four.
    const raw = Uint8Array.from(bytes.subarray(start + from, start + to)).buffer;
    if (dtype === 'F32') tensors.set(name, {shape, data: new Float32Array(raw)});
    else if (dtype === 'I32') tensors.set(name, {shape, data: new Int32Array(raw)});
    else throw new Error(`${file}: tensor ${name} is ${dtype}; golden data are F32 or I32`);
  }
  return tensors;
}
