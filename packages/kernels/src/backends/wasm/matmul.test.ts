import * as tf from '@tensorflow/tfjs-core';
import '@tensorflow/tfjs-backend-wasm';
import '../../wasm.js';
import {matMul} from '../../index.js';

const SIZES = [1, 3, 5, 17, 130];

beforeAll(async () => {
  await tf.setBackend('wasm');
});

/** The product in float64, straight from the definition; a batch of 1 is shared. */
function reference(a: tf.Tensor, b: tf.Tensor, transposeA: boolean, transposeB: boolean): number[] {
  const [A, B] = [a.dataSync(), b.dataSync()];
  const [ra, ca] = a.shape.slice(-2) as [number, number];
  const [rb, cb] = b.shape.slice(-2) as [number, number];
  const [m, k] = transposeA ? [ca, ra] : [ra, ca];
  const n = transposeB ? rb : cb;
  const batchA = a.rank === 3 ? a.shape[0]! : 1;
  const batchB = b.rank === 3 ? b.shape[0]! : 1;
  const out: number[] = [];
  for (let t = 0; t < Math.max(batchA, batchB); t++) {
    const oa = batchA === 1 ? 0 : t * ra * ca;
    const ob = batchB === 1 ? 0 : t * rb * cb;
    for (let i = 0; i < m; i++) {
      for (let j = 0; j < n; j++) {
        let sum = 0;
        for (let p = 0; p < k; p++) {
          const left = A[oa + (transposeA ? p * ca + i : i * ca + p)]!;
          const right = B[ob + (transposeB ? j * cb + p : p * cb + j)]!;
          sum += left * right;
        }
        out.push(sum);
      }
    }
  }
  return out;
}

function check(shapeA: number[], shapeB: number[], transposeA: boolean, transposeB: boolean): void {
  const swap = (shape: number[]) => [...shape.slice(0, -2), shape.at(-1)!, shape.at(-2)!];
  const a = tf.randomUniform(transposeA ? swap(shapeA) : shapeA, -1, 1, 'float32', 1);
  const b = tf.randomUniform(transposeB ? swap(shapeB) : shapeB, -1, 1, 'float32', 2);
  const out = matMul(a, b, transposeA, transposeB);
  const batch = [...(shapeA.length === 3 ? [shapeA] : []), ...(shapeB.length === 3 ? [shapeB] : [])].map(
    (s) => s[0]!,
  );
  const want = [shapeA.at(-2)!, shapeB.at(-1)!];
  expect(out.shape).toEqual(batch.length > 0 ? [Math.max(...batch), ...want] : want);
  const got = out.dataSync();
  const expected = reference(a, b, transposeA, transposeB);
  const tolerance = 1e-6 * Math.sqrt(shapeA.at(-1)!);
  let worst = 0;
  for (let i = 0; i < expected.length; i++) worst = Math.max(worst, Math.abs(got[i]! - expected[i]!));
  expect(worst).toBeLessThan(tolerance);
  expect(got.length).toBe(expected.length);
  tf.dispose([a, b, out]);
}

const transpositions = [
  [false, false],
  [false, true],
  [true, false],
  [true, true],
] as const;

describe.each(transpositions)('matMul on wasm, transposeA=%s, transposeB=%s', (transposeA, transposeB) => {
  test.each(SIZES)('every size with %d rows', (m) => {
    for (const k of SIZES) for (const n of SIZES) check([m, k], [k, n], transposeA, transposeB);
  });

  test('batched, and with either operand shared', () => {
    for (const [a, b] of [
      [
        [3, 5, 7],
        [3, 7, 17],
      ],
      [
        [3, 5, 7],
        [1, 7, 17],
      ],
      [
        [1, 5, 7],
        [3, 7, 17],
      ],
      [
        [5, 7],
        [4, 7, 9],
      ],
      [
        [4, 6, 7],
        [7, 9],
      ],
      [
        [130, 4, 3],
        [130, 3, 8],
      ],
      [
        [1, 4, 3],
        [1, 3, 8],
      ],
    ] as [number[], number[]][]) {
      check(a, b, transposeA, transposeB);
    }
  });
});

test('an inner size of 0 gives zeros, an outer one an empty tensor', () => {
  const zeros = matMul(tf.zeros([3, 0]), tf.zeros([0, 9]));
  expect([...zeros.dataSync()]).toEqual(new Array(27).fill(0));
  expect(matMul(tf.zeros([0, 3]), tf.zeros([3, 9])).shape).toEqual([0, 9]);
  expect(matMul(tf.zeros([3, 9]), tf.zeros([9, 0])).shape).toEqual([3, 0]);
  expect(matMul(tf.zeros([0, 2, 3]), tf.zeros([0, 3, 4])).shape).toEqual([0, 2, 4]);
});

test('keeps its results and leaks nothing while the memory grows', () => {
  const a = tf.randomUniform([64, 96], -1, 1, 'float32', 3) as tf.Tensor2D;
  const b = tf.randomUniform([96, 40], -1, 1, 'float32', 4) as tf.Tensor2D;
  const first = matMul(a, b, false, false);
  const before = first.dataSync().slice();
  const bytes = wasmBytes();
  const big = tf.zeros([8, 1024, 1024]);
  expect(wasmBytes()).toBeGreaterThan(bytes);
  const {numTensors} = tf.memory();
  for (let i = 0; i < 10; i++) {
    const again = matMul(a, b);
    expect(again.dataSync()).toEqual(before);
    again.dispose();
  }
  expect(first.dataSync()).toEqual(before);
  expect(tf.memory().numTensors).toBe(numTensors);
  tf.dispose([a, b, first, big]);
});

function wasmBytes(): number {
  return (tf.backend() as unknown as {wasm: {HEAPU8: Uint8Array}}).wasm.HEAPU8.length;
}
