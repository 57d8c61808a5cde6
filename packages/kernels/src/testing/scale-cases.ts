import * as tf from '@tensorflow/tfjs-core';
import {combine, matMul, softmaxGates} from '../index.js';

/** Numbers that a shader has to get as the float32 that they are. */
const SCALES = [1e-10, 1.2346e-6, -3.3e-8, 1e-30, 1e30, 0.1, -2, 16, 123456.789, 0];

/** How far each result of `op`, all of whose entries are `want`, is from it, as a part of it. */
async function relative(op: () => tf.Tensor, want: number): Promise<number> {
  const result = tf.tidy(op);
  const values = await result.data();
  result.dispose();
  const off = Array.from(values, (value) => Math.abs(value - want) / (Math.abs(want) || 1));
  return Math.max(...off);
}

/** The scales that come out otherwise than they were given, by op. */
export async function scalesOff(): Promise<string[]> {
  const [h, b, z] = [tf.ones([4, 2]), tf.ones([2, 3]), tf.zeros([4, 3])] as [
    tf.Tensor2D,
    tf.Tensor2D,
    tf.Tensor,
  ];
  const off: string[] = [];
  const check = async (what: string, op: () => tf.Tensor, want: number): Promise<void> => {
    const by = await relative(op, want);
    if (!(by < 1e-6)) off.push(`${what}: ${by}`);
  };
  for (const scale of SCALES) {
    await check(`combine with ${scale}`, () => combine({z, h, b, scale}), 2 * scale);
    await check(`matMul with ${scale}`, () => matMul(h, b, false, false, scale), 2 * scale);
    const gradient = tf.grad((of) => tf.sum(combine({z, h: of, b, scale})));
    await check(`gradient of combine with ${scale}`, () => gradient(h), 3 * scale);
  }
  const not = await tf.tidy(() => combine({z, h, b, scale: Number.NaN})).data();
  if (!not.every(Number.isNaN)) off.push('combine with NaN');
  for (const temperature of [1e-6, 0.3, 1e6]) {
    const logits = [temperature, 0];
    const kernel = tf.tensor2d([logits]);
    const gates = await softmaxGates(tf.ones([2, 1]), kernel, temperature).data();
    if (!(Math.abs(gates[0]! - Math.E / (Math.E + 1)) < 1e-5)) off.push(`softmaxGates at ${temperature}`);
  }
  return off;
}
