import {checkOptions} from '@tfjs-peft/routers';
import type {AdapterConfig, AdapterConfigs} from '../../core/adapters/adapter.js';
import {DORA_OPTIONS} from '../../core/adapters/dora/adapter.js';
import {IA3_OPTIONS} from '../../core/adapters/ia3/adapter.js';
import {LIME_OPTIONS} from '../../core/adapters/lime/adapter.js';
import {LORA_OPTIONS} from '../../core/adapters/lora/adapter.js';
import {LORA_FA_OPTIONS} from '../../core/adapters/lora-fa/adapter.js';
import {MOLORA_OPTIONS} from '../../core/adapters/molora/adapter.js';
import {MOR1E_OPTIONS} from '../../core/adapters/mor1e/adapter.js';
import {MOV_OPTIONS} from '../../core/adapters/mov/adapter.js';
import {type DenseArgs, PeftDense} from './peft-dense.js';

/** Arguments of the drop-in layers besides those of a stock Dense and of the adapter. */
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

/** Arguments of a drop-in layer: a stock Dense's, the adapter's options, and {@link DropInArgs}. */
export type DropIn<Type extends keyof AdapterConfigs> = DenseArgs &
  Omit<AdapterConfigs[Type], 'type'> &
  DropInArgs;

const DROP_IN_OPTIONS = ['adapterName', 'trainableBase', 'seed'];

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

function dropIn(
  type: keyof AdapterConfigs,
  adapterOptions: readonly string[],
  args: Record<string, unknown>,
): PeftDense {
  const own = adapterOptions.filter((option) => option !== 'type');
  checkOptions(`${type.replace('-fa', 'Fa')}Dense`, args, [...DENSE_OPTIONS, ...own, ...DROP_IN_OPTIONS]);
  const pick = (options: readonly string[]) =>
    Object.fromEntries(
      options.filter((option) => args[option] !== undefined).map((option) => [option, args[option]]),
    );
  const {adapterName = 'default', seed, ...base} = pick([...DENSE_OPTIONS, ...DROP_IN_OPTIONS]);
  const layer = new PeftDense(base as unknown as DenseArgs);
  layer.addAdapter(adapterName as string, {type, ...pick(own)} as AdapterConfig, seed as number | undefined);
  layer.activate(adapterName as string);
  return layer;
}

/**
 * A Dense layer with a LoRA adapter; see {@link LoraAdapter} for the options and the formula.
 *
 * @throws ConfigError if an option is unknown or out of range.
 */
export function loraDense(args: DropIn<'lora'>): PeftDense {
  return dropIn('lora', LORA_OPTIONS, {...args});
}

/**
 * A Dense layer with an (IA)³ vector; see {@link Ia3Adapter} for the options and the formula.
 *
 * @throws ConfigError if an option is unknown or out of range.
 */
export function ia3Dense(args: DropIn<'ia3'>): PeftDense {
  return dropIn('ia3', IA3_OPTIONS, {...args});
}

/**
 * A Dense layer with a mixture of LoRA experts; see {@link MoloraAdapter} for the options and the formula.
 *
 * @throws ConfigError if an option is unknown or out of range.
 */
export function moloraDense(args: DropIn<'molora'>): PeftDense {
  return dropIn('molora', MOLORA_OPTIONS, {...args});
}

/**
 * A Dense layer with a mixture of (IA)³ vectors; see {@link MovAdapter} for the options and the formula.
 *
 * @throws ConfigError if an option is unknown or out of range.
 */
export function movDense(args: DropIn<'mov'>): PeftDense {
  return dropIn('mov', MOV_OPTIONS, {...args});
}

/**
 * A Dense layer with a DoRA adapter; see {@link DoraAdapter} for the options and the formula.
 *
 * @throws ConfigError if an option is unknown or out of range.
 */
export function doraDense(args: DropIn<'dora'>): PeftDense {
  return dropIn('dora', DORA_OPTIONS, {...args});
}

/**
 * A Dense layer with a LoRA-FA adapter; see {@link LoraFaAdapter} for the options and the formula.
 *
 * @throws ConfigError if an option is unknown or out of range.
 */
export function loraFaDense(args: DropIn<'lora-fa'>): PeftDense {
  return dropIn('lora-fa', LORA_FA_OPTIONS, {...args});
}

/**
 * A Dense layer with a mixture of rank-one experts; see {@link Mor1eAdapter} for the options and the formula.
 *
 * @throws ConfigError if an option is unknown or out of range.
 */
export function mor1eDense(args: DropIn<'mor1e'>): PeftDense {
  return dropIn('mor1e', MOR1E_OPTIONS, {...args});
}

/**
 * A Dense layer with LiME, a mixture of modulators over a shared module; see {@link LimeAdapter} for the options and the formula.
 *
 * @throws ConfigError if an option is unknown or out of range.
 */
export function limeDense(args: DropIn<'lime'>): PeftDense {
  return dropIn('lime', LIME_OPTIONS, {...args});
}
