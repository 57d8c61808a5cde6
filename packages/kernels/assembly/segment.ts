import {addScaled} from './vector';

/**
 * out[ids[i]] += x[i] for rows of `width` floats; an id outside 0 .. segments - 1
 * drops its row, as TensorFlow does.
 */
export function segmentSum(x: usize, ids: usize, out: usize, rows: i32, width: i32, segments: i32): void {
  const row = <usize>width << 2;
  memory.fill(out, 0, <usize>segments * row);
  for (; rows > 0; --rows) {
    const id = load<i32>(ids);
    if (id >= 0 && id < segments) addScaled(1, x, out + <usize>id * row, width);
    x += row;
    ids += 4;
  }
}
