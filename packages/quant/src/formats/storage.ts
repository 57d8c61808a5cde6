import {ConfigError, toHalves} from '@tfjs-peft/kernels';
import type {Codes, Grid, WeightFormat} from '../format.js';
import {makeGrid} from '../matrix.js';

const INFINITY = {f16: 0x7c00, bf16: 0x7f80};
const REMEDY = {
  f16: "Set the format to 'bf16', which reaches as far as float32",
  bf16: 'Repair the weights first',
};

/** Formats whose codes are floats of 16 bits, and need no grid. */
export class StorageFormat implements WeightFormat {
  readonly bits = 16;
  readonly zero = 'none';
  readonly scales = 'f32';

  constructor(readonly values: 'f16' | 'bf16') {}

  fit(): Grid {
    return makeGrid(1, 0);
  }

  encode(weights: Float64Array, _grid: Grid, codes: Codes, inRange?: Uint8Array): void {
    const halves = toHalves(weights, this.values);
    const beyond = halves.findIndex((bits) => (bits & 0x7fff) >= INFINITY[this.values]);
    if (beyond >= 0) {
      throw new ConfigError(
        `${this.values} format: a weight is ${weights[beyond]}, which rounds to infinity. ${REMEDY[this.values]}.`,
      );
    }
    codes.set(halves);
    inRange?.fill(1);
  }

  getConfig() {
    return {type: this.values};
  }
}
