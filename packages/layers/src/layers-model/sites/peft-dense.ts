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
 * A Dense layer with adapters; see {@link PeftLayer}. Input [..., dIn] of rank 2 or more, output [..., units], float32; masks pass
 * through, as with a stock Dense.
 */
export class PeftDense extends PeftLayer {
  /** @nocollapse */
  static readonly className: string = 'PeftDense';
  static override readonly kind: string = 'PeftDense';

  /**
   * @param args Those of a stock Dense (`units`, `activation`, `useBias`, initializers, `inputShape`, ...), and
   * {@link PeftDenseArgs}'s own. `weights` are the kernel and bias.
   * @param dense The layer whose place this one takes; for {@link PeftDense.fromDense}.
   * @throws ConfigError if a saved adapter is malformed or its config not good.
   */
  constructor(args: PeftDenseArgs, dense?: tfl.layers.Layer) {
    const {adapters: _, trainableBase: __, weights: ___, ...denseArgs} = args;
    const activation = restoredName(args.activation) as DenseArgs['activation'];
    super(args, dense ?? tfl.layers.dense({...denseArgs, activation}), DENSE);
  }

  /**
   * A layer with adapters around a stock Dense that is not built yet, which it uses up: its own name, arguments and input shape.
   *
   * @throws UnsupportedSiteError if it is not a stock Dense.
   */
  static around(dense: tfl.layers.Layer, args: Pick<PeftDenseArgs, 'trainableBase'> = {}): PeftDense {
    return new PeftDense({...args, ...nameAndUnits(dense)}, dense);
  }

  /**
   * A layer that stands in for a built stock Dense: it has its name and runs it, and so shares its kernel and bias. The new layer is
   * trainable even if the Dense was not, for that said only that the base is frozen.
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
      `Layer '${dense.name}' is a ${dense.getClassName()}, but must be a Dense. Choose other targets.`,
    );
  }
  return {name: dense.name, units: inside<{units: number}>(dense).units};
}
