import type * as tf from '@tensorflow/tfjs-core';
import {type AdapterConfig, balanceScale, type Peft, type UpgradableModel} from '@tfjs-peft/layers';
import {type SideModel, SideNetwork, type SideNetworkConfig, type SidePeft} from '@tfjs-peft/layers/side';
import type {RouterContext} from '@tfjs-peft/routers';
import {InputError} from '../../data/input-error.js';
import {GRID_FORMATS, groupedFormat} from '../../tools/formats.js';
import {
  ADAPTERS,
  type AdapterOptions,
  adapterConfig,
  checkSize,
  learningRateOf,
  type Setting,
  sizeOf,
} from '../common/adapter.js';
import type {Encoder, Quantization} from './encoders/encoder.js';

/** A side network with its experts; the rest are its defaults. */
export interface SideAddition extends SideNetworkConfig {
  type: 'ismoe';
  experts: number;
}

/** What a run trains: adapters in the model, or a network beside it. */
export type Addition = AdapterConfig | SideAddition;

/** What makes a run's base and addition. */
export interface AdditionOptions extends AdapterOptions {
  lr?: number | undefined;
  /** Type of the weight format of a quantised base. */
  format?: string | undefined;
}

/** Side networks, by the names of `--adapter`, and whether the base is quantised without `--format`. */
const SIDES: Record<string, {quantized: boolean}> = {
  ismoe: {quantized: false},
  'mp-ismoe': {quantized: true},
};

/** All that `--adapter` takes. */
export const ADDITIONS = [...ADAPTERS, ...Object.keys(SIDES)];

/** The learning rate of Ladder Side-Tuning (arXiv 2206.06522). */
const SIDE_RATE = 3e-3;
const SIDE_EXPERTS = 4;
/** The format of MP-ISMoE's base if none is given. */
const MP_FORMAT = 'int4';
/** Draws of GNP-IQ: each takes about a second, in every thread and process. */
const DRAWS = 5;

const isSide = (addition: Addition): addition is SideAddition => (addition.type as string) === 'ismoe';

const sideOf = ({adapter}: AdditionOptions) => (Object.hasOwn(SIDES, adapter) ? SIDES[adapter] : undefined);

/**
 * Refuses what does not go together.
 *
 * @throws InputError that names the flag and what to do.
 */
export function checkAddition(options: AdditionOptions): void {
  const side = sideOf(options);
  if (side === undefined) return;
  for (const flag of ['rank', 'router'] as const) {
    if (options[flag] === undefined) continue;
    throw new InputError(
      `--${flag}: ${options.adapter} is a side network, which has no ${flag}; leave it out`,
    );
  }
  const {format} = options;
  if (side.quantized && format !== undefined && !GRID_FORMATS.includes(format)) {
    throw new InputError(
      `--format: ${options.adapter} chooses scales by GNP-IQ, and ${format} has none; choose from ${GRID_FORMATS.join(', ')}`,
    );
  }
}

/**
 * How the base is quantised. As in QLoRA, `--format` packs the projections; MP-ISMoE packs everything but the
 * layer norms and biases, by GNP-IQ in the reading that lowers the error.
 */
export function quantizationOf(options: AdditionOptions): Quantization | undefined {
  const {quantized} = sideOf(options) ?? {};
  const {format = quantized ? MP_FORMAT : undefined} = options;
  if (format === undefined) return undefined;
  return {
    format: groupedFormat(format),
    quantizer: quantized ? {type: 'gnp-iq', codesFrom: 'base', draws: DRAWS} : {type: 'nearest'},
    embedding: quantized === true,
  };
}

/**
 * What the options ask to be trained.
 *
 * @throws ConfigError if an option is not good; InputError if it would be too large for the model.
 */
export function additionOf(options: AdditionOptions, setting: Setting, encoder: Encoder): Addition {
  if (sideOf(options) === undefined) {
    const adapter = adapterConfig(options, setting);
    checkSize(adapter, {width: encoder.width, parameters: encoder.parameters});
    return adapter;
  }
  const {experts = SIDE_EXPERTS} = options;
  const addition: SideAddition = {type: 'ismoe', experts};
  checkSideSize(addition, encoder);
  return addition;
}

/** Counts a side network's parameters, of which none is made. */
function checkSideSize({type: _, ...network}: SideAddition, {tapWidths, parameters}: Encoder): void {
  let count = 0;
  new SideNetwork(network, {widths: [...tapWidths], tokens: true}).build((_name, shape) => {
    count += shape.reduce((product, size) => product * size, 1);
    return {
      read() {
        throw new Error('the network was made to be counted');
      },
    };
  });
  if (count <= parameters) return;
  throw new InputError(
    `--experts: a side network of ${network.experts} experts would have ${count.toLocaleString('en')} parameters, and the model beside it has ${parameters.toLocaleString('en')}; lower it`,
  );
}

/** The learning rate of what is trained in or beside the model. */
export const rateOf = (options: AdditionOptions): number =>
  sideOf(options) === undefined ? learningRateOf(options) : (options.lr ?? SIDE_RATE);

/** Experts and their rank. */
export const additionSize = (addition: Addition): {experts?: number; rank?: number} =>
  isSide(addition) ? {experts: addition.experts} : sizeOf(addition);

/** What the main job asks of an addition while it is there, whatever it is. */
export interface Trained {
  variables(): tf.Variable[];
  /** Names of the places where the model is adapted, or read. */
  places(): string[];
  setContext(context: RouterContext | null): void;
  save(folder: string): Promise<unknown>;
  load(folder: string): Promise<unknown>;
  /** The model is then as it was. */
  remove(): void;
}

/** Puts an addition into or beside a model. */
export async function addTo(encoder: Encoder, addition: Addition, seed: number): Promise<Trained> {
  if (isSide(addition)) {
    const {type: _, ...network} = addition;
    return besideModel(await encoder.attachSide(network, seed));
  }
  return inModel(await encoder.upgrade(addition, seed));
}

function inModel(peft: Peft<UpgradableModel>): Trained {
  const {lossSites} = peft;
  if (lossSites > 0) peft.scaleLosses(balanceScale({average: true}, 0, lossSites));
  return {
    variables: () => peft.trainableVariables(),
    places: () =>
      peft
        .report()
        .sites.filter(({status}) => status === 'adapted')
        .map(({name}) => name),
    setContext: (context) => peft.setContext(context),
    save: (folder) => peft.save(folder),
    load: (folder) => peft.load(folder),
    remove: () => peft.detach(),
  };
}

function besideModel(side: SidePeft<SideModel>): Trained {
  return {
    variables: () => side.trainableVariables(),
    places: () => side.report().taps,
    // Its routers read what the model gives, and nothing else.
    setContext: () => {},
    save: (folder) => side.save(folder),
    load: (folder) => side.load(folder),
    remove: () => side.remove(),
  };
}
