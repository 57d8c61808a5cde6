import {createHash} from 'node:crypto';
import * as tf from '@tensorflow/tfjs-core';
import '@tensorflow/tfjs-backend-wasm';
import {BackendError, combine, matMul} from '../../index.js';
import * as wasm from '../../wasm.js';
import {attach, moduleBytes} from './attach.js';
import {MEMORY_FLAGS_OFFSET, RELAXED_SHA256} from './module.generated.js';

beforeEach(async () => {
  wasm.register();
  await tf.setBackend('wasm');
});

function sectionIds(bytes: Uint8Array): number[] {
  const ids: number[] = [];
  for (let at = 8; at < bytes.length; ) {
    ids.push(bytes[at++]!);
    let size = 0;
    for (let shift = 0, byte = 128; byte >= 128; shift += 7) {
      byte = bytes[at++]!;
      size |= (byte & 127) << shift;
    }
    at += size;
  }
  return ids;
}

test.each([
  ['plain', false],
  ['relaxed', true],
])('the %s module has code but no data, start or memory of its own', (_, relaxed) => {
  const [MEMORY, START, CODE, DATA] = [5, 8, 10, 11];
  const ids = sectionIds(moduleBytes(relaxed));
  expect(ids).toContain(CODE);
  for (const id of [MEMORY, START, DATA]) expect(ids).not.toContain(id);
  if (relaxed && !WebAssembly.validate(moduleBytes(relaxed))) return;
  expect(WebAssembly.Module.imports(new WebAssembly.Module(moduleBytes(relaxed)))).toEqual([
    {module: 'env', name: 'memory', kind: 'memory'},
  ]);
});

test('the relaxed module is the one that was compiled, of which only the differences are kept', () => {
  expect(createHash('sha256').update(moduleBytes(true)).digest('hex')).toBe(RELAXED_SHA256);
  expect(moduleBytes(false)).not.toEqual(moduleBytes(true));
});

test('the same module runs on a shared memory', () => {
  const bytes = moduleBytes(false);
  bytes[MEMORY_FLAGS_OFFSET] = 3;
  const memory = new WebAssembly.Memory({initial: 2, maximum: 65536, shared: true});
  const instance = new WebAssembly.Instance(new WebAssembly.Module(bytes), {env: {memory}});
  const {gemm} = instance.exports as unknown as ReturnType<typeof attach>['exports'];
  const floats = new Float32Array(memory.buffer);
  floats.set([1, 2, 3, 4], 0);
  floats.set([5, 6, 7, 8], 4);
  gemm(0, 16, 32, 1, 2, 2, 2, 0, 0, 2, 0, 0, 1024);
  expect([...floats.subarray(8, 12)]).toEqual([19, 22, 43, 50]);
});

test('attaches once per backend instance, and anew to the next one', async () => {
  const first = tf.backend();
  expect(attach(first)).toBe(attach(first));
  const product = () => tf.tidy(() => [...matMul(tf.tensor2d([[2, 3]]), tf.tensor2d([[4], [5]])).dataSync()]);
  expect(product()).toEqual([23]);
  const factory = tf.findBackendFactory('wasm');
  tf.removeBackend('wasm');
  tf.registerBackend('wasm', factory);
  await tf.setBackend('wasm');
  expect(tf.backend()).not.toBe(first);
  expect(product()).toEqual([23]);
  expect(attach(tf.backend())).not.toBe(attach(first));
});

test('scratch is reused, grows, and is aligned', () => {
  const kernels = attach(tf.backend());
  const small = kernels.scratch(100);
  expect(kernels.scratch(50)).toBe(small);
  expect(small % 64).toBe(0);
  const large = kernels.scratch(1 << 24);
  expect(large % 64).toBe(0);
  expect(kernels.scratch(100)).toBe(large);
});

test('a backend whose memory is elsewhere is refused with the way out', () => {
  const buffer = new ArrayBuffer(8);
  const memory = new WebAssembly.Memory({initial: 1});
  for (const wasmModule of [
    undefined,
    null,
    {},
    {asm: {}, HEAPU8: new Uint8Array(buffer)},
    {asm: {memory}, HEAPU8: new Uint8Array(buffer)},
    {asm: {memory: {buffer}}, HEAPU8: new Uint8Array(buffer)},
  ]) {
    const backend = {wasm: wasmModule} as unknown as tf.KernelBackend;
    expect(() => attach(backend)).toThrow(BackendError);
    expect(() => attach(backend)).toThrow(/unregister\(\) from '@tfjs-peft\/kernels\/wasm'/);
  }
});

test('an engine without SIMD is refused with the way out, and the ops still run composed', () => {
  const {Module} = WebAssembly;
  const memory = new WebAssembly.Memory({initial: 1, maximum: 65536});
  const backend = {
    wasm: {asm: {memory}, HEAPU8: new Uint8Array(memory.buffer)},
  } as unknown as tf.KernelBackend;
  const refuse = jest.spyOn(WebAssembly, 'Module').mockImplementation(() => {
    throw new WebAssembly.CompileError('invalid SIMD opcode');
  });
  try {
    expect(() => attach(backend)).toThrow(/SIMD.*unregister\(\)/s);
  } finally {
    refuse.mockRestore();
  }
  expect(WebAssembly.Module).toBe(Module);
  // Once the cause is gone the backend is not marked as broken.
  expect(attach(backend).exports.gemm).toBeInstanceOf(Function);

  const warn = jest.spyOn(console, 'warn').mockImplementation(() => {});
  wasm.unregister();
  expect(tf.getKernel('PeftMatMul', 'wasm') == null).toBe(true);
  const y = tf.tidy(() => combine({x: tf.ones([2, 3]), kernel: tf.ones([3, 4])}).dataSync());
  expect([...y]).toEqual(new Array(8).fill(3));
  expect(warn).toHaveBeenCalledTimes(1);
  warn.mockRestore();
});

test('registering again, in any order, prints nothing', () => {
  const warn = jest.spyOn(console, 'warn').mockImplementation(() => {});
  wasm.register();
  wasm.register();
  wasm.unregister();
  wasm.unregister();
  wasm.register();
  expect(warn).not.toHaveBeenCalled();
  warn.mockRestore();
});
