import type {Encoder} from './encoder.js';

/** One file a model, loaded when it is asked for. */
const ENCODERS = {
  'use-lite': async () => (await import('./use-lite.js')).UseLiteEncoder.load(),
  'use-lite-shipped': async () => (await import('./use-lite-shipped.js')).UseLiteShippedEncoder.load(),
} as const satisfies Record<string, () => Promise<Encoder>>;

export type ModelName = keyof typeof ENCODERS;

export const MODELS = Object.keys(ENCODERS) as ModelName[];

/** A fresh copy of a model on the current backend. */
export function loadEncoder(model: ModelName): Promise<Encoder> {
  return ENCODERS[model]();
}
