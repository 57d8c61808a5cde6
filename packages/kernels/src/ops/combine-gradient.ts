import * as tf from '@tensorflow/tfjs-core';
import type {CombineAttrs} from '../kernel-attrs.js';
import type {KernelInputs} from '../kernel-map.js';
import {type Activation, gradientFrom, type Mix, type ScaleName} from '../types.js';
import {expertDown, expertOuter, expertUp} from './experts.js';
import {definePeftGradient} from './gradients.js';
import {runPeftKernel} from './kernels.js';
import {columnSum, product} from './matmul.js';
import {modulatedPays, modulatedTail} from './modulated-tail.js';
import {asMatrix, shapedAs} from './shapes.js';
import type {SharedGradients} from './shared-gradients.js';

type Named = KernelInputs<'PeftCombine', tf.Tensor2D>;

type Heads = CombineAttrs['heads'];

/** t ∘ scale, by the combine kernel's epilogue: one pass, whether the scale is a vector or gates · table. */
function scaled(t: tf.Tensor2D, named: Named, scale: ScaleName, heads: Heads): tf.Tensor2D {
  if (named[scale] === undefined && named[`${scale}Gates`] === undefined) return t;
  const count = heads?.[scale];
  const parts = {
    z: t,
    post: named[scale],
    postGates: named[`${scale}Gates`],
    postTable: named[`${scale}Table`],
  };
  return epilogue(parts, 'linear', count === undefined ? undefined : {post: count});
}

function epilogue(parts: Named, activation: Activation, heads?: Heads): tf.Tensor2D {
  const attrs: CombineAttrs = {
    scale: 1,
    mix: 'none',
    activation,
    ...(heads && {heads}),
    saveZ: false,
    saveU: false,
  };
  return runPeftKernel('PeftCombine', parts, attrs)[0] as tf.Tensor2D;
}

/**
 * Gradients of a scale's own inputs, from the two factors of the elementwise product dScaled ∘ unscaled. A
 * vector needs only the column sums of that product, and only if its gradient is asked for. Gates and table
 * need the product itself, which is computed immediately and once for both.
 */
function scaleGradients(
  named: Named,
  scale: ScaleName,
  heads: Heads,
  shared: SharedGradients,
  factors: () => [dScaled: tf.Tensor2D, unscaled: tf.Tensor2D],
): Record<string, () => tf.Tensor> {
  const gates = named[`${scale}Gates`];
  const table = named[`${scale}Table`];
  if (gates === undefined) {
    return named[scale] === undefined ? {} : {[scale]: () => columnSum(...factors())};
  }
  const count = heads?.[scale] ?? 1;
  const through = shared.make(() => tf.mul(...factors()) as tf.Tensor2D);
  return {
    [`${scale}Gates`]: () =>
      count === 1
        ? product(through, table!, false, true)
        : joinHeads(product(splitHeads(through, count), splitHeads(table!, count), false, true)),
    [`${scale}Table`]: () =>
      count === 1
        ? product(gates, through, true)
        : joinHeads(product(splitHeads(gates, count), splitHeads(through, count), true)),
  };
}

/** [m, heads · d] as [heads, m, d]. */
function splitHeads(t: tf.Tensor2D, heads: number): tf.Tensor3D {
  const [rows, width] = t.shape;
  return tf.transpose(tf.reshape(t, [rows, heads, width / heads]), [1, 0, 2]);
}

/** The inverse of {@link splitHeads}. */
function joinHeads(t: tf.Tensor): tf.Tensor2D {
  const [heads, rows, width] = t.shape as [number, number, number];
  return tf.reshape(tf.transpose(t, [1, 0, 2]), [rows, heads * width]);
}

