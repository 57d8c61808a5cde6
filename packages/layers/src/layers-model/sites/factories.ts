import type * as tfl from '@tensorflow/tfjs-layers';
import {checkOptions} from '@tfjs-peft/routers';
import type {AdapterConfig, AdapterConfigs} from '../../core/adapters/adapter.js';
import {type AdapterDefinition, adapterDefinitions} from '../../core/adapters/registry.js';
import {type DenseArgs, PeftDense} from './peft-dense.js';
import type {PeftLayer} from './peft-layer.js';
import {PeftWrapper} from './peft-wrapper.js';

/** What a layer that has an adapter from the start is told besides the layer's arguments and the adapter's. */
export interface DropInArgs {
  /** Name of the adapter. Default `default`. */
  adapterName?: string;
  /**
   * Train the kernel and bias together with the adapter. Default false: they are frozen, as everywhere in parameter-efficient tuning,
   * at the values that `weights`, a loaded file or the initializer gave them. A network made from nothing wants true.
   */
  trainableBase?: boolean;
  /** Seed of the adapter's random initial values (the kernel's seed is in its initializer). Default: different every time. */
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
 * A layer with an adapter from the start, for a new model: a stock layer that is frozen, and beside it the adapter that is trained.
 *
 * @param layer A new layer of any class that is a site: a Dense, Conv1D, Conv2D, Conv2DTranspose, SeparableConv2D, DepthwiseConv2D,
 * Embedding, LSTM, GRU or SimpleRNN, or one of a class that `registerSite` knows. It is used up: put what is returned into the model.
 * @param adapter The adapter's config, as {@link upgrade} takes it.
 * @throws ConfigError if the adapter's config or an option is not good; UnsupportedSiteError if the layer cannot carry an adapter. That
 * this adapter cannot act there is found when the layer is built.
 * @example
 * ```ts
 * model.add(adapted(tf.layers.conv2d({filters: 8, kernelSize: 3}), {type: 'molora', experts: 4, rank: 2}));
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

/** Arguments of a Dense with an adapter: a stock Dense's, the adapter's options, and {@link DropInArgs}. */
export type DropIn<Type extends keyof AdapterConfigs> = DenseArgs &
  Omit<AdapterConfigs[Type], 'type'> &
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

/** What a Dense with an adapter of each type is made by: `loraDense` for `lora`, and so on. */
type DenseFactories = {
  [Type in keyof AdapterConfigs as `${Camel<Type>}Dense`]: (args: DropIn<Type>) => PeftDense;
};

const factoryName = ({type}: AdapterDefinition) =>
  `${type.replaceAll(/-(\w)/g, (_, letter: string) => letter.toUpperCase())}Dense`;

/** The factory of that name, whose adapter the registry has. */
function denseFactory<Name extends keyof DenseFactories>(name: Name): DenseFactories[Name] {
  return (given: DenseArgs & DropInArgs) => {
    const {type, options = []} = adapterDefinitions().find((definition) => factoryName(definition) === name)!;
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
 */
export const loraDense = denseFactory('loraDense');

/**
 * A Dense layer with an (IA)³ vector; see {@link Ia3Adapter} for the options and the formula.
 *
 * @throws ConfigError if an option is unknown or out of range.
 */
export const ia3Dense = denseFactory('ia3Dense');

/**
 * A Dense layer with a mixture of LoRA experts; see {@link MoloraAdapter} for the options and the formula.
 *
 * @throws ConfigError if an option is unknown or out of range.
 */
export const moloraDense = denseFactory('moloraDense');

/**
 * A Dense layer with a mixture of (IA)³ vectors; see {@link MovAdapter} for the options and the formula.
 *
 * @throws ConfigError if an option is unknown or out of range.
 */
export const movDense = denseFactory('movDense');

/**
 * A Dense layer with a DoRA adapter; see {@link DoraAdapter} for the options and the formula.
 *
 * @throws ConfigError if an option is unknown or out of range.
 */
export const doraDense = denseFactory('doraDense');

/**
 * A Dense layer with a LoRA-FA adapter; see {@link LoraFaAdapter} for the options and the formula.
 *
 * @throws ConfigError if an option is unknown or out of range.
 */
export const loraFaDense = denseFactory('loraFaDense');

/**
 * A Dense layer with a mixture of rank-one experts; see {@link Mor1eAdapter} for the options and the formula.
 *
 * @throws ConfigError if an option is unknown or out of range.
 */
export const mor1eDense = denseFactory('mor1eDense');

/**
 * A Dense layer with LiME, a mixture of modulators over a shared module; see {@link LimeAdapter} for the options and the formula.
 *
 * @throws ConfigError if an option is unknown or out of range.
 */
export const limeDense = denseFactory('limeDense');
