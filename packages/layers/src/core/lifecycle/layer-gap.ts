import * as tf from '@tensorflow/tfjs-core';

/** A layer after the first trained weight whose kernel has no correct gradient on the current backend. */
export interface LayerGap {
  /** Path of the layer; null for the loss. */
  layer: string | null;
  /** The layer's class; null for the loss. */
  className: string | null;
  /** The tfjs kernel without a correct gradient. */
  kernel: string;
  /** The entry point to import; null if no package has a correct gradient. */
  by: string | null;
}

/** Describes a gap and its remedy in one line. */
export function describeGap({layer, className, kernel, by}: LayerGap): string {
  const help =
    by === null
      ? 'Adapt only layers after this one, or register a gradient with tf.registerGradient'
      : `Import '${by}'`;
  const where = layer === null ? 'the loss' : `'${layer}' (${className})`;
  return `No correct gradient flows through ${where}: tfjs has none for ${kernel} on ${tf.getBackend()}. ${help}.`;
}
