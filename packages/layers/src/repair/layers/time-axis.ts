import * as tf from '@tensorflow/tfjs-core';
import * as tfl from '@tensorflow/tfjs-layers';
import {ConfigError, ShapeError} from '@tfjs-peft/kernels';

export type BothEnds = readonly [before: number, after: number];

/** Arguments of {@link ZeroPadding1D}, as Keras names them. */
export interface ZeroPadding1DArgs {
  name?: string;
  /** Steps to add before and after; one number means both. Default 1. */
  padding?: number | BothEnds;
}

/** Arguments of {@link Cropping1D}, as Keras names them. */
export interface Cropping1DArgs {
  name?: string;
  /** Steps to cut off before and after; one number means both. Default 1. */
  cropping?: number | BothEnds;
}

/**
 * A layer that lengthens or shortens the time axis of [batch, steps, features] at its ends.
 *
 * @example
 * ```ts
 * import {Cropping1D, type TimeAxisLayer} from '@tfjs-peft/layers/repair';
 *
 * const layer: TimeAxisLayer = new Cropping1D({cropping: [1, 0]});
 * ```
 */
export abstract class TimeAxisLayer extends tfl.layers.Layer {
  protected constructor(
    args: {name?: string},
    private readonly keyword: string,
    protected readonly ends: BothEnds,
  ) {
    super(args as ConstructorParameters<typeof tfl.layers.Layer>[0]);
    this.supportsMasking = false;
  }

  protected abstract steps(steps: number): number;

  override computeOutputShape(inputShape: tfl.Shape | tfl.Shape[]): tfl.Shape {
    const [batch, steps, features] = (Array.isArray(inputShape[0]) ? inputShape[0] : inputShape) as tfl.Shape;
    return [batch ?? null, typeof steps === 'number' ? this.steps(steps) : null, features ?? null];
  }

  protected tensor(inputs: tf.Tensor | tf.Tensor[]): tf.Tensor3D {
    const x = Array.isArray(inputs) ? inputs[0]! : inputs;
    if (x.rank !== 3) {
      throw new ShapeError(
        `Layer '${this.name}' needs an input [batch, steps, features], but got shape [${x.shape}]. Reshape ` +
          'the input.',
      );
    }
    return x as tf.Tensor3D;
  }

  override getConfig(): tf.serialization.ConfigDict {
    return {...super.getConfig(), [this.keyword]: [...this.ends]};
  }
}

/**
 * Keras's ZeroPadding1D, which tfjs-layers lacks: zeros before and after the steps of [batch, steps,
 * features].
 *
 * @example
 * ```ts
 * import {ZeroPadding1D} from '@tfjs-peft/layers/repair';
 *
 * const padding = new ZeroPadding1D({padding: [2, 0]});
 * ```
 */
export class ZeroPadding1D extends TimeAxisLayer {
  static readonly className: string = 'PeftZeroPadding1D';

  /**
   * @throws ConfigError if the padding is not one or two whole numbers of at least 0.
   */
  constructor(args: ZeroPadding1DArgs = {}) {
    super(args, 'padding', bothEnds('padding', args.padding));
  }

  protected steps(steps: number): number {
    return steps + this.ends[0] + this.ends[1];
  }

  override call(inputs: tf.Tensor | tf.Tensor[]): tf.Tensor {
    return tf.pad(this.tensor(inputs), [[0, 0], [...this.ends], [0, 0]]);
  }
}

/**
 * Keras's Cropping1D, which tfjs-layers lacks: the steps of [batch, steps, features] without the first and
 * last ones.
 *
 * @example
 * ```ts
 * import {Cropping1D} from '@tfjs-peft/layers/repair';
 *
 * const cropping = new Cropping1D({cropping: 1});
 * ```
 */
export class Cropping1D extends TimeAxisLayer {
  static readonly className: string = 'PeftCropping1D';

  /**
   * @throws ConfigError if the cropping is not one or two whole numbers of at least 0.
   */
  constructor(args: Cropping1DArgs = {}) {
    super(args, 'cropping', bothEnds('cropping', args.cropping));
  }

  protected steps(steps: number): number {
    return steps - this.ends[0] - this.ends[1];
  }

  override call(inputs: tf.Tensor | tf.Tensor[]): tf.Tensor {
    const x = this.tensor(inputs);
    const [batch, steps, features] = x.shape;
    const left = this.steps(steps);
    if (left < 1) {
      throw new ShapeError(
        `Layer '${this.name}' crops ${this.ends[0]} steps at the start and ${this.ends[1]} at ` +
          `the end, which leaves none of its input [${x.shape}]. Pass longer sequences, or set a ` +
          'smaller cropping.',
      );
    }
    return tf.slice(x, [0, this.ends[0], 0], [batch, left, features]);
  }
}

function bothEnds(keyword: string, value: number | BothEnds = 1): BothEnds {
  const ends = typeof value === 'number' ? [value, value] : value;
  if (ends?.length !== 2 || !ends.every((steps) => Number.isInteger(steps) && steps >= 0)) {
    throw new ConfigError(
      `${keyword} is ${JSON.stringify(value)}. Set ${keyword} to one or two whole numbers of at least 0.`,
    );
  }
  return [ends[0]!, ends[1]!];
}
