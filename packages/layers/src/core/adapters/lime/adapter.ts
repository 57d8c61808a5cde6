import type {Tensor, Tensor1D, Tensor2D} from '@tensorflow/tfjs-core';
import * as tf from '@tensorflow/tfjs-core';
import {type CombineParts, matMul, UnsupportedSiteError} from '@tfjs-peft/kernels';
import {
  type AddWeight,
  checkBoolean,
  checkChoice,
  checkCount,
  checkOptions,
  FORMS,
  type Form,
  type Router,
  type Weight,
} from '@tfjs-peft/routers';
import type {Adapter, AdapterView, SiteDims} from '../adapter.js';
import {defineAdapter} from '../registry.js';
import {type AdapterRouterConfig, configOf, routeAt, routerOf} from '../router-of.js';
import {type LimeModuleConfig, limeModule, type SharedModule} from './modules.js';
import {type LimePromptConfig, leading, PromptModule} from './prompt.js';

export type {LimeModuleConfig, LimePromptConfig};

/** Config of {@link LimeAdapter}. */
export interface LimeConfig {
  type: 'lime';
  /** Default 4. */
  experts?: number;
  /** The module that the experts share. Default `{type: 'lora', rank: 4}`. */
  over?: LimeModuleConfig | LimePromptConfig;
  /** Add the shared modulator, which acts on all tokens. Default true. */
  sharedModulator?: boolean;
  /** Follow the paper or the released code; see {@link LimeAdapter}. Default `paper`. */
  form?: Form;
  /** Default `{type: 'zero'}`, LiME's own router without parameters. */
  router?: AdapterRouterConfig;
}

const OPTIONS = ['experts', 'over', 'sharedModulator', 'form', 'router'] as const;

/**
 * LiME (Kowsher et al., arXiv 2604.02338, equations 1 and 2): all experts share one module with output d;
 * each expert scales it by a vector of its own,
 *
 *     y = act(z + d ∘ (Σ_e g_e p_e + γ p_s)),   z = x W + b
 *
 * Over `lora` and `lora-fa`, d = (alpha / rank) (x A) B; over `dora`, z and d are both scaled by c =
 * magnitude / |W + (alpha / rank) A B| (bias included, the gradient passing through the norm); over `slice`,
 * d is a change of the first `rank` columns only.
 *
 * Weights: those of the module, which start with d = 0, so the site starts unchanged; `modulators` p
 * [experts, outputDim] from U(0.9, 1.1), `shared_modulator` p_s [outputDim] from N(0, 0.1²), and `gamma` [1],
 * zero. For a padded token, y is the module's frozen part.
 *
 * Over a `prompt`, virtual tokens go before the output of an Embedding; z is a base prompt and d a change of
 * it; see {@link LimePromptConfig}.
 *
 * `form: 'code'` follows the released code (Kowsher/LiME). The router uses its normaliser and selection; over
 * DoRA, the first stream is the sum of both; over LoRA, n-grams are ignored. A slice has no d: its columns
 * and, but at an Embedding, the bias are trained and modulated directly, x W_T ∘ (...), so it does not start
 * as the identity. Over LoRA at an Embedding, A [outputDim, rank] acts on the embedded vector.
 *
 * @example
 * ```ts
 * import {LimeAdapter} from '@tfjs-peft/layers';
 *
 * const adapter = new LimeAdapter({type: 'lime', experts: 4, over: {type: 'lora', rank: 4}});
 * ```
 */
export class LimeAdapter implements Adapter {
  readonly type = 'lime';
  readonly hasLoss: boolean;
  /** A prompt reads the output: the tokens that follow it. */
  readonly reads: 'input' | 'output';
  readonly virtualTokens: number;
  readonly dropsAt: 'adapter' | 'site' | 'nothing';
  private readonly module: SharedModule | PromptModule;
  private readonly router: Router;
  private readonly form: Form;
  private readonly withShared: boolean;
  private modulators!: Weight;
  private sharedModulator?: Weight;
  private gamma?: Weight;

  /**
   * @throws ConfigError if an option is unknown or out of range, also in the config of the module or router.
   */
  constructor(config: LimeConfig) {
    const what = 'lime adapter';
    checkOptions(what, config, ['type', ...OPTIONS]);
    const experts = checkCount(what, 'experts', config.experts, {fallback: 4});
    this.form = checkChoice(what, 'form', config.form, FORMS);
    this.withShared = checkBoolean(what, 'sharedModulator', config.sharedModulator, true);
    this.module = limeModule(config.over, this.form);
    const isPrompt = this.module instanceof PromptModule;
    this.reads = isPrompt ? 'output' : 'input';
    this.virtualTokens = isPrompt ? (this.module as PromptModule).virtualTokens : 0;
    this.dropsAt = this.module.dropsAt;
    this.router = routerOf(what, experts, this.routerConfig(config.router), {delta: true});
    this.hasLoss = this.router.hasLoss ?? false;
  }

  /** What the form says of the zero-parameter router, unless the router's config says otherwise. */
  private routerConfig(given: AdapterRouterConfig | undefined): AdapterRouterConfig {
    const router = given === undefined ? {type: 'zero' as const} : given;
    if (this.form === 'paper' || typeof router !== 'object' || router?.type !== 'zero') return router;
    const over = this.module.getConfig().type;
    return {
      form: 'code',
      ...(over === 'dora' && {stream: 'sum'}),
      ...(over === 'slice' && {gamma: 0}),
      ...router,
      ...(over === 'lora' && {nGram: 1}),
    } as AdapterRouterConfig;
  }

  get tasks(): number | undefined {
    return this.router.tasks;
  }

