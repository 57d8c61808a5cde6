import * as tf from '@tensorflow/tfjs-core';
import type {AdapterConfig, Peft} from '@tfjs-peft/layers';
import type {Encoder, PreparedBatch} from './encoder.js';
import {type HeadVariables, headVariables, lossOf} from './heads.js';
import type {Head} from './linear.js';

/** Texts to encode together, padded to `length`. */
export interface TokenBatch {
  tokens: Int32Array[];
  length: number;
}

/** Training texts, padded to `length`, each row with the head that it goes through and its class there. */
export interface TrainingPart extends TokenBatch {
  /** Rows of one task lie together. */
  heads: number[];
  labels: number[];
  /** What the sum of losses is divided by: the texts of the whole batch, of which this may be a part. */
  count: number;
}

export interface Gradients {
  loss: number;
  /** By parameter; undefined where the part has no text of the head's task. */
  gradients: (Float32Array | undefined)[];
}

/** A trained variable as it starts. */
export interface ParameterStart {
  name: string;
  shape: number[];
  values: Float32Array;
}

/** What can be asked of a member of the crew, in this thread or in another. */
export interface Work {
  /** Upgrades the model and adds heads. The parameters come in a fixed order: the adapter's, then each head's two. */
  adapt(adapter: AdapterConfig, seed: number, heads: Head[]): Promise<ParameterStart[]>;
  /** Sets all parameters, in the order of {@link adapt}. */
  assign(values: Float32Array[]): Promise<void>;
  /** Loads a saved adapter in place of the one there is. */
  load(folder: string): Promise<void>;
  /** Row-major vectors [texts, width]. */
  encode(batch: TokenBatch): Promise<Float32Array>;
  /** Sum of the cross entropies over `count`, with the part's share of what routers add, and its gradients. */
  gradients(part: TrainingPart): Promise<Gradients>;
  /** Undoes {@link adapt}: the model is as it was. */
  release(): Promise<void>;
}

/** One encoder in one thread, with its adapter and heads once it has been adapted. */
export class Member implements Work {
  private upgraded: Peft | undefined;
  private heads: HeadVariables[] = [];
  private variables: tf.Variable[] = [];

  constructor(readonly encoder: Encoder) {}

  /** The upgrade; there is one between {@link adapt} and {@link release}. */
  get peft(): Peft {
    return this.upgraded!;
  }

  async adapt(adapter: AdapterConfig, seed: number, heads: Head[]): Promise<ParameterStart[]> {
    this.upgraded = await this.encoder.upgrade(adapter, seed);
    this.heads = heads.map(headVariables);
    const named: [string, tf.Variable][] = [
      ...this.peft
        .trainableVariables()
        .map((variable, i): [string, tf.Variable] => [`adapter/${i}`, variable]),
      ...this.heads.flatMap(({kernel, bias}, i): [string, tf.Variable][] => [
        [`head/${i}/kernel`, kernel],
        [`head/${i}/bias`, bias],
      ]),
    ];
    this.variables = named.map(([, variable]) => variable);
    return Promise.all(
      named.map(async ([name, variable]) => ({
        name,
        shape: variable.shape,
        values: Float32Array.from(await variable.data()),
      })),
    );
  }

  async assign(values: Float32Array[]): Promise<void> {
    this.variables.forEach((variable, i) => {
      const tensor = tf.tensor(values[i]!, variable.shape, 'float32');
      variable.assign(tensor);
      tensor.dispose();
    });
  }

  async load(folder: string): Promise<void> {
    await this.peft.load(folder);
  }

  async encode({tokens, length}: TokenBatch): Promise<Float32Array> {
    return this.withBatch({tokens, length}, async (batch) => {
      const vectors = tf.tidy(() => batch.vectors(false));
      const values = (await vectors.data()) as Float32Array;
      vectors.dispose();
      return values;
    });
  }

  async gradients({tokens, length, heads, labels, count}: TrainingPart): Promise<Gradients> {
    return this.withBatch({tokens, length}, async (batch) => {
      const {value, grads} = tf.variableGrads(() => {
        const loss = lossOf(batch.vectors(true), heads, labels, count, this.heads);
        const added = this.encoder.losses().map((own) => tf.mul(own, tokens.length / count));
        return tf.addN([loss, ...added]) as tf.Scalar;
      }, this.variables);
      const loss = (await value.data())[0]!;
      const gradients = await Promise.all(
        this.variables.map(async ({name}) => (await grads[name]?.data()) as Float32Array | undefined),
      );
      tf.dispose([value, grads]);
      return {loss, gradients};
    });
  }

  async release(): Promise<void> {
    this.peft.detach();
    this.upgraded = undefined;
    tf.dispose(this.heads.flatMap(({kernel, bias}) => [kernel, bias]));
    this.heads = [];
    this.variables = [];
  }

  private async withBatch<T>(
    {tokens, length}: TokenBatch,
    use: (batch: PreparedBatch) => Promise<T>,
  ): Promise<T> {
    const batch = await this.encoder.prepare(tokens, length);
    try {
      return await use(batch);
    } finally {
      batch.dispose();
    }
  }
}
