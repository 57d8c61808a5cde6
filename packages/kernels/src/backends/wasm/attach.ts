import type {BackendWasm} from '@tensorflow/tfjs-backend-wasm';
import type {KernelBackend, TensorInfo} from '@tensorflow/tfjs-core';
import {BackendError} from '../../errors.js';
import {reapplyPatches} from '../../patches.js';
import type {WasmExports} from './exports.js';
import {MEMORY_FLAGS_OFFSET, RELAXED_EDITS, WASM_HEX} from './module.generated.js';

/** The parts of tfjs's emscripten module that are used: the heap, and where the memory object hides. */
interface Heap {
  tfjs?: {getThreadsCount?(): number};
  HEAPU8: Uint8Array;
  _malloc(bytes: number): number;
  _free(pointer: number): void;
  asm?: {memory?: unknown};
  wasmMemory?: unknown;
}

const WAY_OUT =
  "Call unregister() from '@tfjs-peft/kernels/wasm' (and '@tfjs-peft/kernels/wasm-training') to run on stock ops instead.";
const ALIGNMENT = 64;

/** The wasm module on one backend's memory, with the scratch memory that its kernels share. */
export class WasmKernels {
  private pointer = 0;
  private bytes = 0;

  constructor(
    readonly exports: WasmExports,
    readonly backend: BackendWasm,
    private readonly heap: Heap,
    private readonly memory: WebAssembly.Memory,
  ) {}

  /** How many threads XNNPACK has here; our kernels have one. */
  get threads(): number {
    return this.heap.tfjs?.getThreadsCount?.() ?? 1;
  }

  /**
   * A 64-byte aligned block that stays valid until the next call; it grows on demand and is never given back.
   */
  scratch(bytes: number): number {
    if (bytes > this.bytes) {
      if (this.pointer !== 0) this.heap._free(this.pointer);
      this.pointer = 0;
      this.bytes = 0;
      this.pointer = this.heap._malloc(bytes + ALIGNMENT) >>> 0;
      this.bytes = bytes;
    }
    return Math.ceil(this.pointer / ALIGNMENT) * ALIGNMENT;
  }

  /** Where a tensor's values start. */
  pointerTo(tensor: TensorInfo): number {
    return this.backend.getMemoryOffset(tensor.dataId) >>> 0;
  }

  /** A view of floats, good until something is allocated. */
  floats(pointer: number, count: number): Float32Array {
    return new Float32Array(this.memory.buffer, pointer, count);
  }

  output(shape: number[], dtype: TensorInfo['dtype'] = 'float32'): TensorInfo {
    return this.backend.makeOutput(shape, dtype);
  }

  /** Fills bytes with zero. */
  zero(pointer: number, bytes: number): void {
    new Uint8Array(this.memory.buffer, pointer, bytes).fill(0);
  }

  /**
   * Writes 32-bit words at a pointer. The view is taken anew each time, since a growing memory detaches the
   * old ones.
   */
  write(pointer: number, words: ArrayLike<number>): void {
    new Int32Array(this.memory.buffer, pointer, words.length).set(words);
  }
}

const attached = new WeakMap<object, WasmKernels>();

/**
 * The kernels on the memory of a tfjs wasm backend, compiled when first asked for.
 *
 * @throws BackendError if the backend's memory is not where tfjs 4.22 keeps it, or the engine lacks wasm
 * SIMD.
 */
export function attach(backend: KernelBackend): WasmKernels {
  const found = attached.get(backend);
  if (found !== undefined) return found;
  const wasmBackend = backend as BackendWasm;
  // tfjs's type of its emscripten module covers what its kernels call, but not the memory.
  const heap = wasmBackend.wasm as unknown as Heap | null | undefined;
  const memory = memoryOf(heap);
  const kernels = new WasmKernels(instantiate(memory), wasmBackend, heap!, memory);
  attached.set(backend, kernels);
  // tfjs, imported after this package, has registered its own gradients over ours.
  reapplyPatches();
  return kernels;
}

/** The compiled kernels: for relaxed SIMD, whose multiply-adds are fused, or for plain SIMD. */
export function moduleBytes(relaxed: boolean): Uint8Array<ArrayBuffer> {
  return bytesOf(relaxed ? relaxedHex() : WASM_HEX);
}

/**
 * The two modules differ in a few bytes only. Each edit gives the bytes to keep since the previous one, the
 * number of bytes to remove, and the bytes to insert in their place.
 */
function relaxedHex(): string {
  let hex = '';
  let at = 0;
  for (const edit of RELAXED_EDITS.split(';')) {
    const [skipped, gone, come] = edit.split(',') as [string, string, string];
    const place = at + 2 * Number.parseInt(skipped, 16);
    hex += WASM_HEX.slice(at, place) + come;
    at = place + 2 * Number.parseInt(gone, 16);
  }
  return hex + WASM_HEX.slice(at);
}

function bytesOf(hex: string): Uint8Array<ArrayBuffer> {
  return Uint8Array.from({length: hex.length / 2}, (_, i) =>
    Number.parseInt(hex.slice(2 * i, 2 * i + 2), 16),
  );
}

/** The best kernels that the engine can run: Chromium and Node 22 have relaxed SIMD, Node 20 does not. */
function bestModuleBytes(): Uint8Array<ArrayBuffer> {
  const relaxed = moduleBytes(true);
  return WebAssembly.validate(relaxed) ? relaxed : moduleBytes(false);
}

function memoryOf(heap: Heap | null | undefined): WebAssembly.Memory {
  // The threaded module is given its memory, the plain one exports it.
  const memory = heap?.wasmMemory ?? heap?.asm?.memory;
  if (!(memory instanceof WebAssembly.Memory) || memory.buffer !== heap?.HEAPU8?.buffer) {
    throw new BackendError(
      `wasm: the memory of the tfjs wasm backend is not where tfjs 4.22 keeps it. ${WAY_OUT}`,
    );
  }
  return memory;
}

function instantiate(memory: WebAssembly.Memory): WasmExports {
  const bytes = bestModuleBytes();
  const SHARED_WITH_MAXIMUM = 3;
  if (typeof SharedArrayBuffer !== 'undefined' && memory.buffer instanceof SharedArrayBuffer) {
    bytes[MEMORY_FLAGS_OFFSET] = SHARED_WITH_MAXIMUM;
  }
  try {
    const instance = new WebAssembly.Instance(new WebAssembly.Module(bytes), {env: {memory}});
    return instance.exports as WebAssembly.Exports & WasmExports;
  } catch (cause) {
    throw new BackendError(
      `wasm: the fused kernels cannot be instantiated; they need an engine with wasm SIMD. ${WAY_OUT}`,
      {cause},
    );
  }
}
