import {uniformNumbers} from '@tfjs-peft/kernels';

/** Uniform and normal numbers for one event of one matrix. */
export class EventRandom {
  readonly uniform: () => number;
  private spare: number | undefined;

  constructor(seed: number, event: number) {
    // Hashed twice: neighbouring seeds and events have nothing in common.
    const hash = (value: number) => Math.floor(uniformNumbers(value)() * 2 ** 32);
    this.uniform = uniformNumbers(hash((hash(seed) + event) >>> 0));
  }

  /** A standard normal number (Box and Muller, 1958). */
  normal(): number {
    const {spare} = this;
    if (spare !== undefined) {
      this.spare = undefined;
      return spare;
    }
    // 1 - u is never 0.
    const radius = Math.sqrt(-2 * Math.log(1 - this.uniform()));
    const angle = 2 * Math.PI * this.uniform();
    this.spare = radius * Math.sin(angle);
    return radius * Math.cos(angle);
  }

  /** Distinct whole numbers below `count`, ascending. */
  choose(chosen: number, count: number): Uint32Array {
    const all = Uint32Array.from({length: count}, (_, i) => i);
    for (let i = 0; i < chosen; i++) {
      const j = i + Math.floor(this.uniform() * (count - i));
      [all[i], all[j]] = [all[j]!, all[i]!];
    }
    return all.subarray(0, chosen).sort();
  }
}
