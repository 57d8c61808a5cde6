import '@tensorflow/tfjs-backend-cpu';
import * as tf from '@tensorflow/tfjs-core';
import * as tfd from '@tensorflow/tfjs-data';
import type {GraphArrays, GraphBatch, GraphData, TrainerOptions} from '../../graph.js';

// What is tested here is that it compiles, without a cast; and that what is marked does not.
describe('the type of data', () => {
  const batch = () => ({xs: tf.ones([2, 3]), ys: tf.ones([2, 1])});

  it('takes what tf.data gives', () => {
    const rows = {xs: tfd.array([[1, 2, 3]]), ys: tfd.array([[1]])};
    const data: GraphData[] = [
      tfd.zip(rows).batch(2),
      tfd.zip(rows).shuffle(4).batch(2).prefetch(1),
      tfd.generator(function* () {
        yield batch();
      }),
      tfd.array([1, 2]).map(batch),
      () => tfd.zip(rows).batch(2),
    ];
    expect(data).toHaveLength(5);
  });

  it('takes arrays, generators, iterators and all samples', () => {
    function* generate(): Generator<GraphBatch> {
      yield batch();
    }
    async function* later() {
      yield batch();
    }
    const all: GraphArrays = {...batch(), sampleWeights: tf.ones([2])};
    const data: GraphData[] = [
      [batch()],
      new Set([batch()]),
      generate,
      generate(),
      later,
      later(),
      () => [batch()],
      all,
      [all.xs, all.ys],
      {xs: {a: tf.ones([2])}, ys: {b: tf.ones([2])}},
    ];
    expect(data).toHaveLength(10);
  });

  it('takes neither numbers nor batches without targets', () => {
    // @ts-expect-error a number is no data
    const wrong: GraphData = 1;
    // @ts-expect-error no ys
    const lacking: GraphBatch = {xs: tf.ones([2])};
    // @ts-expect-error Keras calls it so
    const misspelt: GraphBatch = {...batch(), sample_weight: tf.ones([2])};
    const options: TrainerOptions = {loss: {a: 'meanSquaredError'}, metrics: {a: 'mae'}};
    expect([wrong, lacking, misspelt, options]).toHaveLength(4);
  });
});
