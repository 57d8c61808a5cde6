import {createFormat, type FormatConfig, formatDefinitions} from '@tfjs-peft/quant';

/** Every weight format that there is. */
export const FORMATS = formatDefinitions().map(({type}) => type);

/** Those whose weights share scales, which a quantiser can choose. */
export const GRID_FORMATS = FORMATS.filter((type) => hasGrid(type));

/** So many rows of a column share a scale, as in the files of llama.cpp. */
const GROUP = 32;

function hasGrid(type: string): boolean {
  return createFormat(type as FormatConfig['type']).group !== undefined;
}

/** A format with groups of 32 weights, so that all are compared alike, where it has groups at all. */
export function groupedFormat(type: string): FormatConfig {
  const config = hasGrid(type) ? {type, group: GROUP} : {type};
  return createFormat(config as FormatConfig).getConfig();
}
