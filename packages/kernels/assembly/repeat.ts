// tf.tile as copies of growing blocks.

/**
 * One axis, outermost first: its size, how often it is repeated, and the bytes
 * of one entry of it in the source.
 */
@unmanaged
class Axis {
  size: i32;
  repeats: i32;
  entryBytes: usize;
}
const AXIS: usize = 12;

/** Beyond this a block is copied as it is, so that its source stays in the first-level cache. */
const BLOCK: usize = 16384;

/**
 * Tiles `count` axes at `axes` and returns the bytes written. The last axis holds whole entries: see tile.ts.
 */
export function tile(src: usize, dst: usize, axes: usize, count: i32): usize {
  const axis = changetype<Axis>(axes);
  let bytes: usize = 0;
  if (count == 1) {
    bytes = <usize>axis.size * axis.entryBytes;
    memory.copy(dst, src, bytes);
  } else {
    for (let i = axis.size; i > 0; --i) {
      bytes += tile(src, dst + bytes, axes + AXIS, count - 1);
      src += axis.entryBytes;
    }
  }
  const total = bytes * <usize>axis.repeats;
  repeat(dst, bytes, total);
  return total;
}

/** Fills dst[bytes:total] with repetitions of dst[0:bytes]. */
function repeat(dst: usize, bytes: usize, total: usize): void {
  if (bytes == 4) {
    const value = v128.load32_splat(dst);
    const end = dst + total;
    for (; dst + 16 <= end; dst += 16) v128.store(dst, value);
    for (; dst < end; dst += 4) v128.store32_lane(dst, value, 0);
    return;
  }
  let block = bytes;
  for (let done = bytes; done < total; ) {
    const part = min(block, total - done);
    memory.copy(dst + done, dst, part);
    done += part;
    if (block < BLOCK) block = done;
  }
}
