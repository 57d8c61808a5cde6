import {wasmPatch} from '../kernel-patches.js';
import type {AnyPatch, Reason} from '../patches.js';
import {ALLOCATION_GUARD} from './allocation.js';
import {BOUND_REPAIRS} from './bounds.js';
import {cumulativeRepairs} from './cumulative.js';
import {DTYPE_REPAIRS} from './dtypes.js';
import type {Repair} from './infos.js';
import {VALUE_REPAIRS} from './values.js';

const patchesOf = (reason: Reason, repairs: Record<string, Repair>): AnyPatch[] =>
  Object.entries(repairs).map(([name, repair]) =>
    // Each repair knows whether its stock kernel has one output or several.
    wasmPatch<Record<string, unknown>>(
      name,
      reason,
      (stock) => (call) => repair(call, stock as Parameters<Repair>[1]),
    ),
  );

/**
 * Keeps tfjs's wasm kernels within their tensors: those that read or write elsewhere for booleans, negative
 * axes or amounts, indices out of range and empty tensors give what the cpu backend gives, or are refused by
 * name before the heap is touched.
 */
export const WASM_REPAIRS: AnyPatch[] = [
  ALLOCATION_GUARD,
  ...cumulativeRepairs('wasm'),
  ...patchesOf('dtype', DTYPE_REPAIRS),
  ...patchesOf('value', VALUE_REPAIRS),
  ...patchesOf('bounds', BOUND_REPAIRS),
];
