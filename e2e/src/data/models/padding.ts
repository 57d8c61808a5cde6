/** Texts of up to so many tokens are of like length: padding a batch of them to its longest wastes little. */
const BUCKETS = [4, 6, 8, 10, 12, 14, 16, 20, 24, 28, 32, 40, 48, 64, 96, 128];

/** The class of like lengths that a text of `length` tokens falls into, never above `maxTokens`. */
export function bucketOf(length: number, maxTokens: number): number {
  const bucket = BUCKETS.find((candidate) => candidate >= length) ?? length;
  return Math.min(bucket, maxTokens);
}

/**
 * Row-major ids [texts, length], cut and padded; an empty text becomes one
 * `<unk>`, since a mean needs a position.
 */
export function padTokens(texts: ArrayLike<number>[], length: number, padding: number): Int32Array {
  const ids = new Int32Array(texts.length * length).fill(padding);
  texts.forEach((tokens, row) => {
    const count = Math.min(tokens.length, length);
    for (let i = 0; i < count; i++) ids[row * length + i] = tokens[i]!;
    if (count === 0) ids[row * length] = 0;
  });
  return ids;
}
