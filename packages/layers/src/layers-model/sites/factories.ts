import type * as tfl from '@tensorflow/tfjs-layers';
import {checkOptions} from '@tfjs-peft/routers';
import type {AdapterConfig, AdapterConfigs, CommonOptions} from '../../core/adapters/adapter.js';
import {type AdapterDefinition, adapterDefinitions, COMMON_OPTIONS} from '../../core/adapters/registry.js';
import {type DenseArgs, PeftDense} from './peft-dense.js';
import type {PeftLayer} from './peft-layer.js';
import {PeftWrapper} from './peft-wrapper.js';

/** Options of a layer with an adapter, besides those of the layer and of the adapter. */
export interface DropInArgs {
  /** Name of the adapter. Default `default`. */
  adapterName?: string;
  /**
   * Train the kernel and bias together with the adapter. Default false: they stay at the values from
   * `weights`, a loaded file or the initializer. Set it to true for a network that is trained from scratch.
   */
  trainableBase?: boolean;
  /**
   * Seed of the adapter's random initial values (the kernel's seed is in its initializer). Default: different
   * every time.
   */
  seed?: number;
}

const DROP_IN_OPTIONS = ['adapterName', 'trainableBase', 'seed'];

/** The layer with its adapter, which is active. */
function withAdapter<L extends PeftLayer>(
  layer: L,
  config: AdapterConfig,
  {adapterName = 'default', seed}: DropInArgs,
): L {
  layer.addAdapter(adapterName, config, seed);
  layer.activate(adapterName);
  return layer;
}

/**
 * Makes a layer with an adapter for a new model: a frozen stock layer and a trained adapter beside it.
 *
 * @param layer A new Dense, Conv1D, Conv2D, Conv2DTranspose, SeparableConv2D, DepthwiseConv2D, Embedding,
 * LSTM, GRU or SimpleRNN, or a layer of a class passed to {@link registerSite}. Put the returned layer into
 * the model, not this one.
 * @param adapter The adapter's config, as in {@link upgrade}.
 * @throws ConfigError if the adapter's config or an option is invalid; UnsupportedSiteError if the layer
 * cannot carry an adapter. If this adapter cannot act on the layer, building the layer throws.
 * @example
 * ```ts
 * import * as tf from '@tensorflow/tfjs';
 * import {adapted} from '@tfjs-peft/layers';
 *
 * const conv = tf.layers.conv2d({filters: 8, kernelSize: 3, inputShape: [16, 16, 3]});
 * const model = tf.sequential();
 * model.add(adapted(conv, {type: 'molora', experts: 4, rank: 2}));
 * ```
 */
export function adapted(
  layer: tfl.layers.Layer,
  adapter: AdapterConfig,
  options: DropInArgs = {},
): PeftLayer {
  const {trainableBase = false, ...more} = checkOptions('adapted', options, DROP_IN_OPTIONS);
  const wrapper =
    layer.getClassName() === 'Dense'
      ? PeftDense.around(layer, {trainableBase})
      : new PeftWrapper({layer, trainableBase});
  return withAdapter(wrapper, adapter, more);
}

/**
 * Arguments of a Dense with an adapter: those of a stock Dense, the adapter's options, and {@link
 * DropInArgs}.
 */
export type DropIn<Type extends keyof AdapterConfigs> = DenseArgs &
  Omit<AdapterConfigs[Type], 'type'> &
  CommonOptions &
  DropInArgs;

const DENSE_OPTIONS = [
  'units',
  'activation',
  'useBias',
  'kernelInitializer',
  'biasInitializer',
  'inputDim',
  'kernelConstraint',
  'biasConstraint',
  'kernelRegularizer',
  'biasRegularizer',
  'activityRegularizer',
  'inputShape',
  'batchInputShape',
  'batchSize',
  'dtype',
  'name',
  'trainable',
  'weights',
  'inputDType',
];

type Camel<Text extends string> = Text extends `${infer Word}-${infer Rest}`
  ? `${Word}${Capitalize<Camel<Rest>>}`
  : Text;

/** The factories of a Dense with an adapter: `loraDense` for `lora`, and so on. */
type DenseFactories = {
  [Type in keyof AdapterConfigs as `${Camel<Type>}Dense`]: (args: DropIn<Type>) => PeftDense;
};

const factoryName = ({type}: AdapterDefinition) =>
  `${type.replaceAll(/-(\w)/g, (_, letter: string) => letter.toUpperCase())}Dense`;

