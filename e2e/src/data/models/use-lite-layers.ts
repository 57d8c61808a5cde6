// The parts of USE-lite that hold no weights, as registered layers, so that the
// model saves and loads like any other.
import * as tf from '@tensorflow/tfjs-core';
import {layers} from '@tensorflow/tfjs-layers';

type Shape = (number | null)[];
type LayerInput = tf.Tensor | tf.Tensor[];

const one = (input: LayerInput): tf.Tensor => (Array.isArray(input) ? input[0]! : input);
const firstShape = (shape: Shape | Shape[]): Shape => (Array.isArray(shape[0]) ? shape[0] : (shape as Shape));

/**
 * Sinusoids of Vaswani et al. 2017 (tensor2tensor's order: all sines, then all
 * cosines) for `length` positions.
 */
function timingSignal(length: number, width: number): Float32Array {
  const half = width / 2;
  const signal = new Float32Array(length * width);
  for (let channel = 0; channel < half; channel++) {
    const rate = Math.exp((-Math.log(10000) * channel) / (half - 1));
    for (let position = 0; position < length; position++) {
      signal[position * width + channel] = Math.sin(position * rate);
      signal[position * width + half + channel] = Math.cos(position * rate);
    }
  }
  return signal;
}

/**
 * [B, L, d] embeddings to `2 x + timing`: the shipped graph adds the embedding to itself before the signal.
 */
export class UseTimingSignal extends layers.Layer {
  static className = 'UseTimingSignal';
  private readonly signals = new Map<number, tf.Tensor3D>();

  override computeOutputShape(shape: Shape | Shape[]): Shape {
    return firstShape(shape);
  }

  override call(inputs: LayerInput): tf.Tensor {
    const x = one(inputs);
    const [, length, width] = x.shape as [number, number, number];
    let signal = this.signals.get(length);
    if (signal === undefined) {
      signal = tf.keep(tf.tensor3d(timingSignal(length, width), [1, length, width]));
      this.signals.set(length, signal);
    }
    const timing = signal;
    return tf.tidy(() => tf.add(tf.add(x, x), timing));
  }

  override dispose(): ReturnType<layers.Layer['dispose']> {
    for (const signal of this.signals.values()) signal.dispose();
    this.signals.clear();
    return super.dispose();
  }
}

/** Token ids [B, L] to 1 at tokens and 0 at padding, [B, L]: the mask of a side network. */
export class UseTokenMask extends layers.Layer {
  static className = 'UseTokenMask';
  private readonly padding: number;

  constructor(config: {name?: string; padding: number}) {
    super(config);
    this.padding = config.padding;
  }

  override computeOutputShape(shape: Shape | Shape[]): Shape {
    return firstShape(shape);
  }

  override call(inputs: LayerInput): tf.Tensor {
    return tf.tidy(() => {
      const ids = tf.cast(one(inputs), 'int32');
      return tf.cast(tf.notEqual(ids, tf.scalar(this.padding, 'int32')), 'float32');
    });
  }

  override getConfig() {
    return {...super.getConfig(), padding: this.padding};
  }
}

/** A token mask [B, L] to additive attention logits [B, 1, 1, L]: -1e9 at padding, 0 elsewhere. */
export class UsePaddingBias extends layers.Layer {
  static className = 'UsePaddingBias';

  override computeOutputShape(shape: Shape | Shape[]): Shape {
    const [batch, length] = firstShape(shape);
    return [batch!, 1, 1, length!];
  }

  override call(inputs: LayerInput): tf.Tensor {
    return tf.tidy(() => {
      const mask = one(inputs);
      const [batch, length] = mask.shape as [number, number];
      return tf.reshape(tf.mul(tf.sub(mask, 1), 1e9), [batch, 1, 1, length]);
    });
  }
}

/** Multi-head attention on packed projections: [qkv [B, L, 3 d], bias [B, 1, 1, L]] to [B, L, d]. */
export class UseAttention extends layers.Layer {
  static className = 'UseAttention';
  private readonly heads: number;

  constructor(config: {name?: string; heads: number}) {
    super(config);
    this.heads = config.heads;
  }

  override computeOutputShape(shapes: Shape | Shape[]): Shape {
    const [batch, length, width] = firstShape(shapes);
    return [batch!, length!, width! / 3];
  }

  override call(inputs: LayerInput): tf.Tensor {
    return tf.tidy(() => {
      const [qkv, bias] = inputs as [tf.Tensor, tf.Tensor];
      const [batch, length, packed] = qkv.shape as [number, number, number];
      const {heads} = this;
      const size = packed / 3 / heads;
      // One transpose of all three, then a split along an outer axis, whose
      // gradient is a plain concatenation.
      const perHead = tf.transpose(tf.reshape(qkv, [batch, length, 3 * heads, size]), [0, 2, 1, 3]);
      const [q, k, v] = tf.split(perHead, 3, 1) as [tf.Tensor, tf.Tensor, tf.Tensor];
      const logits = tf.add(tf.mul(tf.matMul(q, k, false, true), 1 / Math.sqrt(size)), bias);
      const context = tf.matMul(tf.softmax(logits), v);
      return tf.reshape(tf.transpose(context, [0, 2, 1, 3]), [batch, length, packed / 3]);
    });
  }

  override getConfig() {
    return {...super.getConfig(), heads: this.heads};
  }
}

/** [x [B, L, d], bias [B, 1, 1, L]] to the mean [B, d] over the positions that are not padding. */
export class UseMaskedMean extends layers.Layer {
  static className = 'UseMaskedMean';

  override computeOutputShape(shapes: Shape | Shape[]): Shape {
    const [batch, , width] = firstShape(shapes);
    return [batch!, width!];
  }

  override call(inputs: LayerInput): tf.Tensor {
    return tf.tidy(() => {
      const [x, bias] = inputs as [tf.Tensor, tf.Tensor];
      const kept = tf.reshape(tf.cast(tf.equal(bias, 0), 'float32'), [x.shape[0]!, x.shape[1]!]);
      // Summed over the last axis: over another one, webgpu transposes what was bool, by
      // a shader that is invalid for it.
      const count = tf.maximum(tf.sum(kept, -1, true), 1);
      return tf.div(tf.sum(tf.mul(x, tf.expandDims(kept, -1)), 1), count);
    });
  }
}

/** Each row divided by its Euclidean length. */
export class UseL2Normalize extends layers.Layer {
  static className = 'UseL2Normalize';

  override computeOutputShape(shape: Shape | Shape[]): Shape {
    return firstShape(shape);
  }

  override call(inputs: LayerInput): tf.Tensor {
    return tf.tidy(() => {
      const x = one(inputs);
      return tf.mul(x, tf.rsqrt(tf.maximum(tf.sum(tf.square(x), -1, true), 1e-12)));
    });
  }
}

for (const layer of [
  UseTimingSignal,
  UseTokenMask,
  UsePaddingBias,
  UseAttention,
  UseMaskedMean,
  UseL2Normalize,
]) {
  tf.serialization.registerClass(
    layer as unknown as tf.serialization.SerializableConstructor<tf.serialization.Serializable>,
  );
}
