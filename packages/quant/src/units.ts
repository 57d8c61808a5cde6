import {ConfigError, describe} from '@tfjs-peft/kernels';

/**
 * Which weights share one scale: so many consecutive rows of a column, a whole column (`'channel'`, an output
 * of the layer), the whole matrix, or so many consecutive weights of the transposed matrix written row by
 * row, as bitsandbytes does it (`{flat: 64}`).
 */
export type Group = number | 'channel' | 'tensor' | {flat: number};

/** Weights at equal distances: `count` of them, from `start`, every `stride`-th. */
interface Run {
  start: number;
  stride: number;
  count: number;
}

/** @throws ConfigError unless `group` is a {@link Group}. */
export function checkGroup(what: string, group: unknown, fallback: Group): Group {
  const given = group === undefined ? fallback : group;
  if (given === 'tensor' || given === 'channel') return given;
  const flat = typeof given === 'object' && given !== null && Object.keys(given).join() === 'flat';
  const size = flat ? (given as {flat: unknown}).flat : given;
  if (Number.isSafeInteger(size) && (size as number) >= 1) {
    return flat ? {flat: size as number} : (size as number);
  }
  throw new ConfigError(
    `${what}: group is ${describe(given)}. Set group to a number of rows of at least 1, to 'channel', 'tensor' ` +
      'or {flat: n}.',
  );
}

/**
 * How the weights of a matrix [rows, columns], row-major, are divided into units that share one scale. The
 * last unit of a column may be short.
 *
 * @example
 * ```ts
 * import {Units} from '@tfjs-peft/quant';
 *
 * const units = new Units([70, 32], 16);
 * console.log(units.shape, units.size(units.unitAt(69, 0))); // [5, 32] 6
 * ```
 */
export class Units {
  /** Of the scales: [1, 1], [1, columns], [⌈rows / group⌉, columns], or [units] for flat ones. */
  readonly shape: readonly number[];
  /** The number of units. */
  readonly count: number;
  /** The number of weights in the largest unit. */
  readonly largest: number;
  /** Weights that follow one another in a column, or in the flattened transpose. */
  private readonly length: number;

  /** @throws ConfigError unless `group` is a {@link Group}. */
  constructor(
    private readonly matrix: readonly [number, number],
    readonly group: Group,
  ) {
    const [rows, columns] = matrix;
    checkGroup('units', group, group);
    if (typeof group === 'object') {
      this.length = Math.min(group.flat, rows * columns);
      this.shape = [Math.ceil((rows * columns) / this.length)];
    } else if (group === 'tensor') {
      this.length = rows * columns;
      this.shape = [1, 1];
    } else {
      this.length = group === 'channel' ? rows : Math.min(group, rows);
      this.shape = [Math.ceil(rows / this.length), columns];
    }
    this.largest = this.length;
    this.count = this.shape.reduce((product, size) => product * size, 1);
  }

  /** The unit of the weight at a row and column, as an index into the scales. */
  unitAt(row: number, column: number): number {
    if (this.group === 'tensor') return 0;
    const [rows, columns] = this.matrix;
    if (typeof this.group === 'object') return Math.floor((column * rows + row) / this.length);
    return Math.floor(row / this.length) * columns + column;
  }

  /** The number of weights in a unit. */
  size(unit: number): number {
    const [rows, columns] = this.matrix;
    if (this.group === 'tensor') return this.length;
    const along = typeof this.group === 'object' ? rows * columns : rows;
    const first = (typeof this.group === 'object' ? unit : Math.floor(unit / columns)) * this.length;
    return Math.min(this.length, along - first);
  }

  /** Copies a unit's weights, one after the other, and returns how many. */
  gather(values: ArrayLike<number>, unit: number, into: {[index: number]: number}): number {
    let at = 0;
    for (const {start, stride, count} of this.runs(unit)) {
      for (let k = 0, from = start; k < count; k++, from += stride) into[at++] = values[from]!;
    }
    return at;
  }

  /** Copies values to the places of a unit's weights: the inverse of {@link gather}. */
  scatter(from: ArrayLike<number>, unit: number, into: {[index: number]: number}): void {
    let at = 0;
    for (const {start, stride, count} of this.runs(unit)) {
      for (let k = 0, to = start; k < count; k++, to += stride) into[to] = from[at++]!;
    }
  }

  private runs(unit: number): Run[] {
    const [rows, columns] = this.matrix;
    const count = this.size(unit);
    if (this.group === 'tensor') return [{start: 0, stride: 1, count}];
    if (typeof this.group !== 'object') {
      const row = Math.floor(unit / columns) * this.length;
      return [{start: row * columns + (unit % columns), stride: columns, count}];
    }
    const runs: Run[] = [];
    const end = unit * this.length + count;
    for (let at = unit * this.length; at < end; ) {
      const [row, column] = [at % rows, Math.floor(at / rows)];
      const length = Math.min(rows - row, end - at);
      runs.push({start: row * columns + column, stride: columns, count: length});
      at += length;
    }
    return runs;
  }
}
