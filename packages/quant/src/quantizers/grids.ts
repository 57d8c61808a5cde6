import {ConfigError} from '@tfjs-peft/kernels';
import type {WeightFormat} from '../format.js';

/**
 * @throws ConfigError if codes of the format are numbers by themselves, so that there is no grid to choose.
 */
export function requireGrid(what: string, format: WeightFormat): void {
  if (format.group !== undefined) return;
  throw new ConfigError(
    `${what}: the format '${format.getConfig().type}' has no scales to choose. Set the quantizer to 'nearest', or ` +
      "the format to an integer one such as 'int4'.",
  );
}
