import {minimize} from './lbfgs.js';

describe('minimize', () => {
  it('finds the minimum of an ill-conditioned quadratic', async () => {
    const curvature = [1, 10, 100, 1000];
    const target = [3, -2, 0.5, 7];
    const {x, converged} = await minimize(
      async (x) => ({
        value: curvature.reduce((sum, c, i) => sum + (c / 2) * (x[i]! - target[i]!) ** 2, 0),
        gradient: Float64Array.from(curvature, (c, i) => c * (x[i]! - target[i]!)),
      }),
      new Float64Array(4),
      {tolerance: 1e-8, precision: 0},
    );
    expect(converged).toBe(true);
    target.forEach((value, i) => {
      expect(x[i]).toBeCloseTo(value, 6);
    });
  });

  it('finds the minimum of the Rosenbrock function', async () => {
    const {x} = await minimize(
      async (point) => {
        const [a, b] = point as unknown as [number, number];
        return {
          value: (1 - a) ** 2 + 100 * (b - a * a) ** 2,
          gradient: Float64Array.of(-2 * (1 - a) - 400 * a * (b - a * a), 200 * (b - a * a)),
        };
      },
      Float64Array.of(-1.2, 1),
      {tolerance: 1e-7, precision: 0},
    );
    expect(x[0]).toBeCloseTo(1, 5);
    expect(x[1]).toBeCloseTo(1, 5);
  });
});
