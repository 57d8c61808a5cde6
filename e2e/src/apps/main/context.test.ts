import {fitCentroids, textContexts} from './context.js';

const WIDTH = 4;
/** Two directions, with a little of the others. */
const vectors = Float32Array.from([0.99, 0.1, 0, 0, 0.98, 0, 0.2, 0, 0, 0.1, 0.99, 0, 0, 0, 0.98, 0.2]);

describe('what texts bring along', () => {
  it('scores each vector against the centroids of the training vectors', () => {
    const centroids = fitCentroids({intuition: 2}, [vectors], WIDTH, 1)!;
    const contexts = textContexts({intuition: 2}, 0, 4, vectors, centroids);
    const nearest = contexts.map(({intuition}) => (intuition![0]! > intuition![1]! ? 0 : 1));
    expect(nearest[0]).toBe(nearest[1]);
    expect(nearest[2]).toBe(nearest[3]);
    expect(nearest[0]).not.toBe(nearest[2]);
    expect(Math.max(...contexts[0]!.intuition!)).toBeGreaterThan(0.95);
  });

  it('is the task, the vector at the scale of a head’s features, or nothing', () => {
    expect(textContexts({task: 1}, 3, 2, undefined, undefined)).toEqual([
      {task: Float32Array.of(3)},
      {task: Float32Array.of(3)},
    ]);
    const [first] = textContexts({sentence: WIDTH}, 0, 4, vectors, undefined);
    expect(first!.sentence![0]).toBeCloseTo(2 * 0.99, 5);
    expect(fitCentroids({task: 1}, [vectors], WIDTH, 1)).toBeUndefined();
    expect(textContexts({}, 0, 1, vectors, undefined)).toEqual([{}]);
  });
});
