import {RELAXED_WASM_BASE64, WASM_BASE64} from './module.generated.js';

/** The compiled kernels: for relaxed SIMD, whose multiply-adds are fused, or for plain SIMD. */
export function moduleBytes(relaxed: boolean): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(atob(relaxed ? RELAXED_WASM_BASE64 : WASM_BASE64), (char) => char.charCodeAt(0));
}

/** The kernels for what the engine has: Chromium and Node 22 have relaxed SIMD, Node 20 has not. */
export function bestModuleBytes(): Uint8Array<ArrayBuffer> {
  const relaxed = moduleBytes(true);
  return WebAssembly.validate(relaxed) ? relaxed : moduleBytes(false);
}
