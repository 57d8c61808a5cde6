import * as tf from '@tensorflow/tfjs-core';
import {disposePacked, matMul, packedMatMul, prepack} from '@tfjs-peft/kernels';
import {time} from '../measure.js';
import {multiplyAddPeak} from '../peak.js';
import {type Row, row} from '../report.js';
import {kernelsFor} from '../stock.js';
import {isGpu, roundsOf, type Suite} from '../suite.js';

interface Product {
  a: number[];
  b: number[];
  transposeA?: boolean;
  transposeB?: boolean;
  /** b is a frozen kernel that was prepacked, as an upgraded layer can hold it. */
  frozen?: boolean;
  /** Multiply-adds of one product, all batches together. */
  work: number;
}

const BATCHES = 4;

/** Every transposition of one product, and the same work as four batches of a quarter of the rows. */
function shapes(m: number, k: number, n: number): Record<string, Product> {
  const [name, work] = [`${m}x${k}x${n}`, m * k * n];
  return {
    [`${name}/nn`]: {a: [m, k], b: [k, n], work},
    [`${name}/nt`]: {a: [m, k], b: [n, k], transposeB: true, work},
    [`${name}/tn`]: {a: [k, m], b: [k, n], transposeA: true, work},
    [`${name}/frozen`]: {a: [m, k], b: [k, n], frozen: true, work},
    [`${name}/batched`]: {a: [BATCHES, m / BATCHES, k], b: [BATCHES, k, n], work},
  };
}

const PRODUCTS: Record<string, Product> = {
  ...shapes(256, 768, 768),
  ...shapes(512, 2048, 2048),
  '16x768x768/nn': {a: [16, 768], b: [768, 768], work: 16 * 768 * 768},
  '16x768x768/frozen': {a: [16, 768], b: [768, 768], frozen: true, work: 16 * 768 * 768},
  '128x(32x128x32)/nt': {a: [128, 32, 128], b: [128, 32, 128], transposeB: true, work: 128 * 32 * 128 * 32},
  '128x(32x32x128)/nn': {a: [128, 32, 32], b: [128, 32, 128], work: 128 * 32 * 32 * 128},
};

/**
 * Products of every transposition and batched, against stock tfjs; `peak` is what one
 * thread of this machine can do at most, and `of-peak` our share of that.
 */
export const gemmSuite: Suite = async (options) => {
  const rounds = roundsOf(options);
  const enter = kernelsFor(options.backend);
  const rows: Row[] = [];
  const add = (fields: Omit<Row, 'ratio'>) => {
    rows.push(row(fields));
    options.onRow?.(rows.at(-1)!);
  };
  const wanted = (name: string) => options.cases?.test(name) ?? true;
  const peak = options.backend === 'wasm' ? await multiplyAddPeak() : undefined;
  if (wanted('peak') && peak !== undefined) {
    add({
      case: 'peak',
      metric: 'rate',
      ours: peak,
      baseline: peak,
      baselineName: 'multiply-adds, one thread',
      unit: 'GFLOP/s',
    });
  }
  for (const [name, product] of Object.entries(PRODUCTS)) {
    if (!wanted(name)) continue;
    // Seconds a product where a CPU plays the GPU; --cases asks for it all the same.
    if (isGpu(options.backend) && !options.cases && product.work > 2 ** 28) continue;
    const [a, b] = [
      tf.randomNormal(product.a, 0, 1, 'float32', 1),
      tf.randomNormal(product.b, 0, 1, 'float32', 2),
    ];
    const {transposeA = false, transposeB = false, frozen} = product;
    const kernel = frozen ? prepack(b as tf.Tensor2D) : undefined;
    const {
      ours,
      baseline,
      rounds: done,
    } = await time(
      {
        ours: () => (kernel ? packedMatMul(a, kernel) : matMul(a, b, transposeA, transposeB)),
        baseline: () => tf.matMul(a, b, transposeA, transposeB),
      },
      rounds,
      enter,
    );
    const rate = (milliseconds: number) => (2 * product.work) / milliseconds / 1e6;
    const shared = {case: name, baselineName: 'stock tf.matMul', rounds: done};
    add({...shared, metric: 'time', ours, baseline, unit: 'ms'});
    add({...shared, metric: 'rate', ours: rate(ours), baseline: rate(baseline), unit: 'GFLOP/s'});
    if (peak !== undefined) {
      add({
        ...shared,
        metric: 'of-peak',
        ours: rate(ours),
        baseline: peak,
        baselineName: 'peak',
        unit: 'GFLOP/s',
      });
    }
    if (kernel) disposePacked(kernel);
    tf.dispose([a, b]);
  }
  enter('ours');
  return rows;
};