/** The factory of that name for the adapter in the registry. */
function denseFactory<Name extends keyof DenseFactories>(name: Name): DenseFactories[Name] {
  return (given: DenseArgs & DropInArgs) => {
    const definition = adapterDefinitions().find((definition) => factoryName(definition) === name)!;
    const {type} = definition;
    const options = [...(definition.options ?? []), ...COMMON_OPTIONS];
    const args: Record<string, unknown> = {
      ...checkOptions(name, given, [...DENSE_OPTIONS, ...options, ...DROP_IN_OPTIONS]),
    };
    const pick = (names: readonly string[]) =>
      Object.fromEntries(names.filter((key) => args[key] !== undefined).map((key) => [key, args[key]]));
    const layer = new PeftDense({...given, ...pick([...DENSE_OPTIONS, 'trainableBase'])});
    return withAdapter(layer, {type, ...pick(options)} as AdapterConfig, given);
  };
}

/**
 * A Dense layer with a LoRA adapter; see {@link LoraAdapter} for the options and the formula.
 *
 * @throws ConfigError if an option is unknown or out of range.
 * @example
 * ```ts
 * import {loraDense} from '@tfjs-peft/layers';
 *
 * const layer = loraDense({units: 8, inputShape: [16], rank: 4});
 * ```
 */
export const loraDense = denseFactory('loraDense');

/**
 * A Dense layer with an (IA)³ vector; see {@link Ia3Adapter} for the options and the formula.
 *
 * @throws ConfigError if an option is unknown or out of range.
 * @example
 * ```ts
 * import {ia3Dense} from '@tfjs-peft/layers';
 *
 * const layer = ia3Dense({units: 8, inputShape: [16]});
 * ```
 */
export const ia3Dense = denseFactory('ia3Dense');

/**
 * A Dense layer with a mixture of LoRA experts; see {@link MoloraAdapter} for the options and the formula.
 *
 * @throws ConfigError if an option is unknown or out of range.
 * @example
 * ```ts
 * import {moloraDense} from '@tfjs-peft/layers';
 *
 * const layer = moloraDense({units: 8, inputShape: [16], experts: 4, rank: 2});
 * ```
 */
export const moloraDense = denseFactory('moloraDense');

/**
 * A Dense layer with a mixture of (IA)³ vectors; see {@link MovAdapter} for the options and the formula.
 *
 * @throws ConfigError if an option is unknown or out of range.
 * @example
 * ```ts
 * import {movDense} from '@tfjs-peft/layers';
 *
 * const layer = movDense({units: 8, inputShape: [16], experts: 4});
 * ```
 */
export const movDense = denseFactory('movDense');

/**
 * A Dense layer with a DoRA adapter; see {@link DoraAdapter} for the options and the formula.
 *
 * @throws ConfigError if an option is unknown or out of range.
 * @example
 * ```ts
 * import {doraDense} from '@tfjs-peft/layers';
 *
 * const layer = doraDense({units: 8, inputShape: [16], rank: 4});
 * ```
 */
export const doraDense = denseFactory('doraDense');

/**
 * A Dense layer with a LoRA-FA adapter; see {@link LoraFaAdapter} for the options and the formula.
 *
 * @throws ConfigError if an option is unknown or out of range.
 * @example
 * ```ts
 * import {loraFaDense} from '@tfjs-peft/layers';
 *
 * const layer = loraFaDense({units: 8, inputShape: [16], rank: 8});
 * ```
 */
export const loraFaDense = denseFactory('loraFaDense');

/**
 * A Dense layer with a mixture of rank-one experts; see {@link Mor1eAdapter} for the options and the formula.
 *
 * @throws ConfigError if an option is unknown or out of range.
 * @example
 * ```ts
 * import {mor1eDense} from '@tfjs-peft/layers';
 *
 * const layer = mor1eDense({units: 8, inputShape: [16], r1: 2, r2: 4, intuition: false});
 * ```
 */
export const mor1eDense = denseFactory('mor1eDense');

/**
 * A Dense layer with LiME, a mixture of modulators over a shared module; see {@link LimeAdapter} for the
 * options and the formula.
 *
 * @throws ConfigError if an option is unknown or out of range.
 * @example
 * ```ts
 * import {limeDense} from '@tfjs-peft/layers';
 *
 * const layer = limeDense({units: 8, inputShape: [16], experts: 4});
 * ```
 */
export const limeDense = denseFactory('limeDense');
