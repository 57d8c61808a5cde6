import type {StreamGatesAttrs} from '../../kernel-attrs.js';
import type {KernelInputs, PeftKernel} from '../../kernel-map.js';
import {arraysOf, cpu} from './arrays.js';
import {multiply} from './gemm.js';

/** Rows of `width` numbers become softmax(scale · row), in place. */
function softmaxRows(x: Float32Array, width: number, scale: number): void {
  for (let at = 0; at < x.length; at += width) {
    let largest = Number.NEGATIVE_INFINITY;
    for (let i = at; i < at + width; i++) largest = Math.max(largest, scale * x[i]!);
    let total = 0;
    for (let i = at; i < at + width; i++) {
      const e = Math.exp(scale * x[i]! - largest);
      x[i] = e;
      total += e;
    }
    for (let i = at; i < at + width; i++) x[i]! /= total;
  }
}

function dot(x: Float32Array, y: Float32Array, from: number, to: number): number {
  let sum = 0;
  for (let i = from; i < to; i++) sum += x[i]! * y[i]!;
  return sum;
}

/** scale · y ∘ (dy - dy · y), row by row. */
function softmaxGradient(dy: Float32Array, y: Float32Array, width: number, scale: number): Float32Array {
  const out = new Float32Array(y.length);
  for (let at = 0; at < y.length; at += width) {
    const along = dot(dy, y, at, at + width);
    for (let i = at; i < at + width; i++) out[i] = scale * y[i]! * (dy[i]! - along);
  }
  return out;
}

function magnitude(x: Float32Array, from: number, to: number, floor: number): number {
  let largest = floor;
  for (let i = from; i < to; i++) largest = Math.max(largest, Math.abs(x[i]!));
  return largest;
}

/** p and, with theta, gates; see `streamGates` in ops/stream-gates.ts. */
function streamGates(
  a: Float32Array,
  b: Float32Array,
  width: number,
  {weightA, weightB, theta, floor}: StreamGatesAttrs,
): Float32Array[] {
  const p = new Float32Array(a.length);
  for (let at = 0; at < a.length; at += width) {
    const [byA, byB] = [
      weightA / magnitude(a, at, at + width, floor),
      weightB / magnitude(b, at, at + width, floor),
    ];
    for (let i = at; i < at + width; i++) p[i] = byA * a[i]! + byB * b[i]!;
  }
  softmaxRows(p, width, 1);
  if (theta === null) return [p];
  const gates = new Float32Array(a.length);
  for (let at = 0; at < a.length; at += width) {
    // In float32, as the other backends compare.
    const least = Math.fround(Math.fround(theta) * magnitude(p, at, at + width, 0));
    let total = 0;
    for (let i = at; i < at + width; i++) if (p[i]! >= least) total += p[i]!;
    for (let i = at; i < at + width; i++) if (p[i]! >= least) gates[i] = p[i]! / total;
  }
  return [p, gates];
}

function streamGradient(
  dz: Float32Array,
  x: Float32Array,
  width: number,
  weight: number,
  floor: number,
): Float32Array {
  const out = new Float32Array(x.length);
  for (let at = 0; at < x.length; at += width) {
    const largest = magnitude(x, at, at + width, floor);
    const along = dot(dz, x, at, at + width) / largest;
    for (let i = at; i < at + width; i++) {
      const through = Math.abs(x[i]!) === largest ? Math.sign(x[i]!) * along : 0;
      out[i] = (weight / largest) * (dz[i]! - through);
    }
  }
  return out;
}

/** The gradients of both streams from those of p and gates. */
function streamGatesGradient(
  {dp, dGates, a, b, p, gates}: KernelInputs<'PeftStreamGatesGrad', Float32Array>,
  width: number,
  {weightA, weightB, floor}: StreamGatesAttrs,
): [Float32Array, Float32Array] {
  const d = dp.slice();
  if (gates !== undefined && dGates !== undefined) {
    for (let at = 0; at < d.length; at += width) {
      let total = 0;
      for (let i = at; i < at + width; i++) if (gates[i]! > 0) total += p[i]!;
      const along = dot(dGates, gates, at, at + width);
      for (let i = at; i < at + width; i++) if (gates[i]! > 0) d[i]! += (dGates[i]! - along) / total;
    }
  }
  const dz = softmaxGradient(d, p, width, 1);
  return [streamGradient(dz, a, width, weightA, floor), streamGradient(dz, b, width, weightB, floor)];
}

export const PeftGates: PeftKernel<'PeftGates'> = ({inputs, attrs, backend}) => {
  const {x, kernel} = arraysOf(inputs, backend);
  const [m, k] = inputs.x.shape as [number, number];
  const n = inputs.kernel.shape[1]!;
  const gates = multiply(x, kernel, {m, n, k});
  softmaxRows(gates, n, 1 / attrs.temperature);
  return cpu(backend).write([m, n], gates);
};

export const PeftSoftmaxGrad: PeftKernel<'PeftSoftmaxGrad'> = ({inputs, attrs, backend}) => {
  const {dy, y} = arraysOf(inputs, backend);
  const {shape} = inputs.y;
  return cpu(backend).write(shape, softmaxGradient(dy, y, shape[1]!, attrs.scale));
};

export const PeftStreamGates: PeftKernel<'PeftStreamGates'> = ({inputs, attrs, backend}) => {
  const {a, b} = arraysOf(inputs, backend);
  const {shape} = inputs.a;
  return streamGates(a, b, shape[1]!, attrs).map((values) => cpu(backend).write(shape, values));
};

export const PeftStreamGatesGrad: PeftKernel<'PeftStreamGatesGrad'> = ({inputs, attrs, backend}) => {
  const {shape} = inputs.a;
  const outputs = streamGatesGradient(arraysOf(inputs, backend), shape[1]!, attrs);
  return outputs.map((values) => cpu(backend).write(shape, values));
};