  build(dims: SiteDims, add: AddWeight): void {
    const {inputDim, outputDim} = dims;
    const routerDim = this.reads === 'output' ? outputDim : (dims.routerDim ?? inputDim);
    const {experts, needs} = this.router;
    const most = Math.max(needs?.base ?? 0, needs?.delta ?? 0);
    if (most > outputDim) {
      throw new UnsupportedSiteError(
        `lime adapter: the router reads ${most} columns, but the site's output has ${outputDim}. ` +
          `Remove the site from targets, or set experts to at most ${outputDim} there by an override.`,
      );
    }
    const width = this.module instanceof PromptModule ? outputDim : (this.module.width ?? outputDim);
    this.module.build(dims, add);
    this.modulators = add('modulators', [experts, width], {type: 'uniform', low: 0.9, high: 1.1});
    if (this.withShared) {
      this.sharedModulator = add('shared_modulator', [width], {type: 'normal', stddev: 0.1});
      this.gamma = add('gamma', [1], {type: 'zeros'});
    }
    this.router.build(routerDim, add);
  }

  parts(view: AdapterView): CombineParts {
    if (this.module instanceof PromptModule) return {};
    const {needs} = this.router;
    const shared = this.module.apply(view, {base: needs?.base ?? 0, delta: needs?.delta ?? 0});
    const {base, delta} = shared;
    const routing = routeAt(this.router, view, {...(base && {base}), ...(delta && {delta})});
    const {h, b, scale, alpha, offset, stretch, replaces = false} = shared;
    const {gates, table} = this.modulation(routing.gates, {mask: view.context?.mask, replaces});
    const beta = {gates, table: stretched(widened(table, b.shape[1]), stretch)};
    return {h, b, scale, beta, ...(alpha && {alpha}), ...(offset && {offset})};
  }

  /** The virtual tokens, [batch, virtualTokens, outputDim]. */
  prepend(view: AdapterView): Tensor {
    const {base, delta, stream} = (this.module as PromptModule).read(view);
    const [batch] = view.input.shape as [number, number, number];
    const {needs} = this.router;
    const {mask: _, ...context} = view.context ?? {};
    const shape = [batch, ...stream.shape.slice(1)] as [number, number, number];
    const routing = routeAt(this.router, view, {
      input: tf.broadcastTo(stream, shape),
      context,
      ...(needs?.base && {base: leading(stream, needs.base)}),
      ...(needs?.delta && {delta: leading(delta, needs.delta)}),
    });
    const {gates, table} = this.modulation(routing.gates, {});
    const factors = tf.reshape(matMul(tf.reshape(gates, [-1, table.shape[0]]), table), [
      ...gates.shape.slice(0, -1),
      table.shape[1],
    ]);
    return tf.broadcastTo(tf.add(base, tf.mul(delta, factors)), shape);
  }

  /**
   * Σ_e g_e p_e + γ p_s as gates times a table: the shared modulator is in every row where the gates sum to
   * 1, else a row of its own.
   */
  private modulation(
    gates: Tensor,
    {mask: given, replaces = false}: {mask?: Tensor | undefined; replaces?: boolean},
  ): {gates: Tensor; table: Tensor2D} {
    const lead = gates.shape.slice(0, -1);
    let table = this.modulators.read() as Tensor2D;
    let weights = gates;
    if (this.sharedModulator !== undefined) {
      const common = tf.mul(this.sharedModulator.read(), this.gamma!.read());
      if (this.router.normalized) table = tf.add(table, common);
      else {
        table = tf.concat([table, tf.reshape(common, [1, -1])]) as Tensor2D;
        weights = tf.concat([gates, tf.ones([...lead, 1])], -1);
      }
    }
    if (given !== undefined) {
      const mask = tf.reshape(given, [...lead, 1]);
      weights = tf.mul(weights, mask);
      if (replaces) {
        table = tf.concat([table, tf.ones([1, table.shape[1]])]) as Tensor2D;
        weights = tf.concat([weights, tf.sub(1, mask)], -1);
      }
    }
    return {gates: weights, table};
  }

  getConfig(): LimeConfig {
    return {
      type: 'lime',
      experts: this.router.experts,
      over: this.module.getConfig(),
      sharedModulator: this.withShared,
      form: this.form,
      router: configOf(this.router),
    };
  }
}

/** The table with columns of zeros for the rest of the output. */
function widened(table: Tensor2D, width: number): Tensor2D {
  const missing = width - table.shape[1];
  if (missing === 0) return table;
  return tf.pad(table, [
    [0, 0],
    [0, missing],
  ]);
}

function stretched(table: Tensor2D, stretch: Tensor1D | undefined): Tensor2D {
  return stretch === undefined ? table : tf.mul(table, stretch);
}

defineAdapter({
  type: 'lime',
  summary:
    "one shared LoRA, DoRA, slice or prompt (`over`: `{type: 'prompt', virtualTokens}` at an Embedding), " +
    'modulated by each expert',
  options: OPTIONS,
  learningRate: 0.003,
  examples: [
    {type: 'lime', experts: 3, over: {type: 'lora', rank: 2}},
    {type: 'lime', experts: 2, over: {type: 'dora', rank: 2}, form: 'code'},
    {type: 'lime', experts: 3, over: {type: 'lora-fa', rank: 2}, router: {type: 'softmax', topK: 2}},
    {type: 'lime', experts: 2, over: {type: 'slice', rank: 2}, router: {type: 'zero', nGram: 2}},
  ],
  create: (config) => new LimeAdapter(config),
});

declare module '../adapter.js' {
  interface AdapterConfigs {
    lime: LimeConfig;
  }
}
