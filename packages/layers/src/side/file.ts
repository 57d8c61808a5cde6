import type {AdapterConfig} from '../core/adapters/adapter.js';
import type {AdapterFile} from '../core/io/adapter-file.js';
import type {SidePlaces} from '../core/lifecycle/side-host.js';
import type {FullSideConfig} from './config.js';

/** What a file calls a side network where others name the type of their adapter. */
export const SIDE_TYPE = 'side-network';

/** The one site of a side network's file. */
export const SITE = 'side';

/** What a file says of a side network, with all defaults. */
export interface SideFileConfig extends Omit<FullSideConfig, 'recompute'> {
  type: typeof SIDE_TYPE;
  taps: string[];
  mask?: string;
  trainNorms?: true;
}

/** The config of a network as a file holds it. */
export function fileConfig({taps, mask, trainNorms}: SidePlaces, config: FullSideConfig): AdapterConfig {
  const {wiring, combine, init, recompute: _, ...rest} = config;
  // Options that the other wiring has not are not for it to read again.
  const ladder = wiring === 'ladder' ? {combine, init} : {};
  const own = {
    type: SIDE_TYPE,
    taps: [...taps],
    ...(mask !== undefined && {mask}),
    ...(trainNorms && {trainNorms}),
    wiring,
    ...ladder,
    ...rest,
  };
  return own as object as AdapterConfig;
}

/** What a file says of its adapter, whatever it is. */
export function configOf({adapter}: AdapterFile): {type?: unknown} {
  return adapter;
}
