import type {Encoder, Quantization} from './encoder.js';

/** One file a model, loaded when it is asked for. */
const ENCODERS = {
  'use-lite': async () => (await import('./use-lite.js')).UseLiteEncoder.load(),
  'use-lite-shipped': async () => (await import('./use-lite-shipped.js')).UseLiteShippedEncoder.load(),
} as const satisfies Record<string, () => Promise<Encoder>>;

export type ModelName = keyof typeof ENCODERS;

export const MODELS = Object.keys(ENCODERS) as ModelName[];

/** A model, and how it is quantised, if it is: what every process and thread of a run makes alike. */
export interface BaseModel {
  model: ModelName;
  quantization?: Quantization;
}

/** A fresh copy of a model on the current backend. */
export async function loadEncoder({model, quantization}: BaseModel): Promise<Encoder> {
  const encoder = await ENCODERS[model]();
  if (quantization !== undefined) await encoder.quantize(quantization);
  return encoder;
}
