import * as tf from '@tensorflow/tfjs-core';
import type * as tfl from '@tensorflow/tfjs-layers';
import {ConfigError, UnsupportedSiteError} from '@tfjs-peft/kernels';
import {PeftLayer, type PeftLayerArgs} from './peft-layer.js';
import {siteOf} from './site-registry.js';

/** Arguments of {@link PeftWrapper}. */
export type PeftWrapperArgs = PeftLayerArgs & {
  /**
   * The stock layer: a Conv1D, Conv2D, Conv2DTranspose, SeparableConv2D, DepthwiseConv2D, Embedding, LSTM,
   * GRU, SimpleRNN or Dense, or one of a registered class.
   */
  layer: tfl.layers.Layer;
};

/**
 * A layer with adapters around a stock layer of any class that can be a site; see {@link PeftLayer}.
 *
 * @example
 * ```ts
 * import * as tf from '@tensorflow/tfjs';
 * import {PeftWrapper} from '@tfjs-peft/layers';
 *
 * const conv = new PeftWrapper({layer: tf.layers.conv2d({filters: 8, kernelSize: 3})});
 * conv.addAdapter('default', {type: 'lora', rank: 4});
 * conv.activate('default');
 * ```
 */
export class PeftWrapper extends PeftLayer {
  /** @nocollapse */
  static readonly className: string = 'PeftWrapper';
  static override readonly kind: string = 'PeftWrapper';

  /**
   * @throws UnsupportedSiteError if the class of the layer cannot be a site, or its options do not allow
   * adapters.
   */
  constructor(args: PeftWrapperArgs) {
    const {layer} = args;
    const site = siteOf(layer);
    if (site === undefined) {
      throw new UnsupportedSiteError(
        `Layer '${layer.name}' is a ${layer.getClassName()}, which cannot carry an adapter. ` +
          'Choose another layer, or register its class: registerSite.',
      );
    }
    super(args, layer, site);
  }

  /** A replacement for a built layer, with the same name and weights. */
  static standIn(layer: tfl.layers.Layer): PeftWrapper {
    const wrapper = new PeftWrapper({layer});
    wrapper.takePlace();
    return wrapper;
  }

  /** @nocollapse */
  static override fromConfig<T extends tf.serialization.Serializable>(
    cls: tf.serialization.SerializableConstructor<T>,
    config: tf.serialization.ConfigDict,
  ): T {
    const {className, config: inner} = config.layer as {
      className: string;
      config: tf.serialization.ConfigDict;
    };
    const entry = tf.serialization.SerializationMap.getMap().classNameMap[className];
    if (entry === undefined) {
      throw new ConfigError(
        `Layer '${config.name}' wraps a ${className}, which is not registered. ` +
          `Call tf.serialization.registerClass(${className}) before you load the model.`,
      );
    }
    const [layerClass, fromConfig] = entry;
    // A Bidirectional reverses its second direction in the outermost config.
    const {goBackwards} = config;
    const stock = goBackwards == null ? inner : {...inner, goBackwards};
    // tfjs types what a registered class makes as any Serializable, and arguments of a class as those of its
    // own.
    return new cls({...config, layer: fromConfig(layerClass, stock) as never} as never);
  }

  override getConfig(): tf.serialization.ConfigDict {
    const layer = {className: this.inner.getClassName(), config: this.inner.getConfig()};
    const {goBackwards} = this.inner as {goBackwards?: boolean};
    return {...super.getConfig(), layer, ...(goBackwards !== undefined && {goBackwards})};
  }
}
