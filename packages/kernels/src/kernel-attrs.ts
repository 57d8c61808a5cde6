import type {PackedLayout} from './packed/layout.js';
import type {Activation, Mix, ScaleName} from './types.js';

/*
 * The attributes of the kernels that have several; a row of kernel-map.ts names them, or says its own.
 */

/**
 * The attributes of the Adam kernel, whose inputs are value, m, v and gradient, and whose outputs are the new
 * m, v and value.
 */
export interface AdamAttrs {
  learningRate: number;
  beta1: number;
  beta2: number;
  epsilon: number;
  /** 1 - beta1^t and 1 - beta2^t, for step t from 1. */
  correction1: number;
  correction2: number;
}

/** The attributes of the kernel of the two scalars' gradients. */
export interface BlendGradAttrs {
  slope: number;
  tokenFactor: number;
  sampleFactor: number;
}

/** The attributes of the blend kernel. */
export interface BlendAttrs extends BlendGradAttrs {
  rows: number;
}

/** The attributes of the combine kernel. */
export interface CombineAttrs {
  scale: number;
  mix: Mix;
  activation: Activation;
  /** Compute only the experts whose gate is not zero. */
  sparse?: boolean;
  /** Heads of the scales that have gates by head, [n, heads · E]; see `Scale`. */
  heads?: Partial<Record<ScaleName, number>>;
  /** Also return z = (pre ∘ x) W + bias. */
  saveZ: boolean;
  /** Also return the activation's argument. */
  saveU: boolean;
}

/** Attributes of expertDown's kernel. */
export interface DownAttrs {
  scale: number;
  /** w is [R, d] instead of [d, R]. */
  transposeW: boolean;
}

/** Attributes of expertUp's kernel. */
export interface UpAttrs {
  scale: number;
  /** Also multiply each expert's block of p by its gate. */
  weigh: boolean;
  /** w is [d, R] instead of [R, d]. */
  transposeW: boolean;
}

/** Attributes of expertOuter's kernel. */
export interface OuterAttrs {
  scale: number;
  /** Also multiply each expert's block of p by its gate. */
  weigh: boolean;
  /** Return the transpose, [d, R]. */
  transposed: boolean;
}

/** The attributes of the gates kernel, whose inputs are x [n, d] and kernel [d, E]. */
export interface GatesAttrs {
  temperature: number;
}

/**
 * The attributes of the kernel of the gradient of softmax(scale · x), whose inputs are dy and the softmax's
 * values y, [n, E].
 */
export interface SoftmaxGradAttrs {
  scale: number;
}

/**
 * The attributes of the layer normalization kernels. Its inputs are x [n, d], and gamma and beta [d] where
 * there are any.
 */
export interface LayerNormAttrs {
  epsilon: number;
}

/** The attributes of the matMul kernel. */
export interface MatMulAttrs {
  transposeA: boolean;
  transposeB: boolean;
  /** Multiplies the product. */
  scale: number;
}

/** The attributes of kernels that read a packed matrix W, whose parts are inputs. */
export interface PackedAttrs extends PackedLayout {
  /** The scale is halves, packed like codes of 16 bits along the units' rows; else float32. */
  halfScale: boolean;
  /** The same of the offset. */
  halfOffset: boolean;
}

/** The attributes of the kernel of a product with a packed matrix. */
export interface PackedMatMulAttrs extends PackedAttrs {
  /** Multiply by the transpose of W. */
  transposeW: boolean;
}

/** The attributes of the project kernel. */
export interface ProjectAttrs {
  /** How many leading columns of x · kernel are wanted, if there is a kernel. */
  columns: number;
}

/**
 * The attributes of the stream gates kernels, whose inputs are streams a and b [n, E], and whose outputs are
 * p and, with theta, gates.
 */
export interface StreamGatesAttrs {
  weightA: number;
  weightB: number;
  theta: number | null;
  floor: number;
}

/** The attributes of the top-k kernels. */
export interface TopKAttrs {
  /** How many entries of each row are kept. */
  k: number;
  /** Divide those by their sum. */
  renormalize: boolean;
}
