import type {TopKAttrs} from '../../kernel-attrs.js';
import type {PeftKernel} from '../../kernel-map.js';
import {arraysOf, cpu} from './arrays.js';

/**
 * Calls `visit` with the start of each row and a reused array that marks the k largest entries of the row. Of
 * equal entries, the one with the lower index counts as larger.
 */
function eachRow(
  p: Float32Array,
  width: number,
  k: number,
  visit: (at: number, kept: Uint8Array) => void,
): void {
  const kept = new Uint8Array(width);
  for (let at = 0; at < p.length; at += width) {
    kept.fill(0);
    for (let n = 0; n < k; n++) {
      let best = -1;
      for (let i = 0; i < width; i++) {
        if (kept[i] === 0 && (best < 0 || p[at + i]! > p[at + best]!)) best = i;
      }
      kept[best] = 1;
    }
    visit(at, kept);
  }
}

/** The gates of rows of `width` into `out`, which is zero. */
export function topKInto(
  p: Float32Array,
  width: number,
  {k, renormalize}: TopKAttrs,
  out: Float32Array,
): void {
  eachRow(p, width, k, (at, kept) => {
    let total = renormalize ? 0 : 1;
    if (renormalize) for (let i = 0; i < width; i++) if (kept[i] === 1) total += p[at + i]!;
    for (let i = 0; i < width; i++) if (kept[i] === 1) out[at + i] = p[at + i]! / total;
  });
}

/** The gradient of p into `out`, which is zero. */
export function topKGradientInto(
  {dy, p}: {dy: Float32Array; p: Float32Array},
  width: number,
  {k, renormalize}: TopKAttrs,
  out: Float32Array,
): void {
  eachRow(p, width, k, (at, kept) => {
    let [total, along] = renormalize ? [0, 0] : [1, 0];
    if (renormalize) {
      for (let i = 0; i < width; i++) {
        if (kept[i] === 0) continue;
        total += p[at + i]!;
        along += dy[at + i]! * p[at + i]!;
      }
      along /= total;
    }
    for (let i = 0; i < width; i++) if (kept[i] === 1) out[at + i] = (dy[at + i]! - along) / total;
  });
}

/** See `topKGates` in ops/top-k.ts. */
export const PeftTopK: PeftKernel<'PeftTopK'> = ({inputs, attrs, backend}) => {
  const {p} = arraysOf(inputs, backend);
  const out = new Float32Array(p.length);
  topKInto(p, inputs.p.shape[1]!, attrs, out);
  return cpu(backend).write(inputs.p.shape, out);
};

export const PeftTopKGrad: PeftKernel<'PeftTopKGrad'> = ({inputs, attrs, backend}) => {
  const arrays = arraysOf(inputs, backend);
  const out = new Float32Array(arrays.p.length);
  topKGradientInto(arrays, inputs.p.shape[1]!, attrs, out);
  return cpu(backend).write(inputs.p.shape, out);
};
