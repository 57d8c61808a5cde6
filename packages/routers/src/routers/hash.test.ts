import * as tf from '@tensorflow/tfjs';
import '@tfjs-peft/kernels/cpu';
import {routerWith, rowsOf} from '../testing/route.js';

beforeAll(() => tf.setBackend('cpu'));

/** The expert of each token. */
function expertsOf(shape: number[], mask?: tf.Tensor): number[] {
  const {route, weights} = routerWith({type: 'hash', experts: 3}, shape.at(-1)!);
  const {gates, topK} = route({input: tf.ones(shape), ...(mask && {context: {mask}})});
  expect(gates.shape).toEqual([...shape.slice(0, -1), 3]);
  expect([topK, weights.size]).toEqual([1, 0]);
  return rowsOf(gates).map((row) => {
    expect([...row].sort()).toEqual([0, 0, 1]);
    return row.indexOf(1);
  });
}

describe('the hash router', () => {
  it('gives tokens to the experts in turn, in every sample alike', () => {
    expect(expertsOf([2, 5, 4])).toEqual([0, 1, 2, 0, 1, 0, 1, 2, 0, 1]);
  });

  it('does not count padding', () => {
    const mask = tf.tensor2d([
      [0, 0, 1, 1, 1],
      [1, 1, 0, 1, 0],
    ]);
    const real = expertsOf([2, 5, 4], mask).filter((_, i) => mask.dataSync()[i] === 1);
    expect(real).toEqual([0, 1, 2, 0, 1, 2]);
  });

  it('counts the pixels of an image row by row, and takes a vector for position 0', () => {
    expect(expertsOf([1, 2, 2, 4])).toEqual([0, 1, 2, 0]);
    expect(expertsOf([3, 4])).toEqual([0, 0, 0]);
  });
});
