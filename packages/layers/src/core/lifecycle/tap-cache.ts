import * as tf from '@tensorflow/tfjs-core';
import {ConfigError} from '@tfjs-peft/kernels';
import {plainSha256} from '../io/sha256.js';
import {packedOf} from '../tfjs/packed-variable.js';

/** What a base gives for samples, with null where there is nothing, such as no mask. */
export type Outputs = readonly (tf.Tensor | null)[];

/**
 * What a frozen base gives for samples that it has seen, a row for each. A sample is known by a SHA-256 of
 * its inputs, so whoever shuffles, splits and batches need not know of it. All rows go when a weight of the
 * base has changed.
 */
export class TapCache {
  private readonly rows = new Map<string, Outputs>();
  private held = 0;
  private base: readonly unknown[] = [];

  /** @param limit Bytes that it holds at most. Samples that come later are computed each time. */
  constructor(readonly limit: number) {}

  get samples(): number {
    return this.rows.size;
  }

  get bytes(): number {
    return this.held;
  }

  /** Forgets all rows if these are not the weights, or not the values of weights, of the last call. */
  follow(weights: readonly tf.Tensor[]): void {
    // The codes of a packed weight are its values: its dataId would unpack them.
    const now = weights.map((weight) => packedOf(weight) ?? weight.dataId);
    if (now.length === this.base.length && now.every((value, i) => value === this.base[i])) return;
    this.clear();
    this.base = now;
  }

  /** A batch by the keys of its samples. */
  batch(keys: readonly string[]): CachedBatch {
    return new CachedBatch(this, keys);
  }

  get isFull(): boolean {
    return this.held >= this.limit;
  }

  get(key: string): Outputs | undefined {
    return this.rows.get(key);
  }

  /** Keeps a row, if there is room. */
  add(key: string, row: Outputs): void {
    const tensors = row.filter((each) => each !== null);
    const bytes = tensors.reduce((sum, {size, dtype}) => sum + size * tf.util.bytesPerElement(dtype), 0);
    if (this.held + bytes > this.limit || this.rows.has(key)) return;
    for (const tensor of tensors) tf.keep(tensor);
    this.rows.set(key, row);
    this.held += bytes;
  }

  clear(): void {
    for (const row of this.rows.values()) tf.dispose(row.filter((each) => each !== null));
    this.rows.clear();
    this.held = 0;
  }
}

/** A batch of which some samples are known. */
class CachedBatch {
  /** Places of samples that have to be computed, each sample once. */
  readonly missing: number[] = [];
  private readonly fresh = new Map<string, number>();

  constructor(
    private readonly cache: TapCache,
    private readonly keys: readonly string[],
  ) {
    for (const [i, key] of keys.entries()) {
      if (cache.get(key) !== undefined || this.fresh.has(key)) continue;
      this.fresh.set(key, this.missing.length);
      this.missing.push(i);
    }
  }

  /** What has to be computed, of tensors with a row for each sample of the batch. */
  inputs(all: readonly tf.Tensor[]): tf.Tensor[] {
    if (this.missing.length === this.keys.length) return all.map((each) => tf.clone(each));
    return all.map((each) => tf.gather(each, tf.tensor1d(this.missing, 'int32')));
  }

  /**
   * The rows of the whole batch; those that were computed are kept.
   *
   * @param computed What the base gave for {@link inputs}; empty if nothing was missing.
   * @throws ConfigError if it has not a row for each sample.
   */
  join(computed: Outputs): Outputs {
    const {cache, keys, missing} = this;
    checkRows(computed, missing.length);
    const allComputed = missing.length === keys.length;
    const joined = (): Outputs => {
      if (allComputed && cache.isFull) return computed.map((each) => each && tf.clone(each));
      const rows = computed.map((each) => each && tf.split(each, missing.length, 0));
      for (const [key, at] of this.fresh) {
        cache.add(
          key,
          rows.map((each) => each && each[at]!),
        );
      }
      if (allComputed) return computed.map((each) => each && tf.clone(each));
      const all = keys.map((key) => {
        const at = this.fresh.get(key);
        return at === undefined ? cache.get(key)! : rows.map((each) => each && each[at]!);
      });
      return all[0]!.map(
        (first, i) =>
          first &&
          tf.concat(
            all.map((row) => row[i]!),
            0,
          ),
      );
    };
    // tfjs lets null pass, and its type does not say so.
    return tf.tidy(() => joined() as tf.Tensor[]);
  }
}

/** @throws ConfigError if a tensor has not so many rows. */
export function checkRows(tensors: Outputs, rows: number): void {
  const other = tensors.find((each) => each !== null && each.shape[0] !== rows);
  if (other === undefined) return;
  throw new ConfigError(
    `cacheBytes: the base gives or takes [${other!.shape}] for ${rows} sample(s), which is not a row for each. ` +
      'Leave cacheBytes out.',
  );
}

/**
 * Keys of samples.
 *
 * @param inputs What the base takes, with a row for each sample; no strings.
 * @param values Their values.
 * @param wanted What is computed of them, if that differs between calls.
 * @throws ConfigError if the inputs have no row for each sample, or are of strings.
 */
export function sampleKeys(
  inputs: readonly tf.Tensor[],
  values: readonly tf.TypedArray[],
  wanted = '',
): string[] {
  const rows = inputs[0]?.shape[0] ?? 0;
  checkRows(inputs, rows);
  if (inputs.some(({dtype}) => dtype === 'string'))
    throw new ConfigError('cacheBytes: the model takes strings. Leave cacheBytes out.');
  const head = JSON.stringify([wanted, ...inputs.map(({dtype, shape}) => [dtype, ...shape.slice(1)])]);
  const sizes = values.map(({byteLength}) => byteLength / rows);
  const sample = new Uint8Array(sizes.reduce((sum, size) => sum + size, 0));
  return Array.from({length: rows}, (_, row) => {
    let at = 0;
    for (const [i, {buffer, byteOffset}] of values.entries()) {
      sample.set(new Uint8Array(buffer as ArrayBuffer, byteOffset + row * sizes[i]!, sizes[i]!), at);
      at += sizes[i]!;
    }
    return head + String.fromCharCode(...plainSha256(sample));
  });
}
