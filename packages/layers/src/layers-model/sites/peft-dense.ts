import type * as tf from '@tensorflow/tfjs-core';
import * as tfl from '@tensorflow/tfjs-layers';
import {UnsupportedSiteError} from '@tfjs-peft/kernels';
import {restoredName} from '../../core/sites/activation.js';
import {inside} from '../../core/tfjs/internals.js';
import {DENSE} from './kinds/dense.js';
import {PeftLayer, type PeftLayerArgs} from './peft-layer.js';

/** Arguments of a stock Dense layer. */
export type DenseArgs = Parameters<typeof tfl.layers.dense>[0];

/** Arguments of {@link PeftDense}: those of a stock Dense layer, and its adapters. */
export type PeftDenseArgs = DenseArgs & Pick<PeftLayerArgs, 'trainableBase' | 'adapters'>;

/**
 * A Dense layer with adapters; see {@link PeftLayer}. Input [..., dIn] of rank 2 or more, output [...,
 * units], float32. Masks pass through, as with a stock Dense.
 *
 * @example
 * ```ts
 * import {PeftDense} from '@tfjs-peft/layers';
 *
 * const dense = new PeftDense({units: 4, inputShape: [8]});
 * dense.addAdapter('default', {type: 'lora', rank: 2});
 * dense.activate('default');
 * ```
 */
export class PeftDense extends PeftLayer {
  /** @nocollapse */
  static readonly className: string = 'PeftDense';
  static override readonly kind: string = 'PeftDense';

  /**
   * @param args Arguments of a stock Dense (`units`, `activation`, `useBias`, initializers, `inputShape`,
   * ...), and those of {@link PeftDenseArgs}. `weights` are the kernel and bias.
   * @param dense The layer that this one replaces; for {@link PeftDense.fromDense}.
   * @throws ConfigError if a saved adapter or its config is invalid.
   */
  constructor(args: PeftDenseArgs, dense?: tfl.layers.Layer) {
    const {adapters: _, trainableBase: __, weights: ___, ...denseArgs} = args;
    const activation = restoredName(args.activation) as DenseArgs['activation'];
    super(args, dense ?? tfl.layers.dense({...denseArgs, activation}), DENSE);
  }

  /**
   * Wraps a stock Dense that is not built yet and takes over its name, arguments and input shape. Do not use
   * that Dense otherwise.
   *
   * @throws UnsupportedSiteError if it is not a stock Dense.
   */
  static around(dense: tfl.layers.Layer, args: Pick<PeftDenseArgs, 'trainableBase'> = {}): PeftDense {
    return new PeftDense({...args, ...nameAndUnits(dense)}, dense);
  }

  /**
   * A replacement for a built stock Dense, with the same name, kernel and bias. It is trainable even if the
   * Dense was not, because that only froze the base.
   *
   * @throws UnsupportedSiteError if it is not a stock Dense; ConfigError if it is not built.
   */
  static fromDense(dense: tfl.layers.Layer): PeftDense {
    const layer = new PeftDense(nameAndUnits(dense), dense);
    layer.takePlace();
    return layer;
  }

  override getConfig(): tf.serialization.ConfigDict {
    return {...this.inner.getConfig(), ...super.getConfig()};
  }
}

function nameAndUnits(dense: tfl.layers.Layer): {name: string; units: number} {
  if (dense.getClassName() !== 'Dense') {
    throw new UnsupportedSiteError(
      `Layer '${dense.name}' is a ${dense.getClassName()}, not a Dense. Use PeftWrapper for other classes.`,
    );
  }
  return {name: dense.name, units: inside<{units: number}>(dense).units};
}
