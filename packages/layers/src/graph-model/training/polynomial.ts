/**
 * A sum of products of symbols: how often each product is in it. The order of
 * factors and summands does not matter.
 */
export type Polynomial = ReadonlyMap<string, number>;

const TIMES = '\n';

/** The key of a product. */
export function product(...symbols: string[]): string {
  return symbols
    .flatMap((symbol) => symbol.split(TIMES))
    .sort()
    .join(TIMES);
}

/** The sum of two; undefined if either is. */
export function add(a: Polynomial | undefined, b: Polynomial | undefined): Polynomial | undefined {
  if (a === undefined || b === undefined) return undefined;
  const sum = new Map(a);
  for (const [key, times] of b) sum.set(key, (sum.get(key) ?? 0) + times);
  return sum;
}

export function negate(a: Polynomial | undefined): Polynomial | undefined {
  return a && new Map([...a].map(([key, times]) => [key, -times]));
}

/** The product of two; undefined if either is. */
export function multiply(a: Polynomial | undefined, b: Polynomial | undefined): Polynomial | undefined {
  if (a === undefined || b === undefined) return undefined;
  const sum = new Map<string, number>();
  for (const [left, count] of a) {
    for (const [right, times] of b) {
      const key = product(left, right);
      sum.set(key, (sum.get(key) ?? 0) + count * times);
    }
  }
  return sum;
}
