// Panels of 16 or 8 columns, padded with zeros, in the order in which the microkernels read them.

/**
 * dst[k, 0:width] = src[k, 0:columns], width 16 or 8, rows of src `lds` bytes apart;
 * columns beyond the matrix become zero.
 */
export function packPanel(src: usize, lds: usize, k: i32, columns: i32, width: i32, dst: usize): void {
  if (columns >= width) {
    if (width == 16) {
      for (; k > 0; --k) {
        v128.store(dst, v128.load(src)); v128.store(dst, v128.load(src, 16), 16);
        v128.store(dst, v128.load(src, 32), 32); v128.store(dst, v128.load(src, 48), 48);
        src += lds; dst += 64;
      }
    } else {
      for (; k > 0; --k) {
        v128.store(dst, v128.load(src)); v128.store(dst, v128.load(src, 16), 16);
        src += lds; dst += 32;
      }
    }
    return;
  }
  for (; k > 0; --k) {
    for (let c = 0; c < width; ++c) {
      store<f32>(dst + (<usize>c << 2), c < columns ? load<f32>(src + (<usize>c << 2)) : 0);
    }
    src += lds;
    dst += <usize>width << 2;
  }
}

/** dst[k, 0:width] = src[0:columns, k] transposed: the panel of a matrix that is stored by columns. */
export function packPanelTransposed(src: usize, lds: usize, k: i32, columns: i32, width: i32, dst: usize): void {
  const row = <usize>width << 2;
  if (columns < width) memory.fill(dst, 0, <usize>k * row);
  transpose(src, lds, min(columns, width), k, dst, row);
}

/** Multiplies the floats from `panel` to `end`, a multiple of 4 of them. */
export function scalePanel(panel: usize, end: usize, scale: f32): void {
  if (scale == 1) return;
  const s = f32x4.splat(scale);
  for (; panel < end; panel += 16) v128.store(panel, f32x4.mul(v128.load(panel), s));
}

/** dst[j, i] = src[i, j] for i < rows, j < columns, by 4x4 blocks. Row strides in bytes. */
export function transpose(src: usize, lds: usize, rows: i32, columns: i32, dst: usize, ldd: usize): void {
  let i = 0;
  for (; i + 4 <= rows; i += 4) {
    let s = src + <usize>i * lds;
    let d = dst + (<usize>i << 2);
    let j = columns;
    for (; j >= 4; j -= 4) {
      transpose4x4(s, lds, d, ldd);
      s += 16;
      d += 4 * ldd;
    }
    for (; j > 0; --j) {
      store<f32>(d, load<f32>(s));
      store<f32>(d, load<f32>(s + lds), 4);
      store<f32>(d, load<f32>(s + 2 * lds), 8);
      store<f32>(d, load<f32>(s + 3 * lds), 12);
      s += 4;
      d += ldd;
    }
  }
  for (; i < rows; ++i) {
    let s = src + <usize>i * lds;
    let d = dst + (<usize>i << 2);
    for (let j = columns; j > 0; --j) {
      store<f32>(d, load<f32>(s));
      s += 4;
      d += ldd;
    }
  }
}

// @ts-ignore: decorator
@inline
function transpose4x4(s: usize, lds: usize, d: usize, ldd: usize): void {
  const r0 = v128.load(s), r1 = v128.load(s + lds), r2 = v128.load(s + 2 * lds), r3 = v128.load(s + 3 * lds);
  const t0 = v128.shuffle<f32>(r0, r1, 0, 4, 1, 5);
  const t1 = v128.shuffle<f32>(r0, r1, 2, 6, 3, 7);
  const t2 = v128.shuffle<f32>(r2, r3, 0, 4, 1, 5);
  const t3 = v128.shuffle<f32>(r2, r3, 2, 6, 3, 7);
  v128.store(d, v128.shuffle<f32>(t0, t2, 0, 1, 4, 5));
  v128.store(d + ldd, v128.shuffle<f32>(t0, t2, 2, 3, 6, 7));
  v128.store(d + 2 * ldd, v128.shuffle<f32>(t1, t3, 0, 1, 4, 5));
  v128.store(d + 3 * ldd, v128.shuffle<f32>(t1, t3, 2, 3, 6, 7));
}
