import type * as tf from '@tensorflow/tfjs-core';
import {overrideKernel, restoreKernel} from '../kernel-overrides.js';
import {guardWasm} from './allocation.js';
import {BOUND_REPAIRS} from './bounds.js';
import {repairCumulative, restoreCumulative} from './cumulative.js';
import {DTYPE_REPAIRS} from './dtypes.js';
import type {Repair, WasmCall} from './infos.js';
import {VALUE_REPAIRS} from './values.js';

/** By reason; what is looked at first comes last. */
const REPAIRS: [reason: string, repairs: Record<string, Repair>][] = [
  ['dtype', DTYPE_REPAIRS],
  ['value', VALUE_REPAIRS],
  ['bounds', BOUND_REPAIRS],
];

guardWasm();

const decorated =
  (repair: Repair) =>
  (stock: tf.KernelFunc): tf.KernelFunc =>
  (call) =>
    repair(call as unknown as WasmCall, stock as unknown as (call: WasmCall) => tf.TensorInfo);

/**
 * Keeps tfjs's wasm kernels within their tensors: those that read or write elsewhere for booleans, negative axes or amounts, indices out of
 * range and empty tensors give what the cpu backend gives, or are refused by name before the heap is touched.
 */
export function registerRepairs(): void {
  repairCumulative('wasm');
  for (const [reason, repairs] of REPAIRS) {
    for (const [name, repair] of Object.entries(repairs)) overrideKernel(name, decorated(repair), {reason});
  }
}

/** Puts the stock kernels back. */
export function unregisterRepairs(): void {
  restoreCumulative('wasm');
  for (const [reason, repairs] of REPAIRS) {
    for (const name of Object.keys(repairs)) restoreKernel(name, {reason});
  }
}
