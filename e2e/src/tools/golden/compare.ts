import {largestDifference, magnitude} from '@tfjs-peft/testing/compare';
import type {Golden} from './format.js';

/** The largest |got - want|. NaN counts as infinitely far. */
export function difference(name: string, got: ArrayLike<number>, want: Golden): number {
  if (got.length !== want.data.length) {
    throw new Error(`${name} has ${got.length} values, expected ${want.data.length} (shape [${want.shape}])`);
  }
  return largestDifference(got, want.data);
}

/** max|got - want| / max(floor, max|want|): what the READMEs of the data hold against a case's tolerance. */
export function deviation(name: string, got: ArrayLike<number>, want: Golden, floor = 1): number {
  return difference(name, got, want) / Math.max(floor, magnitude(want.data));
}

/** The deviation of the tensor that deviates most, and its name. */
export class Worst {
  value = 0;
  name = '';

  add(name: string, value: number): void {
    if (this.name !== '' && value <= this.value) return;
    this.value = value;
    this.name = name;
  }
}

/** How far a case's outputs and gradients are from the data; `grad` is null where a case has none. */
export interface Deviations {
  forward: Worst;
  grad: Worst | null;
}
