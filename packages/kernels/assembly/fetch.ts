/**
 * Reads the lines of `bytes` bytes in the order of memory, so that they are in the cache when they are needed
 * in another order, in which the processor does not see them coming. `spare` gets 16 bytes of no meaning,
 * without which the reads would be left out.
 */
export function fetch(from: usize, bytes: usize, spare: usize): void {
  let all: v128 = i32x4.splat(0);
  for (const end = from + (bytes & ~255); from < end; from += 256) {
    const first = v128.or(v128.load(from), v128.load(from, 64));
    all = v128.or(all, v128.or(first, v128.or(v128.load(from, 128), v128.load(from, 192))));
  }
  v128.store(spare, all);
}
