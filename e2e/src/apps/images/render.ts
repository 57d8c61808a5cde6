import type {Random} from '../../data/tasks/random.js';
import type {Picture} from './picture.js';

/** How a picture is moved, turned, mirrored and coloured before the model sees it. */
export interface View {
  /**
   * From a place in the result to one in the picture, both from -0.5 to 0.5: [a, b,
   * shift across, c, d, shift down].
   */
  place: readonly [number, number, number, number, number, number];
  mirrored: boolean;
  contrast: number;
  brightness: number;
  /** Factors of red, green and blue. */
  tint: readonly [number, number, number];
}

/** The whole picture as it is. */
export const AS_IT_IS: View = {
  place: [1, 0, 0, 0, 1, 0],
  mirrored: false,
  contrast: 1,
  brightness: 0,
  tint: [1, 1, 1],
};

const SHIFT = 0.08;
const ZOOM = 0.1;
const DEGREES = 8;
const COLOUR = 0.1;

/** A light change that leaves a picture what it is; mirrored half the time, if that too does. */
export function randomView(next: Random, mirror: boolean): View {
  const around = (size: number) => size * (2 * next() - 1);
  const zoom = 1 + around(ZOOM);
  const angle = (around(DEGREES) * Math.PI) / 180;
  const [cos, sin] = [Math.cos(angle) * zoom, Math.sin(angle) * zoom];
  return {
    place: [cos, -sin, around(SHIFT), sin, cos, around(SHIFT)],
    mirrored: mirror && next() < 0.5,
    contrast: 1 + around(COLOUR),
    brightness: around(COLOUR / 2),
    tint: [1 + around(COLOUR), 1 + around(COLOUR), 1 + around(COLOUR)],
  };
}

/**
 * Draws a view of a picture, stretched to a square, with colours from 0 to 1, by bilinear
 * interpolation; its edge goes on outside.
 */
export function render(picture: Picture, view: View, size: number, into: Float32Array): void {
  const {width, height, colours} = picture;
  const [a, b, right, c, d, down] = view.place;
  const clamp = (value: number, most: number) => Math.min(most, Math.max(0, value));
  for (let y = 0; y < size; y++) {
    for (let x = 0; x < size; x++) {
      const u = ((x + 0.5) / size - 0.5) * (view.mirrored ? -1 : 1);
      const v = (y + 0.5) / size - 0.5;
      const sx = clamp((a * u + b * v + right + 0.5) * width - 0.5, width - 1);
      const sy = clamp((c * u + d * v + down + 0.5) * height - 0.5, height - 1);
      const [x0, y0] = [Math.floor(sx), Math.floor(sy)];
      const [x1, y1] = [Math.min(width - 1, x0 + 1), Math.min(height - 1, y0 + 1)];
      const [fx, fy] = [sx - x0, sy - y0];
      for (let channel = 0; channel < 3; channel++) {
        const at = (column: number, row: number) => colours[3 * (row * width + column) + channel]!;
        const above = at(x0, y0) * (1 - fx) + at(x1, y0) * fx;
        const below = at(x0, y1) * (1 - fx) + at(x1, y1) * fx;
        const colour = (above * (1 - fy) + below * fy) / 255;
        into[3 * (y * size + x) + channel] = clamp(
          ((colour - 0.5) * view.contrast + 0.5 + view.brightness) * view.tint[channel]!,
          1,
        );
      }
    }
  }
}
