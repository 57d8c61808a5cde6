import * as tf from '@tensorflow/tfjs-core';
import * as tfl from '@tensorflow/tfjs-layers';
import {ConfigError} from '@tfjs-peft/kernels';

/** Arguments of {@link ResetAfterGRUCell}: those of Keras's GRUCell that inference needs. */
export interface ResetAfterGRUCellArgs {
  name?: string;
  trainable?: boolean;
  units: number;
  /** Default `'tanh'`. */
  activation?: string;
  /** Default `'sigmoid'`. */
  recurrentActivation?: string;
  /** Default true. */
  useBias?: boolean;
}

/**
 * The cell of Keras's default GRU, with `reset_after: true` (Cho et al. 2014, v3 of the paper; the form of
 * cuDNN), which tfjs-layers does not support: the reset gate scales the recurrent product, and both products
 * have a bias.
 *
 *     z, r = recurrentActivation(x W + b + h U + c)      the first two thirds of the columns
 *     n = activation(x W + b + r ∘ (h U + c))            the last third
 *     h' = z ∘ h + (1 - z) ∘ n
 *
 * W is [inputDim, 3 units], U [units, 3 units], and the bias [2, 3 units] holds b and c. Use it as the cell
 * of `tf.layers.rnn`.
 *
 * @example
 * ```ts
 * import * as tf from '@tensorflow/tfjs';
 * import {ResetAfterGRUCell} from '@tfjs-peft/layers/repair';
 *
 * const layer = tf.layers.rnn({cell: new ResetAfterGRUCell({units: 8}), inputShape: [5, 3]} as never);
 * ```
 */
export class ResetAfterGRUCell extends tfl.layers.RNNCell {
  static readonly className: string = 'PeftResetAfterGRUCell';
  readonly stateSize: number;
  private readonly units: number;
  private readonly useBias: boolean;
  private readonly activation: tfl.layers.Layer;
  private readonly recurrentActivation: tfl.layers.Layer;
  private readonly names: {activation: string; recurrentActivation: string};
  private kernel!: tfl.LayerVariable;
  private recurrentKernel!: tfl.LayerVariable;
  private bias?: tfl.LayerVariable;

  /**
   * @throws ConfigError if `units` is not a whole number above 0.
   */
  constructor(args: ResetAfterGRUCellArgs) {
    super(args as ConstructorParameters<typeof tfl.layers.Layer>[0]);
    if (!Number.isInteger(args.units) || args.units < 1) {
      throw new ConfigError(`units is ${JSON.stringify(args.units)}. Set units to a whole number above 0.`);
    }
    this.units = args.units;
    this.stateSize = args.units;
    this.useBias = args.useBias ?? true;
    this.names = {
      activation: args.activation ?? 'tanh',
      recurrentActivation: args.recurrentActivation ?? 'sigmoid',
    };
    this.activation = activationLayer(this.names.activation);
    this.recurrentActivation = activationLayer(this.names.recurrentActivation);
  }

  override build(inputShape: tfl.Shape | tfl.Shape[]): void {
    const shape = (Array.isArray(inputShape[0]) ? inputShape[0] : inputShape) as tfl.Shape;
    const columns = 3 * this.units;
    const add = (name: string, size: number[], initializer: ReturnType<typeof tfl.initializers.zeros>) =>
      this.addWeight(name, size, 'float32', initializer, undefined, true);
    this.kernel = add('kernel', [shape.at(-1)!, columns], tfl.initializers.glorotUniform({}));
    this.recurrentKernel = add('recurrent_kernel', [this.units, columns], tfl.initializers.orthogonal({}));
    if (this.useBias) this.bias = add('bias', [2, columns], tfl.initializers.zeros());
    this.built = true;
  }

  override call(inputs: tf.Tensor | tf.Tensor[]): tf.Tensor | tf.Tensor[] {
    return tf.tidy(() => {
      const [x, h] = inputs as [tf.Tensor2D, tf.Tensor2D];
      const biases = this.bias ? tf.unstack(this.bias.read()) : undefined;
      const product = (a: tf.Tensor2D, weight: tfl.LayerVariable, bias?: tf.Tensor) => {
        const y = tf.matMul(a, weight.read() as tf.Tensor2D);
        return tf.split(bias ? tf.add(y, bias) : y, 3, 1);
      };
      const [xz, xr, xn] = product(x, this.kernel, biases?.[0]) as [tf.Tensor, tf.Tensor, tf.Tensor];
      const [hz, hr, hn] = product(h, this.recurrentKernel, biases?.[1]) as [tf.Tensor, tf.Tensor, tf.Tensor];
      const gate = (a: tf.Tensor, b: tf.Tensor) =>
        this.recurrentActivation.call(tf.add(a, b), {}) as tf.Tensor;
      const update = gate(xz, hz);
      const candidate = this.activation.call(tf.add(xn, tf.mul(gate(xr, hr), hn)), {}) as tf.Tensor;
      const state = tf.add(tf.mul(update, h), tf.mul(tf.sub(1, update), candidate));
      return [state, state];
    });
  }

  override getConfig(): tf.serialization.ConfigDict {
    return {...super.getConfig(), units: this.units, useBias: this.useBias, ...this.names};
  }
}

function activationLayer(name: string): tfl.layers.Layer {
  return tfl.layers.activation({activation: name as 'tanh'});
}
