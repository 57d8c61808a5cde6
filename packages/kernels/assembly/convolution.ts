// What backpropagation through convolutions needs, NHWC. `sizes` points at the numbers of a window over an
// image, as i32: height, width, outHeight, outWidth, filterHeight, filterWidth, strideHeight, strideWidth,
// dilationHeight, dilationWidth, padTop, padLeft
import {addScaled} from './vector';

// @ts-ignore: decorator
@inline
function field(sizes: usize, index: i32): i32 {
  return load<i32>(sizes + (<usize>index << 2));
}

/**
 * The patches of one image as rows: out [outHeight * outWidth, filterHeight * filterWidth *
 * channels], zeros beyond the edge.
 */
export function patches(image: usize, out: usize, channels: i32, sizes: usize): void {
  const height = field(sizes, 0), width = field(sizes, 1);
  const outHeight = field(sizes, 2), outWidth = field(sizes, 3);
  const filterHeight = field(sizes, 4), filterWidth = field(sizes, 5);
  const pixel = <usize>channels << 2;
  for (let i = 0; i < outHeight; ++i) {
    for (let j = 0; j < outWidth; ++j) {
      for (let p = 0; p < filterHeight; ++p) {
        const y = i * field(sizes, 6) - field(sizes, 10) + p * field(sizes, 8);
        for (let q = 0; q < filterWidth; ++q) {
          const x = j * field(sizes, 7) - field(sizes, 11) + q * field(sizes, 9);
          if (y < 0 || y >= height || x < 0 || x >= width) memory.fill(out, 0, pixel);
          else memory.copy(out, image + <usize>(y * width + x) * pixel, pixel);
          out += pixel;
        }
      }
    }
  }
}

/** out += x, both of `size` floats. */
export function addTo(x: usize, out: usize, size: i32): void {
  addScaled(1, x, out, size);
}

/**
 * Depthwise convolution of one image, backwards. With `toFilter` it adds to the filter's gradient
 * [filterHeight, filterWidth, channels, multiplier], reading x from `image`; else it adds to the image's
 * gradient in `image`, reading the filter.
 */
export function depthwiseGradient(
  image: usize, dy: usize, filter: usize, channels: i32, multiplier: i32, toFilter: bool, sizes: usize,
): void {
  const height = field(sizes, 0), width = field(sizes, 1);
  const outHeight = field(sizes, 2), outWidth = field(sizes, 3);
  const filterHeight = field(sizes, 4), filterWidth = field(sizes, 5);
  const pixel = <usize>channels << 2;
  const pixelOut = pixel * <usize>multiplier;
  for (let i = 0; i < outHeight; ++i) {
    for (let j = 0; j < outWidth; ++j) {
      for (let p = 0; p < filterHeight; ++p) {
        const y = i * field(sizes, 6) - field(sizes, 10) + p * field(sizes, 8);
        if (y < 0 || y >= height) continue;
        for (let q = 0; q < filterWidth; ++q) {
          const x = j * field(sizes, 7) - field(sizes, 11) + q * field(sizes, 9);
          if (x < 0 || x >= width) continue;
          const at = image + <usize>(y * width + x) * pixel;
          const tap = filter + <usize>(p * filterWidth + q) * pixelOut;
          if (toFilter) filterTap(at, dy, tap, channels, multiplier);
          else imageTap(at, dy, tap, channels, multiplier);
        }
      }
      dy += pixelOut;
    }
  }
}

function filterTap(x: usize, dy: usize, dFilter: usize, channels: i32, multiplier: i32): void {
  if (multiplier == 1) {
    addProduct(x, dy, dFilter, channels);
    return;
  }
  for (; channels > 0; --channels) {
    addScaled(load<f32>(x), dy, dFilter, multiplier);
    x += 4;
    dy += <usize>multiplier << 2;
    dFilter += <usize>multiplier << 2;
  }
}

function imageTap(dx: usize, dy: usize, filter: usize, channels: i32, multiplier: i32): void {
  if (multiplier == 1) {
    addProduct(filter, dy, dx, channels);
    return;
  }
  for (; channels > 0; --channels) {
    let sum: f32 = load<f32>(dx);
    for (let m = 0; m < multiplier; ++m) {
      sum += load<f32>(dy) * load<f32>(filter);
      dy += 4;
      filter += 4;
    }
    store<f32>(dx, sum);
    dx += 4;
  }
}

/** out += a * b */
function addProduct(a: usize, b: usize, out: usize, size: i32): void {
  for (; size >= 4; size -= 4) {
    v128.store(out, f32x4.add(v128.load(out), f32x4.mul(v128.load(a), v128.load(b))));
    a += 16; b += 16; out += 16;
  }
  for (; size > 0; --size) {
    store<f32>(out, load<f32>(out) + load<f32>(a) * load<f32>(b));
    a += 4; b += 4; out += 4;
  }
}

/** Max pooling of one image, backwards: adds each window's dy to the first of its largest entries of x. */
export function maxPoolGradient(x: usize, dy: usize, dx: usize, channels: i32, sizes: usize): void {
  const height = field(sizes, 0), width = field(sizes, 1);
  const outHeight = field(sizes, 2), outWidth = field(sizes, 3);
  const filterHeight = field(sizes, 4), filterWidth = field(sizes, 5);
  for (let i = 0; i < outHeight; ++i) {
    for (let j = 0; j < outWidth; ++j) {
      for (let c = 0; c < channels; ++c) {
        let best: f32 = -Infinity;
        let where: usize = 0;
        let found = false;
        for (let p = 0; p < filterHeight; ++p) {
          const row = i * field(sizes, 6) - field(sizes, 10) + p * field(sizes, 8);
          if (row < 0 || row >= height) continue;
          for (let q = 0; q < filterWidth; ++q) {
            const column = j * field(sizes, 7) - field(sizes, 11) + q * field(sizes, 9);
            if (column < 0 || column >= width) continue;
            const at = <usize>((row * width + column) * channels + c) << 2;
            const value = load<f32>(x + at);
            if (!found || value > best) {
              best = value;
              where = at;
              found = true;
            }
          }
        }
        if (found) store<f32>(dx + where, load<f32>(dx + where) + load<f32>(dy));
        dy += 4;
      }
    }
  }
}
