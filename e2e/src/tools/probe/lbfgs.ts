/** Value of a function and its gradient there. */
export interface Evaluation {
  value: number;
  gradient: Float64Array;
}

export interface LbfgsOptions {
  /** Stops when no entry of the gradient is larger. Default 1e-5. */
  tolerance?: number;
  /** Stops when a step lowers the value by no more than this share of it. Default 1e-8. */
  precision?: number;
  /** Default 200. */
  maxIterations?: number;
  /** Pairs of steps and gradient changes that stand for the Hessian. Default 10. */
  memory?: number;
}

function dot(a: Float64Array, b: Float64Array): number {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += a[i]! * b[i]!;
  return sum;
}

/** a + scale · b, in `into`. */
function combine(a: Float64Array, scale: number, b: Float64Array, into: Float64Array): Float64Array {
  for (let i = 0; i < a.length; i++) into[i] = a[i]! + scale * b[i]!;
  return into;
}

const combined = (a: Float64Array, scale: number, b: Float64Array) =>
  combine(a, scale, b, new Float64Array(a.length));

const negated = (a: Float64Array) => combined(a, -2, a);

function largest(a: Float64Array): number {
  let most = 0;
  for (let i = 0; i < a.length; i++) most = Math.max(most, Math.abs(a[i]!));
  return most;
}

interface Pair {
  s: Float64Array;
  y: Float64Array;
  rho: number;
}

/** The two-loop recursion: minus the inverse Hessian's estimate times the gradient. */
function direction(gradient: Float64Array, pairs: Pair[]): Float64Array {
  const q = negated(gradient);
  const alphas = pairs.map(() => 0);
  for (let i = pairs.length - 1; i >= 0; i--) {
    const {s, y, rho} = pairs[i]!;
    alphas[i] = rho * dot(s, q);
    combine(q, -alphas[i]!, y, q);
  }
  const last = pairs.at(-1);
  if (last !== undefined) {
    const scale = 1 / (last.rho * dot(last.y, last.y));
    combine(q, scale - 1, q, q);
  }
  pairs.forEach(({s, y, rho}, i) => {
    combine(q, alphas[i]! - rho * dot(y, q), s, q);
  });
  return q;
}

/**
 * Minimises a smooth function: L-BFGS (Nocedal and Wright, Numerical Optimization, algorithm 7.5) with a
 * backtracking search for sufficient decrease.
 */
export async function minimize(
  evaluate: (x: Float64Array) => Promise<Evaluation>,
  start: Float64Array,
  {tolerance = 1e-5, precision = 1e-8, maxIterations = 200, memory = 10}: LbfgsOptions = {},
): Promise<{x: Float64Array; value: number; iterations: number; converged: boolean}> {
  let x = start;
  let here = await evaluate(x);
  const pairs: Pair[] = [];
  for (let iteration = 0; iteration < maxIterations; iteration++) {
    const steepest = largest(here.gradient);
    if (steepest <= tolerance) return {x, value: here.value, iterations: iteration, converged: true};
    let step = direction(here.gradient, pairs);
    let slope = dot(here.gradient, step);
    if (slope >= 0) {
      pairs.length = 0;
      step = negated(here.gradient);
      slope = dot(here.gradient, step);
    }
    let rate = pairs.length === 0 ? Math.min(1, 1 / Math.sqrt(-slope)) : 1;
    let next = combined(x, rate, step);
    let there = await evaluate(next);
    for (let tries = 0; tries < 20 && !(there.value <= here.value + 1e-4 * rate * slope); tries++) {
      rate /= 2;
      next = combined(x, rate, step);
      there = await evaluate(next);
    }
    // Below the precision of the function's values nothing decreases any more.
    if (!(there.value < here.value)) return {x, value: here.value, iterations: iteration, converged: false};
    if (here.value - there.value <= precision * Math.abs(here.value)) {
      return {x: next, value: there.value, iterations: iteration + 1, converged: true};
    }
    const s = combined(next, -1, x);
    const y = combined(there.gradient, -1, here.gradient);
    const curvature = dot(s, y);
    if (curvature > 1e-12) {
      pairs.push({s, y, rho: 1 / curvature});
      if (pairs.length > memory) pairs.shift();
    }
    x = next;
    here = there;
  }
  return {x, value: here.value, iterations: maxIterations, converged: false};
}
