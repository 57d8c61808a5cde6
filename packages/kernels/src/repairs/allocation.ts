import type {BackendWasm} from '@tensorflow/tfjs-backend-wasm';
import * as tf from '@tensorflow/tfjs-core';
import {BackendError} from '../errors.js';
import type {Patch} from '../patches.js';

interface Heap {
  HEAPU8: Uint8Array;
  _malloc(bytes: number): number;
  _free(pointer: number): void;
}

/** A wasm32 pointer reaches no further, and a larger size wraps around to a small one. */
const ADDRESS_SPACE = 2 ** 32;
const MIB = 2 ** 20;

/** The heap of the active wasm backend, if there is one. */
function heapOfBackend(): Heap | undefined {
  const backend = tf.engine().registry.wasm as BackendWasm | undefined;
  // tfjs's own type of its emscripten module leaves the allocator out.
  const heap = backend?.wasm as unknown as Heap | null | undefined;
  return typeof heap?._malloc === 'function' ? heap : undefined;
}

/**
 * Checks each allocation of the wasm backend, stock ones included. When memory runs out, the allocator of
 * emscripten returns 0 and tfjs writes the tensor there, over the data of the module itself; here it is an
 * error, and all other tensors stay as they are.
 */
export const ALLOCATION_GUARD: Patch<Heap['_malloc']> = {
  slot: {
    key: 'allocator wasm',
    read: () => heapOfBackend()?._malloc,
    write: (allocate) => {
      const heap = heapOfBackend();
      if (heap !== undefined && allocate !== undefined) heap._malloc = allocate;
    },
    ready: () => {
      const heap = heapOfBackend();
      // The first call replaces emscripten's stub by the allocator itself.
      heap?._free(heap._malloc(1));
      return heap !== undefined;
    },
  },
  reason: 'memory',
  make: (allocate) => {
    const heap = heapOfBackend();
    if (heap === undefined || allocate === undefined) return undefined;
    return (bytes) => {
      const pointer = bytes < ADDRESS_SPACE ? allocate(bytes) : 0;
      // At the very end of the address space, it also returns blocks that reach beyond the memory.
      const inside = (pointer >>> 0) + bytes <= heap.HEAPU8.length;
      if ((pointer !== 0 || bytes === 0) && inside) return pointer;
      throw new BackendError(
        `wasm: out of memory: could not allocate ${bytes} bytes in a heap of ${Math.round(heap.HEAPU8.length / MIB)} MiB. ` +
          'Adapt fewer sites, use a smaller batch, or dispose tensors. Existing tensors are unchanged.',
      );
    };
  },
};
