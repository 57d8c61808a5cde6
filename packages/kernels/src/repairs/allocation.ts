import type {BackendWasm} from '@tensorflow/tfjs-backend-wasm';
import {onBackend} from '../backend-setup.js';
import {BackendError} from '../errors.js';
import {shared} from '../shared.js';

interface Heap {
  HEAPU8: Uint8Array;
  _malloc(bytes: number): number;
  _free(pointer: number): void;
}

/** A pointer of wasm32 reaches no further, and a size beyond it comes to be a small one. */
const ADDRESS_SPACE = 2 ** 32;
const MIB = 2 ** 20;

const guarded = shared('kernels.guarded-heaps', () => new WeakSet<object>());

/**
 * Has each allocation of a wasm backend checked, stock's too. Where there is no memory left, emscripten's allocator gives 0 and tfjs writes
 * the tensor there, over the module's own data; here it is an error, and all other tensors stay as they are.
 */
export function guardAllocations(backend: BackendWasm): void {
  const heap = backend.wasm as unknown as Heap | null;
  if (heap === null || typeof heap._malloc !== 'function' || guarded.has(heap)) return;
  // The first call puts the allocator itself in its own place.
  heap._free(heap._malloc(1));
  const {_malloc: allocate} = heap;
  heap._malloc = (bytes) => {
    const pointer = bytes < ADDRESS_SPACE ? allocate(bytes) : 0;
    // At the very end of the address space it also gives blocks that reach beyond the memory.
    const inside = (pointer >>> 0) + bytes <= heap.HEAPU8.length;
    if ((pointer !== 0 || bytes === 0) && inside) return pointer;
    throw new BackendError(
      `wasm: out of memory: ${bytes} bytes are not to be had, of a heap of ${Math.round(heap.HEAPU8.length / MIB)} MiB. ` +
        'Adapt fewer sites, take a smaller batch, or dispose what is not needed; what is there already is as it was.',
    );
  };
  guarded.add(heap);
}

/** Guards every instance of the wasm backend. */
export function guardWasm(): void {
  onBackend('wasm', (backend) => guardAllocations(backend as BackendWasm));
}
