// A 4x8 tile of the output on its way through the epilogue: 32 floats that stay in the first-level cache.
import {activate} from './activations';

export const TILE: usize = 128;
export const ROW: usize = 32;

/** The first min(columns, 8) floats of a row. */
export function copyRow(src: usize, dst: usize, columns: i32): void {
  if (columns >= 8) {
    v128.store(dst, v128.load(src));
    v128.store(dst, v128.load(src, 16), 16);
    return;
  }
  for (; columns > 0; --columns) {
    store<f32>(dst, load<f32>(src));
    src += 4; dst += 4;
  }
}

/** Brings a part of a matrix into a tile. */
export function loadTile(src: usize, lds: usize, rows: i32, columns: i32, tile: usize): void {
  for (; rows > 0; --rows) {
    copyRow(src, tile, columns);
    src += lds; tile += ROW;
  }
}

/** Takes the part of a tile that lies inside the matrix back to it. */
export function storeTile(tile: usize, dst: usize, ldd: usize, rows: i32, columns: i32): void {
  for (; rows > 0; --rows) {
    copyRow(tile, dst, columns);
    tile += ROW; dst += ldd;
  }
}

/** Each row plus the 8 floats at `vector`. */
export function addVector(tile: usize, vector: usize): void {
  const v0 = v128.load(vector), v1 = v128.load(vector, 16);
  for (const end = tile + TILE; tile < end; tile += ROW) {
    v128.store(tile, f32x4.add(v128.load(tile), v0));
    v128.store(tile, f32x4.add(v128.load(tile, 16), v1), 16);
  }
}

/** Each row times the 8 floats at `vector`. */
export function multiplyVector(tile: usize, vector: usize): void {
  const v0 = v128.load(vector), v1 = v128.load(vector, 16);
  for (const end = tile + TILE; tile < end; tile += ROW) {
    v128.store(tile, f32x4.mul(v128.load(tile), v0));
    v128.store(tile, f32x4.mul(v128.load(tile, 16), v1), 16);
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

export function activateTile(tile: usize, activation: i32): void {
  for (const end = tile + TILE; tile < end; tile += 16) {
    v128.store(tile, activate(v128.load(tile), activation));
  }
}