definePeftGradient(
  'PeftCombine',
  // y itself is kept only through the second handle that the kernel returns when the gradient needs it.
  {outputs: [false, true, true, true]},
  ({shared, leading, ...call}) => {
    const {activation, saveZ, saveU, heads} = call.attrs;
    const matrix = (t: tf.Tensor): tf.Tensor2D => shared.make(() => asMatrix(t, leading), t as tf.Tensor2D);
    const named: Named = Object.fromEntries(
      Object.entries(call.inputs).map(([name, input]) => [name, matrix(input!)]),
    );
    const outputs = call.outputs.map(matrix);
    const dy = matrix(call.dy);
    const z = named.z ?? (saveZ ? outputs.shift() : undefined);
    const u = saveU ? outputs.shift() : undefined;
    const y = outputs.shift();
    const gradients: Record<string, () => tf.Tensor> = {};

    let du: tf.Tensor2D;
    if (named.post !== undefined || named.postGates !== undefined) {
      const activated = activation === 'linear' ? u! : shared.make(() => epilogue({z: u!}, activation));
      Object.assign(
        gradients,
        scaleGradients(named, 'post', heads, shared, () => [dy, activated]),
      );
      du = shared.make(() => activationGradient(scaled(dy, named, 'post', heads), activation, activated, u));
    } else {
      du = shared.make(() => activationGradient(dy, activation, y, u), dy);
    }
    gradients.offset = () => columnSum(du);

    if (named.alpha !== undefined || named.alphaGates !== undefined) {
      Object.assign(
        gradients,
        scaleGradients(named, 'alpha', heads, shared, () => [du, z!]),
      );
    }
    const dz = shared.make(() => scaled(du, named, 'alpha', heads), du, dy);
    gradients.z = () => tf.clone(dz);
    gradients.bias = () => columnSum(dz);

    const {x, kernel} = named;
    if (x !== undefined) {
      gradients.x = () => scaled(product(dz, kernel!, false, true), named, 'pre', heads);
      gradients.kernel = () => product(scaled(x, named, 'pre', heads), dz, true);
      Object.assign(
        gradients,
        scaleGradients(named, 'pre', heads, shared, () => [product(dz, kernel!, false, true), x]),
      );
    }

    if (named.h !== undefined) Object.assign(gradients, tailGradients(named, [dy, du], call.attrs, shared));
    return Object.fromEntries(
      Object.entries(call.inputs).map(([name, input]) => [name, shapedAs(input!, gradients[name]!)]),
    );
  },
);

function activationGradient(
  dy: tf.Tensor2D,
  activation: Activation,
  output: tf.Tensor2D | undefined,
  input: tf.Tensor2D | undefined,
): tf.Tensor2D {
  if (activation === 'linear') return dy;
  const ref = gradientFrom(activation) === 'output' ? output! : input!;
  return runPeftKernel('PeftActivationGrad', {dy, ref}, {activation}) as tf.Tensor2D;
}

function tailGradients(
  named: Named,
  [dy, du]: [tf.Tensor2D, tf.Tensor2D],
  {scale, mix, sparse, heads}: CombineAttrs,
  shared: SharedGradients,
): Record<string, () => tf.Tensor> {
  if (mix === 'none' && heads?.beta === undefined && modulatedPays(named)) {
    return modulatedTail(named, du, scale, shared);
  }
  const dTail = shared.make(() => scaled(du, named, 'beta', heads), du, dy);
  const products = sparse ? sparseTail(named, dTail, scale) : denseTail(named, dTail, scale, mix);
  const {h, gates} = named as {h: tf.Tensor2D; gates?: tf.Tensor2D};
  const gradients: Record<string, () => tf.Tensor> = {b: products.dB};
  if (mix === 'none') {
    gradients.h = products.dMixed;
  } else {
    const [dh, dGates] = shared.make(() =>
      runPeftKernel('PeftMixGrad', {dhm: products.dMixed(), h, gates: gates!}, {mix}),
    );
    gradients.h = () => shared.take(dh!);
    gradients.gates = () => shared.take(dGates!);
  }
  Object.assign(
    gradients,
    scaleGradients(named, 'beta', heads, shared, () => [du, products.tail()]),
  );
  return gradients;
}

/** The tail scale · mix(h, gates) B, and what flows through it to its two factors. */
interface TailProducts {
  tail(): tf.Tensor2D;
  dMixed(): tf.Tensor2D;
  dB(): tf.Tensor2D;
}

function denseTail(named: Named, dTail: tf.Tensor2D, scale: number, mix: Mix): TailProducts {
  const {h, b, gates} = named as {h: tf.Tensor2D; b: tf.Tensor2D; gates?: tf.Tensor2D};
  const mixed = () =>
    mix === 'none' ? h : (runPeftKernel('PeftMix', {h, gates: gates!}, {mix}) as tf.Tensor2D);
  return {
    tail: () => product(mixed(), b, false, false, scale),
    dMixed: () => product(dTail, b, false, true, scale),
    dB: () => product(mixed(), dTail, true, false, scale),
  };
}

function sparseTail(named: Named, dTail: tf.Tensor2D, scale: number): TailProducts {
  const {h, b, gates} = named as Record<'h' | 'b' | 'gates', tf.Tensor2D>;
  return {
    tail: () => expertUp({p: h, w: b, gates}, {scale, weigh: true, transposeW: false}),
    dMixed: () => expertDown({x: dTail, w: b, gates}, {scale, transposeW: true}),
    dB: () => expertOuter({p: h, q: dTail, gates}, {scale, weigh: true, transposed: false}),
  };
}
