import * as tf from '@tensorflow/tfjs-core';

/** A layer behind what is trained through which no right gradient flows now. */
export interface LayerGap {
  /** Path of the layer; null of the loss. */
  layer: string | null;
  /** The layer's class; null of the loss. */
  className: string | null;
  /** The kernel of tfjs that has no right gradient. */
  kernel: string;
  /** What to import; null where nobody has a right one. */
  by: string | null;
}

/** What a gap is, and what to do, in one line. */
export function describeGap({layer, className, kernel, by}: LayerGap): string {
  const help =
    by === null
      ? 'nobody supplies it: adapt no layer before this one, or register a gradient with tf.registerGradient'
      : `import '${by}'`;
  const where = layer === null ? 'the loss' : `'${layer}' (${className})`;
  return `No right gradient flows through ${where}: tfjs has none of ${kernel} on ${tf.getBackend()}; ${help}.`;
}
