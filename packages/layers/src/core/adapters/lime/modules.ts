import type {Tensor, Tensor1D, Tensor2D} from '@tensorflow/tfjs-core';
import * as tf from '@tensorflow/tfjs-core';
import {ConfigError, matMul} from '@tfjs-peft/kernels';
import {
  type AddWeight,
  checkChoice,
  checkCount,
  checkOptions,
  type Form,
  type Weight,
} from '@tfjs-peft/routers';
import type {AdapterView, SiteDims} from '../adapter.js';
import {
  addFactors,
  checkScale,
  columnNorms,
  kaiming,
  SCALE_OPTIONS,
  type Scaled,
  type ScaleOptions,
  scaleOf,
} from '../low-rank.js';
import {type LimePromptConfig, PromptModule} from './prompt.js';

/** The module that LiME's experts share. */
export type LimeModuleConfig =
  | ({type: 'lora' | 'dora' | 'lora-fa'; rank?: number} & ScaleOptions)
  | {type: 'slice'; rank?: number};

/**
 * Output of a shared module for a batch: the frozen output becomes alpha ∘ z + offset; its own is stretch ∘
 * scale · h b.
 */
export interface Shared {
  h: Tensor;
  b: Tensor2D;
  scale: number;
  alpha?: Tensor1D;
  offset?: Tensor1D;
  stretch?: Tensor1D;
  /**
   * Whether the module's output replaces the first columns of the frozen output; a factor of 1 leaves the
   * site unchanged.
   */
  replaces?: boolean;
  /** The leading columns of the router's first stream, the frozen output. */
  base?: Tensor;
  /** The leading columns of the router's second stream, the module's own output. */
  delta?: Tensor;
}

export interface SharedModule {
  /** The width that modulators cover; the rest of the output is not modulated. Default: all of it. */
  readonly width?: number;
  /** See {@link Adapter.dropsAt}. */
  readonly dropsAt: 'adapter' | 'site';
  build(dims: SiteDims, add: AddWeight): void;
  /** @param columns How many leading columns of the two streams the router wants. */
  apply(view: AdapterView, columns: {base: number; delta: number}): Shared;
  getConfig(): LimeModuleConfig;
}

/** Modules that LiME's experts can share. */
export const MODULE_TYPES = ['lora', 'dora', 'lora-fa', 'slice', 'prompt'] as const;

/** @throws ConfigError if the type is unknown, or an option unknown or out of range. */
export function limeModule(
  config: LimeModuleConfig | LimePromptConfig | undefined,
  form: Form,
): SharedModule | PromptModule {
  const what = 'lime adapter: over';
  const given = config === undefined ? {type: 'lora' as const} : config;
  if (typeof given !== 'object' || given === null) checkOptions(what, given, []);
  const type = checkChoice(what, 'type', given.type, MODULE_TYPES);
  if (type === 'prompt') return new PromptModule(given as LimePromptConfig);
  checkOptions(what, given, type === 'slice' ? ['type', 'rank'] : ['type', ...SCALE_OPTIONS]);
  if (type !== 'slice') return new LowRank(type, checkScale(what, given as Partial<Scaled>, 4), form);
  const rank = checkCount(what, 'rank', (given as {rank?: number}).rank, {fallback: 4});
  return form === 'paper' ? new SliceDelta(rank) : new ReleasedSlice(rank);
}

/** LoRA, LoRA-FA and DoRA, the bias of which is scaled along with the frozen product. */
class LowRank implements SharedModule {
  readonly dropsAt: 'adapter' | 'site';
  private a!: Weight;
  private b!: Weight;
  private magnitude?: Weight;
  /** The released code's LoRA at an Embedding: A acts on the vector that was looked up. */
  private onVectors = false;

  constructor(
    private readonly type: 'lora' | 'dora' | 'lora-fa',
    private readonly scaled: Scaled,
    private readonly form: Form,
  ) {
    this.dropsAt = type === 'dora' ? 'site' : 'adapter';
  }

  build(dims: SiteDims, add: AddWeight): void {
    this.onVectors = this.form === 'code' && this.type === 'lora' && dims.kind === 'lookup';
    const {outputDim} = dims;
    const acted = this.onVectors ? {inputDim: outputDim, outputDim} : dims;
    const random = kaiming(acted.inputDim);
    const fixed = this.type === 'lora-fa';
    const {rank} = this.scaled;
    ({a: this.a, b: this.b} = addFactors(add, acted, {down: rank, up: rank, random, fixed}));
    if (this.type === 'dora') this.magnitude = add('magnitude', [dims.outputDim], {type: 'columnNorms'});
  }

  apply(view: AdapterView, {base, delta}: {base: number; delta: number}): Shared {
    const {kernel, bias} = view;
    const [a, b] = [this.a.read(), this.b.read()] as [Tensor2D, Tensor2D];
    const scale = scaleOf(this.scaled);
    const {h, columns} = this.onVectors
      ? {
          h: times(view.drop?.(view.input) ?? view.input, a),
          columns: base > 0 ? columnsOf(view.input, base) : undefined,
        }
      : view.project({a, ...(base > 0 && {columns: base})});
    const factor =
      this.magnitude && (tf.div(this.magnitude.read(), columnNorms({kernel, a, b, scale})) as Tensor1D);
    const head = (tensor: Tensor, size: number) =>
      tensor.rank === 1 ? tf.slice(tensor, [0], [size]) : tf.slice(tensor, [0, 0], [tensor.shape[0]!, size]);
    const stretched = (stream: Tensor, size: number) =>
      factor === undefined ? stream : tf.mul(stream, head(factor, size));
    return {
      h,
      b,
      scale,
      ...(factor && {alpha: factor, stretch: factor}),
      ...(columns && {
        base: stretched(bias === undefined ? columns : tf.add(columns, head(bias, base)), base),
      }),
      ...(delta > 0 && {delta: stretched(times(h, head(b, delta) as Tensor2D, scale), delta)}),
    };
  }

