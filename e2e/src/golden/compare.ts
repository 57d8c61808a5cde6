import type {Golden} from './format.js';

/** The largest |got - want|. NaN counts as infinitely far. */
export function difference(name: string, got: ArrayLike<number>, want: Golden): number {
  if (got.length !== want.data.length) {
    throw new Error(`${name} has ${got.length} values, expected ${want.data.length} (shape [${want.shape}])`);
  }
  let largest = 0;
  for (let i = 0; i < got.length; i++) {
    const off = Math.abs(got[i]! - want.data[i]!);
    largest = Math.max(largest, Number.isNaN(off) ? Number.POSITIVE_INFINITY : off);
  }
  return largest;
}

/** The largest |value| of a tensor. */
export function magnitude({data}: Golden): number {
  let largest = 0;
  for (const value of data) largest = Math.max(largest, Math.abs(value));
  return largest;
}

/** max|got - want| / max(floor, max|want|): what the READMEs of the data hold against a case's tolerance. */
export function deviation(name: string, got: ArrayLike<number>, want: Golden, floor = 1): number {
  return difference(name, got, want) / Math.max(floor, magnitude(want));
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
