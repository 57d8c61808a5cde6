import type * as tf from '@tensorflow/tfjs-core';
import * as tfl from '@tensorflow/tfjs-layers';

type Variables = tfl.layers.Layer['trainableWeights'];

/** What a {@link GraphLayer} runs. */
export interface GraphCall {
  /** The outputs of the batch that the layer's input stands for. */
  run(key: tf.Tensor, training: boolean): tf.Tensor[];
  /** What routers have added to the loss in the last run. */
  losses(): (() => tf.Scalar)[];
}

/**
 * A GraphModel's outputs as a layer of tfjs-layers, so that losses, metrics, callbacks and heads are
 * tfjs-layers' own. Its input says how many samples there are, and stands for a batch: what the graph takes,
 * which need not have a row for each sample, was prepared before.
 */
export class GraphLayer extends tfl.layers.Layer {
  /** @nocollapse */
  static className = 'TfjsPeftGraph';

  /** @param shapes Of the outputs, with null for the samples. */
  constructor(
    private readonly graph: GraphCall,
    private readonly shapes: tfl.Shape[],
  ) {
    super({});
    this.built = true;
  }

  /** Says what is trained now. */
  setVariables(variables: readonly TrainedVariable[]): void {
    // tfjs-layers reads and trains weights by the fields of TrainedVariable;
    // its class has private ones besides.
    this.trainableWeights = variables as unknown as Variables;
  }

  override call(x: tf.Tensor | tf.Tensor[], kwargs: Record<string, unknown>): tf.Tensor | tf.Tensor[] {
    const [key] = [x].flat();
    const outputs = this.graph.run(key!, kwargs?.training === true);
    return outputs.length === 1 ? outputs[0]! : outputs;
  }

  override computeOutputShape(): tfl.Shape | tfl.Shape[] {
    return this.shapes.length === 1 ? this.shapes[0]! : this.shapes;
  }

  override get losses(): tfl.layers.Layer['losses'] {
    return this.graph.losses();
  }
}

/** As much of a variable of tfjs-layers as training looks at. */
export interface TrainedVariable {
  readonly name: string;
  readonly originalName: string;
  readonly trainable: boolean;
  readonly shape: number[];
  readonly constraint: null;
  read(): tf.Tensor;
  write(value: tf.Tensor): unknown;
}

/** A variable that somebody put among the weights of a graph. */
export function asTrained(variable: tf.Variable): TrainedVariable {
  const {name, shape} = variable;
  return {
    name,
    originalName: name,
    trainable: true,
    shape,
    constraint: null,
    read: () => variable,
    write: (value) => variable.assign(value as tf.Tensor<tf.Rank>),
  };
}
