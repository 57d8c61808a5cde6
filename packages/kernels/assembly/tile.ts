// A 2x16 tile of the output on its way through the epilogue: 32 floats that stay in the first-level cache.
import {WIDE_ROW} from './block';

export const TILE: usize = 128;

/** The first min(columns, 16) floats of a row. */
export function copyRow(src: usize, dst: usize, columns: i32): void {
  if (columns >= 16) {
    v128.store(dst, v128.load(src)); v128.store(dst, v128.load(src, 16), 16);
    v128.store(dst, v128.load(src, 32), 32); v128.store(dst, v128.load(src, 48), 48);
    return;
  }
  for (; columns >= 4; columns -= 4) {
    v128.store(dst, v128.load(src));
    src += 16; dst += 16;
  }
  for (; columns > 0; --columns) {
    store<f32>(dst, load<f32>(src));
    src += 4; dst += 4;
  }
}

/** Copies rows of up to 16 floats, between a tile and a matrix. */
export function copyRows(src: usize, lds: usize, dst: usize, ldd: usize, rows: i32, columns: i32): void {
  for (; rows > 0; --rows) {
    copyRow(src, dst, columns);
    src += lds; dst += ldd;
  }
}

/** Both rows plus the 16 floats at `vector`. */
export function addVector(tile: usize, vector: usize): void {
  for (const end = tile + WIDE_ROW; tile < end; tile += 16) {
    const v = v128.load(vector);
    v128.store(tile, f32x4.add(v128.load(tile), v));
    v128.store(tile, f32x4.add(v128.load(tile, 64), v), 64);
    vector += 16;
  }
}

/** Both rows times the 16 floats at `vector`. */
export function multiplyVector(tile: usize, vector: usize): void {
  for (const end = tile + WIDE_ROW; tile < end; tile += 16) {
    const v = v128.load(vector);
    v128.store(tile, f32x4.mul(v128.load(tile), v));
    v128.store(tile, f32x4.mul(v128.load(tile, 64), v), 64);
    vector += 16;
  }
}

export function addTile(tile: usize, other: usize): void {
  for (const end = tile + TILE; tile < end; tile += 16) {
    v128.store(tile, f32x4.add(v128.load(tile), v128.load(other)));
    other += 16;
  }
}

export function multiplyTile(tile: usize, other: usize): void {
  for (const end = tile + TILE; tile < end; tile += 16) {
    v128.store(tile, f32x4.mul(v128.load(tile), v128.load(other)));
    other += 16;
  }
}

/** Columns from:to of both rows. */
export function multiplyColumns(tile: usize, other: usize, from: i32, to: i32): void {
  for (let at = <usize>from << 2; at < <usize>to << 2; at += 4) {
    store<f32>(tile + at, load<f32>(tile + at) * load<f32>(other + at));
    store<f32>(tile + at, load<f32>(tile + at, WIDE_ROW) * load<f32>(other + at, WIDE_ROW), WIDE_ROW);
  }
}
