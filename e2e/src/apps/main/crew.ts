import {availableParallelism} from 'node:os';
import {breathe} from '../../tools/command/breathe.js';
import type {Head} from '../../tools/probe/linear.js';
import type {Backend} from '../common/options.js';
import type {ParameterStart} from '../common/parameters.js';
import type {Addition} from './addition.js';
import type {Texts} from './corpus.js';
import type {Encoder} from './encoders/encoder.js';
import {type BaseModel, loadEncoder} from './encoders/load.js';
import {type Gradients, Member, type TokenBatch, type TrainingPart, type Work} from './member.js';
import {RemoteMember} from './remote.js';

/** Parts of a training batch, fixed so that a result does not depend on how many threads there were. */
export const PARTS = 2;
/**
 * Tokens of one forward pass, padding included: large enough that calls cost
 * nothing, small enough for the caches.
 */
const TOKENS_A_BATCH = 1024;
/** Jobs that a remote member has at a time: the next one lies ready while this thread is busy. */
const JOBS_AHEAD = 2;

/**
 * The encoder, once a thread: this one and, where there is a second core, another. What is computed does not
 * depend on how many there are, or on who does what.
 */
export class Crew {
  private constructor(
    /** The member in this thread, whose model is the one that is saved. */
    readonly local: Member,
    private readonly remote: RemoteMember[],
  ) {}

  /**
   * The backend must be the current one. Backends other than wasm and cpu use
   * the machine well from one thread.
   */
  static async gather(base: BaseModel, backend: Backend): Promise<Crew> {
    const threads = backend === 'wasm' || backend === 'cpu' ? Math.min(PARTS, availableParallelism()) : 1;
    const remote = Array.from({length: threads - 1}, () => new RemoteMember(base, backend));
    return new Crew(new Member(await loadEncoder(base)), remote);
  }

  /** This thread's model. */
  get encoder(): Encoder {
    return this.local.encoder;
  }

  /** Width of a text's vector. */
  get width(): number {
    return this.encoder.width;
  }

  private get members(): Work[] {
    return [...this.remote, this.local];
  }

  /** See {@link Work.adapt}. */
  async adapt(adapter: Addition, seed: number, heads: Head[]): Promise<ParameterStart[]> {
    const starts = await Promise.all(this.members.map((member) => member.adapt(adapter, seed, heads)));
    return starts.at(-1)!;
  }

  async assign(values: Float32Array[]): Promise<void> {
    await Promise.all(this.members.map((member) => member.assign(values)));
  }

  async load(folder: string): Promise<void> {
    await Promise.all(this.members.map((member) => member.load(folder)));
  }

  async release(): Promise<void> {
    await Promise.all(this.members.map((member) => member.release()));
  }

  /** Loss and gradients of a batch in {@link PARTS} parts: their sums. */
  async gradients(parts: TrainingPart[]): Promise<Gradients> {
    const {members} = this;
    const done = await Promise.all(parts.map((part, i) => members[i % members.length]!.gradients(part)));
    return done.reduce(({loss, gradients}, part) => ({
      loss: loss + part.loss,
      gradients: gradients.map((own, i) => sum(own, part.gradients[i])),
    }));
  }

  /**
   * Vectors of many texts, row-major [texts, width], in the order of the texts. Batches hold
   * texts of like length, so that little is computed on padding; the same texts always make the
   * same batches, hence the same bits.
   *
   * @param onTexts told how many texts were done; may throw to stop.
   */
  async encodeAll(texts: Texts, onTexts: (count: number) => void = () => {}): Promise<Float32Array> {
    const {width} = this;
    const {tokens} = texts;
    const vectors = new Float32Array(tokens.length * width);
    const batches = batchesOf(tokens);
    let next = 0;
    const work = async (member: Work) => {
      while (next < batches.length) {
        const rows = batches[next++]!;
        const values = await member.encode(tokenBatch(texts, rows));
        rows.forEach((i, row) => {
          vectors.set(values.subarray(row * width, (row + 1) * width), i * width);
        });
        await breathe();
        try {
          onTexts(rows.length);
        } catch (error) {
          next = batches.length;
          throw error;
        }
      }
    };
    const remote = this.remote.flatMap((member) => Array.from({length: JOBS_AHEAD}, () => work(member)));
    await Promise.all([...remote, work(this.local)]);
    return vectors;
  }
}

function sum(a: Float32Array | undefined, b: Float32Array | undefined): Float32Array | undefined {
  if (a === undefined || b === undefined) return a ?? b;
  return a.map((value, i) => value + b[i]!);
}

/** Some of the texts, padded to the longest of them. */
export function tokenBatch({tokens, context}: Texts, rows: number[]): TokenBatch {
  const own = rows.map((row) => tokens[row]!);
  return {
    tokens: own,
    length: Math.max(1, ...own.map(({length}) => length)),
    ...(context && {context: rows.map((row) => context[row]!)}),
  };
}

/** Rows by rising length, cut where the longest times the rows would be too many tokens. */
function batchesOf(tokens: Int32Array[]): number[][] {
  const byLength = tokens.map((_, i) => i).sort((a, b) => tokens[a]!.length - tokens[b]!.length || a - b);
  const batches: number[][] = [];
  let batch: number[] = [];
  for (const row of byLength) {
    if (batch.length > 0 && (batch.length + 1) * tokens[row]!.length > TOKENS_A_BATCH) {
      batches.push(batch);
      batch = [];
    }
    batch.push(row);
  }
  if (batch.length > 0) batches.push(batch);
  return batches;
}
