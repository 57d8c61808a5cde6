import * as tf from '@tensorflow/tfjs-core';
import '@tensorflow/tfjs';
import '@tensorflow/tfjs-backend-wasm';
import type {BackendWasm} from '@tensorflow/tfjs-backend-wasm';
import {BackendError, layerNorm} from '../index.js';
import '../wasm.js';

const MIB = 2 ** 20;
const FLOAT = 4;

beforeAll(() => tf.setBackend('wasm'));

/** Room that nothing is written to, so that it costs the machine next to nothing. */
function room(bytes: number): tf.Tensor {
  return tf
    .engine()
    .makeTensorFromTensorInfo((tf.backend() as BackendWasm).makeOutput([bytes / FLOAT], 'float32'));
}

/** Takes all of the heap but less than a block of so many bytes. */
function fill(block: number): tf.Tensor[] {
  const taken: tf.Tensor[] = [];
  for (;;) {
    try {
      taken.push(room(block));
    } catch (error) {
      expect(error).toBeInstanceOf(BackendError);
      return taken;
    }
  }
}

describe('where the heap is full', () => {
  const small = 16 * MIB;
  let kept: tf.Tensor;
  let taken: tf.Tensor[];
  beforeAll(() => {
    kept = tf.range(0, 1000);
    taken = [...fill(512 * MIB), ...fill(64 * MIB), ...fill(small)];
  });
  afterAll(() => tf.dispose([kept, ...taken]));

  const x = () => tf.ones([1, small / FLOAT]);

  it.each<[string, () => unknown]>([
    ['a tensor', () => tf.tensor(new Float32Array(small / FLOAT))],
    ['a stock op', () => tf.tidy(() => tf.tile(tf.ones([1, 1024]), [small / FLOAT / 1024, 1]))],
    ['an op of ours', () => tf.tidy(() => layerNorm(x()))],
  ])('%s says how many bytes are missing, and what to do', (_name, op) => {
    const {numTensors, numDataBuffers} = tf.memory();
    expect(op).toThrow(BackendError);
    expect(op).toThrow(`wasm: out of memory: could not allocate ${small} bytes`);
    expect(op).toThrow('Adapt fewer sites, use a smaller batch, or dispose tensors');
    expect(tf.memory()).toMatchObject({numTensors, numDataBuffers});
  });

  it('what is there stays, and all works again once something is disposed', () => {
    expect(() => x()).toThrow(BackendError);
    expect(kept.dataSync()).toEqual(Float32Array.from({length: 1000}, (_, i) => i));
    expect(tf.tidy(() => tf.sum(kept).dataSync()[0])).toBe(499_500);
    tf.dispose(taken.splice(0, 2));
    tf.tidy(() => {
      expect(layerNorm(x()).dataSync()[0]).toBe(0);
      expect(tf.add(x(), 1).dataSync()[small / FLOAT - 1]).toBe(2);
    });
  });
});

test('a size beyond what a pointer reaches is refused, and not taken for a small one', () => {
  expect(() => room(2 ** 32 + 1024)).toThrow(`could not allocate ${2 ** 32 + 1024} bytes`);
});
