import * as tf from '@tensorflow/tfjs-core';
import {type RouterContext, uniformNumbers} from '@tfjs-peft/routers';
import type {Head} from '../../tools/probe/linear.js';
import {type HeadVariables, headVariables, lossOf} from '../common/heads.js';
import type {ParameterStart} from '../common/parameters.js';
import {type Addition, addTo, type Trained} from './addition.js';
import {CONTEXT_KEYS, type TextContext} from './corpus.js';
import type {Encoder, PreparedBatch} from './encoders/encoder.js';

/** Texts to encode together, padded to `length`. */
export interface TokenBatch {
  tokens: Int32Array[];
  length: number;
  /** What each text brings along for routers, if they read anything. */
  context?: TextContext[];
}

/** Training texts, padded to `length`, each row with the head that it goes through and its class there. */
export interface TrainingPart extends TokenBatch {
  /** Rows of one task lie together. */
  heads: number[];
  labels: number[];
  /** What the sum of losses is divided by: the texts of the whole batch, of which this may be a part. */
  count: number;
  /** Seed of the routers' noise. */
  seed: number;
}

export interface Gradients {
  loss: number;
  /** By parameter; undefined where the part has no text of the head's task. */
  gradients: (Float32Array | undefined)[];
}

/** What can be asked of a member of the crew, in this thread or in another. */
export interface Work {
  /**
   * Puts an adapter into the model, or a network beside it, and adds heads. The parameters come in a fixed
   * order: the adapter's, then each head's two.
   */
  adapt(adapter: Addition, seed: number, heads: Head[]): Promise<ParameterStart[]>;
  /** Sets all parameters, in the order of {@link adapt}. */
  assign(values: Float32Array[]): Promise<void>;
  /** Loads a saved adapter in place of the one there is. */
  load(folder: string): Promise<void>;
  /** Row-major vectors [texts, width]. */
  encode(batch: TokenBatch): Promise<Float32Array>;
  /**
   * Sum of the cross entropies over `count`, with the part's share of what routers add, and its gradients.
   */
  gradients(part: TrainingPart): Promise<Gradients>;
  /** Undoes {@link adapt}: the model is as it was. */
  release(): Promise<void>;
}

/** One encoder in one thread, with its adapter and heads once it has been adapted. */
export class Member implements Work {
  private added: Trained | undefined;
  private heads: HeadVariables[] = [];
  private variables: tf.Variable[] = [];

  constructor(readonly encoder: Encoder) {}

  /** What is trained; it is there between {@link adapt} and {@link release}. */
  get trained(): Trained {
    return this.added!;
  }

  async adapt(adapter: Addition, seed: number, heads: Head[]): Promise<ParameterStart[]> {
    this.added = await addTo(this.encoder, adapter, seed);
    this.heads = heads.map(headVariables);
    const named: [string, tf.Variable][] = [
      ...this.trained.variables().map((variable, i): [string, tf.Variable] => [`adapter/${i}`, variable]),
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
    await this.trained.load(folder);
  }

  async encode(texts: TokenBatch): Promise<Float32Array> {
    return this.withBatch(texts, undefined, async (batch) => {
      const vectors = tf.tidy(() => batch.vectors(false));
      const values = (await vectors.data()) as Float32Array;
      vectors.dispose();
      return values;
    });
  }

  async gradients(part: TrainingPart): Promise<Gradients> {
    const {tokens, heads, labels, count, seed} = part;
    return this.withBatch(part, seed, async (batch) => {
      const {value, grads} = tf.variableGrads(() => {
        const loss = lossOf(batch.vectors(true), heads, labels, count, this.heads);
        const added = batch.losses().map((own) => tf.mul(own, tokens.length / count));
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
    this.trained.remove();
    this.added = undefined;
    tf.dispose(this.heads.flatMap(({kernel, bias}) => [kernel, bias]));
    this.heads = [];
    this.variables = [];
  }

  /** Readies a batch and what it brings along, of which nothing is left behind. */
  private async withBatch<T>(
    texts: TokenBatch,
    seed: number | undefined,
    use: (batch: PreparedBatch) => Promise<T>,
  ): Promise<T> {
    tf.tidy(() => this.added?.setContext(contextOf(texts, seed)));
    const batch = await this.encoder.prepare(texts.tokens, texts.length);
    try {
      return await use(batch);
    } finally {
      batch.dispose();
      this.added?.setContext(null);
    }
  }
}

/** A batch's context: which tokens are none, what the texts bring along, and noise that a seed decides. */
function contextOf({tokens, length, context = []}: TokenBatch, seed: number | undefined): RouterContext {
  const whole: RouterContext = {};
  if (tokens.some((own) => own.length < length)) {
    const mask = new Float32Array(tokens.length * length);
    // An empty text is one unknown token.
    for (const [row, own] of tokens.entries())
      mask.fill(1, row * length, row * length + Math.max(1, own.length));
    whole.mask = tf.tensor2d(mask, [tokens.length, length]);
  }
  for (const key of CONTEXT_KEYS) {
    const rows = context.flatMap((own) => own[key] ?? []);
    if (rows.length > 0) whole[key] = tf.stack(rows.map((row) => tf.tensor1d(row)));
  }
  if (seed !== undefined) {
    const next = uniformNumbers(seed);
    whole.noise = (shape) =>
      tf.tensor(Float32Array.from({length: tf.util.sizeFromShape(shape)}, next), shape);
  }
  return whole;
}
