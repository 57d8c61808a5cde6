import {ConfigError} from '@tfjs-peft/kernels';
import {type BatchIterator, checkBatch, disposeBatch, type GraphBatch, type Source} from './batches.js';

/**
 * The passes over some data, one after the other. A pass starts when its first batch is asked for, and is
 * ended, by `return` if it has one, when it is left early.
 */
export class Passes {
  private running: BatchIterator | undefined;
  private waiting: GraphBatch | undefined;
  private count = 0;

  /** @param what Errors call the data so. */
  constructor(
    private readonly source: Source,
    private readonly what: string,
  ) {}

  get size(): number | null {
    return this.source.size ?? null;
  }

  /**
   * The first batch, which the first pass gives again.
   *
   * @throws ConfigError if there is none.
   */
  async first(): Promise<GraphBatch> {
    this.waiting ??= (await this.start())!;
    return this.waiting;
  }

  /** Starts a new pass: each call gives the next batch, and undefined once there are no more. */
  pass(): () => Promise<GraphBatch | undefined> {
    let state: 'new' | 'running' | 'ended' = 'new';
    return async () => {
      if (state === 'ended') return undefined;
      let batch: GraphBatch | undefined;
      if (state === 'running') batch = await this.next();
      else {
        state = 'running';
        batch = this.waiting ?? (await this.start());
        this.waiting = undefined;
      }
      if (batch === undefined) state = 'ended';
      return batch;
    };
  }

  /** Ends the pass that is running. */
  async end(): Promise<void> {
    const {running, waiting} = this;
    this.running = undefined;
    this.waiting = undefined;
    if (waiting !== undefined) disposeBatch(waiting);
    await running?.return?.();
  }

  private async start(): Promise<GraphBatch> {
    await this.end();
    this.running = await this.source.iterator();
    const batch = await this.next();
    this.count++;
    if (batch !== undefined) return batch;
    throw new ConfigError(
      this.count === 1
        ? `${this.what} has no batches. Pass at least one.`
        : `${this.what} has no batches left for pass ${this.count}. Pass the function that ` +
            'creates it; it is called for each pass.',
    );
  }

  private async next(): Promise<GraphBatch | undefined> {
    const result = await this.running?.next();
    if (result === undefined || result.done) {
      // The pass has ended by itself, so its `return` need not be called.
      this.running = undefined;
      return undefined;
    }
    return checkBatch(result.value);
  }
}
