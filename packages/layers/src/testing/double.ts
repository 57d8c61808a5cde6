/** A matrix of doubles, by rows. */
export type Matrix = number[][];

export function matrix(values: ArrayLike<number>, columns: number): Matrix {
  return Array.from({length: values.length / columns}, (_, i) =>
    Array.from({length: columns}, (_, j) => values[i * columns + j]!),
  );
}

export function product(a: Matrix, b: Matrix): Matrix {
  return a.map((row) => b[0]!.map((_, j) => row.reduce((sum, value, k) => sum + value * b[k]![j]!, 0)));
}

export function zip(a: Matrix, b: Matrix, f: (p: number, q: number) => number): Matrix {
  return a.map((row, i) => row.map((value, j) => f(value, b[i]![j]!)));
}

export function addRow(a: Matrix, row: number[]): Matrix {
  return a.map((values) => values.map((value, j) => value + row[j]!));
}

export function softmax(row: number[]): number[] {
  const top = Math.max(...row);
  const powers = row.map((value) => Math.exp(value - top));
  const total = powers.reduce((sum, power) => sum + power, 0);
  return powers.map((power) => power / total);
}

/** Gates of a softmax router, by its definition. */
export function gatesOf(
  x: Matrix,
  kernel: Matrix,
  {temperature = 1, topK = Number.POSITIVE_INFINITY, renormalize = false} = {},
): Matrix {
  return product(x, kernel).map((logits) => {
    const p = softmax(logits.map((logit) => logit / temperature));
    const order = p.map((_, e) => e).sort((i, j) => p[j]! - p[i]! || i - j);
    const kept = p.map((value, e) => (order.indexOf(e) < topK ? value : 0));
    const total = renormalize ? kept.reduce((sum, value) => sum + value, 0) : 1;
    return kept.map((value) => value / total);
  });
}

/** The error function, by its power series: enough terms for arguments up to 4. */
function erf(x: number): number {
  let term = x;
  let sum = x;
  for (let n = 1; n < 100; n++) {
    term *= (-x * x) / n;
    sum += term / (2 * n + 1);
  }
  return (2 / Math.sqrt(Math.PI)) * sum;
}

/** Activations of tfjs-layers by their names there; those that look at a whole row, and those that do not. */
export const ACTIVATIONS: Record<string, (row: number[]) => number[]> = {
  linear: (row) => row,
  relu: (row) => row.map((u) => Math.max(u, 0)),
  tanh: (row) => row.map(Math.tanh),
  sigmoid: (row) => row.map((u) => 1 / (1 + Math.exp(-u))),
  swish: (row) => row.map((u) => u / (1 + Math.exp(-u))),
  gelu: (row) => row.map((u) => 0.5 * u * (1 + erf(u / Math.SQRT2))),
  gelu_new: (row) =>
    row.map((u) => 0.5 * u * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (u + 0.044715 * u ** 3)))),
  softplus: (row) => row.map((u) => Math.log1p(Math.exp(u))),
  softmax,
};
