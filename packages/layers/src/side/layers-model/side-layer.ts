import * as tf from '@tensorflow/tfjs-core';
import * as tfl from '@tensorflow/tfjs-layers';
import type {SideRun} from '../../core/lifecycle/side-host.js';
import {sampleKeys, type TapCache} from '../../core/lifecycle/tap-cache.js';
import {offTape} from '../../core/tfjs/off-tape.js';
import type {Front, FrontValue} from './front.js';

/** What {@link SideLayer} runs. */
export interface SideCall {
  front: Front;
  /** How many of the values that the front gives are taps; the next is the mask, if there is one. */
  taps: number;
  masked: boolean;
  side: SideRun;
  /** What keeps the values of the samples that are run now, if something does. */
  cache(): TapCache | undefined;
}

/**
 * The front of a model off the tape, and the side network on it, in the place of the last tap. What the rest
 * of the model reads from the front besides is there for {@link CrossingLayer}s until the next run.
 */
export class SideLayer extends tfl.layers.Layer {
  /** @nocollapse */
  static className = 'TfjsPeftSide';

  crossing: FrontValue[] = [];
  /** Bytes that the last run on a tape held of the front; null before the first. */
  heldBytes: number | null = null;
  private mask: tf.Tensor | null = null;

  constructor(
    private readonly what: SideCall,
    private readonly shape: tfl.Shape,
  ) {
    super({});
    this.built = true;
    this.supportsMasking = true;
  }

  override call(inputs: tf.Tensor | tf.Tensor[]): tf.Tensor {
    const {taps: count, masked, side} = this.what;
    const [y, last, ...crossing] = tf.tidy(() => {
      const {state} = tf.engine();
      const before = state.numBytes;
      const values = this.valuesOf([inputs].flat());
      if (state.gradientDepth > 0) this.heldBytes = state.numBytes - before;
      const taps = values.slice(0, count);
      const anchor = taps.at(-1)!;
      const mask = masked ? values[count]!.value : anchor.mask;
      const y = side.apply(
        taps.map(({value}) => value),
        mask ?? undefined,
      );
      const others = values.slice(count + Number(masked)).flatMap(({value, mask}) => [value, mask]);
      return [y, anchor.mask, ...others] as (tf.Tensor | null)[] as tf.Tensor[];
    });
    this.mask = last ?? null;
    this.crossing = [];
    for (let i = 0; i < crossing.length; i += 2)
      this.crossing.push({value: crossing[i]!, mask: crossing[i + 1] ?? null});
    return y!;
  }

  private valuesOf(inputs: tf.Tensor[]): FrontValue[] {
    const {front} = this.what;
    const cache = this.what.cache();
    if (cache === undefined) return front.run(inputs);
    return offTape(() => {
      const batch = cache.batch(
        sampleKeys(
          inputs,
          inputs.map((input) => input.dataSync()),
        ),
      );
      const computed = batch.missing.length === 0 ? [] : front.run(batch.inputs(inputs));
      const all = batch.join(computed.flatMap(({value, mask}) => [value, mask]));
      return Array.from({length: all.length / 2}, (_, i) => ({
        value: all[2 * i]!,
        mask: all[2 * i + 1] ?? null,
      }));
    });
  }

  override computeMask(): tf.Tensor {
    // tfjs-layers takes null for no mask, and its type does not say so.
    return this.mask as tf.Tensor;
  }

  override computeOutputShape(): tfl.Shape {
    return this.shape;
  }
}

/** Hands on what the front gives besides the last tap. */
export class CrossingLayer extends tfl.layers.Layer {
  /** @nocollapse */
  static className = 'TfjsPeftCrossing';

  constructor(
    private readonly side: SideLayer,
    private readonly place: number,
    private readonly shape: tfl.Shape,
  ) {
    super({});
    this.built = true;
    this.supportsMasking = true;
  }

  override call(): tf.Tensor {
    return tf.clone(this.side.crossing[this.place]!.value);
  }

  override computeMask(): tf.Tensor {
    return this.side.crossing[this.place]!.mask as tf.Tensor;
  }

  override computeOutputShape(): tfl.Shape {
    return this.shape;
  }
}
