/** Lengths to which a batch is padded: every length would make every batch a new shape, one length would waste half. */
const BUCKETS = [8, 12, 16, 24, 32, 48, 64, 96, 128];

/** The length to which texts of at most `length` tokens are padded, never above `maxTokens`. */
export function bucketOf(length: number, maxTokens: number): number {
  const bucket = BUCKETS.find((candidate) => candidate >= length) ?? length;
  return Math.min(bucket, maxTokens);
}

/** Row-major ids [texts, length], cut and padded; an empty text becomes one `<unk>`, since a mean needs a position. */
export function padTokens(texts: ArrayLike<number>[], length: number, padding: number): Int32Array {
  const ids = new Int32Array(texts.length * length).fill(padding);
  texts.forEach((tokens, row) => {
    const count = Math.min(tokens.length, length);
    for (let i = 0; i < count; i++) ids[row * length + i] = tokens[i]!;
    if (count === 0) ids[row * length] = 0;
  });
  return ids;
}