  getConfig(): LimeModuleConfig {
    return {type: this.type, ...this.scaled};
  }
}

/**
 * The first `rank` columns of the kernel get a change of their own, x D, which starts at zero: equation 1 of
 * the paper with δ = x D.
 */
class SliceDelta implements SharedModule {
  readonly dropsAt = 'site';
  readonly width: number;
  private d!: Weight;

  constructor(private readonly rank: number) {
    this.width = rank;
  }

  build(dims: SiteDims, add: AddWeight): void {
    checkSlice(this.rank, dims);
    this.d = add('slice', [dims.inputDim, this.rank], {type: 'zeros'});
  }

  apply({kernel, bias, project}: AdapterView, {base, delta}: {base: number; delta: number}): Shared {
    const {h, columns} = project({a: this.d.read() as Tensor2D, ...(base > 0 && {columns: base})});
    return {
      h,
      b: placed(this.rank, kernel.shape[1]),
      scale: 1,
      ...(columns && {base: bias === undefined ? columns : tf.add(columns, tf.slice(bias, [0], [base]))}),
      ...(delta > 0 && {delta: columnsOf(h, delta)}),
    };
  }

  getConfig(): LimeModuleConfig {
    return {type: 'slice', rank: this.rank};
  }
}

/**
 * The released form: the first `rank` columns W_T of the kernel and the whole bias are trained, and x W_T
 * itself is modulated, so that the site does not start unchanged. Routing reads the unmodulated product
 * without the bias.
 */
class ReleasedSlice implements SharedModule {
  readonly dropsAt = 'site';
  readonly width: number;
  private weight!: Weight;
  /** Absent at an Embedding, which has none to train. */
  private bias?: Weight;

  constructor(private readonly rank: number) {
    this.width = rank;
  }

  build(dims: SiteDims, add: AddWeight): void {
    checkSlice(this.rank, dims);
    this.weight = add('slice', [dims.inputDim, this.rank], {type: 'columns', count: this.rank});
    if (dims.kind !== 'lookup') this.bias = add('bias', [dims.outputDim], {type: 'bias'});
  }

  apply({kernel, bias, project}: AdapterView, {base}: {base: number; delta: number}): Shared {
    const outputDim = kernel.shape[1];
    const beyond = base > this.rank;
    const {h, columns} = project({a: this.weight.read() as Tensor2D, ...(beyond && {columns: base})});
    const kept = tf.concat([tf.zeros([this.rank]), tf.ones([outputDim - this.rank])]) as Tensor1D;
    const stream = beyond ? tf.concat([h, tailOf(columns!, this.rank)], -1) : columnsOf(h, base);
    return {
      h,
      b: placed(this.rank, outputDim),
      scale: 1,
      alpha: kept,
      ...(this.bias && {
        offset: (bias === undefined
          ? this.bias.read()
          : tf.sub(this.bias.read(), tf.mul(kept, bias))) as Tensor1D,
      }),
      replaces: true,
      base: stream,
      delta: stream,
    };
  }

  getConfig(): LimeModuleConfig {
    return {type: 'slice', rank: this.rank};
  }
}

function checkSlice(rank: number, {outputDim}: SiteDims): void {
  if (rank <= outputDim) return;
  throw new ConfigError(
    `lime adapter: over.rank is ${rank}, but the site's output has ${outputDim} columns. ` +
      `Set over.rank to at most ${outputDim}.`,
  );
}

/** The map of `rank` columns to the first of `outputDim` ones. */
function placed(rank: number, outputDim: number): Tensor2D {
  return tf.pad(tf.eye(rank), [
    [0, 0],
    [0, outputDim - rank],
  ]) as Tensor2D;
}

/** The first `size` columns of `h` [..., r], zeros beyond them. */
function columnsOf(h: Tensor, size: number): Tensor {
  const rank = h.shape[h.rank - 1]!;
  if (size === rank) return h;
  if (size < rank)
    return tf.slice(
      h,
      h.shape.map(() => 0),
      [...h.shape.slice(0, -1), size],
    );
  return tf.pad(
    h,
    h.shape.map((_, axis): [number, number] => [0, axis === h.rank - 1 ? size - rank : 0]),
  );
}

function tailOf(tensor: Tensor, from: number): Tensor {
  return tf.slice(
    tensor,
    tensor.shape.map((_, axis) => (axis === tensor.rank - 1 ? from : 0)),
    tensor.shape.map((size, axis) => (axis === tensor.rank - 1 ? size - from : size)),
  );
}

/** h [..., r] times a matrix and a number. */
function times(h: Tensor, matrix: Tensor2D, scale = 1): Tensor {
  if (h.rank === 2) return matMul(h, matrix, false, false, scale);
  const rows = tf.reshape(h, [-1, h.shape[h.rank - 1]!]) as Tensor2D;
  return tf.reshape(matMul(rows, matrix, false, false, scale), [...h.shape.slice(0, -1), matrix.shape[1]]);
}
