import {Worker} from 'node:worker_threads';
import type {Head} from '../../tools/probe/linear.js';
import type {Backend} from '../common/options.js';
import type {ParameterStart} from '../common/parameters.js';
import type {Addition} from './addition.js';
import type {BaseModel} from './encoders/load.js';
import type {Gradients, TokenBatch, TrainingPart, Work} from './member.js';

/** A job for the thread, and what comes back. */
export interface Call {
  id: number;
  method: keyof Work;
  args: unknown[];
}

export interface Answer {
  id: number;
  value?: unknown;
  error?: string;
}

/** A {@link Work} done in another thread. */
export class RemoteMember implements Work {
  private readonly worker: Worker;
  private readonly waiting = new Map<number, {resolve(value: unknown): void; reject(error: Error): void}>();
  private calls = 0;
  private failure: Error | undefined;

  constructor(base: BaseModel, backend: Backend) {
    this.worker = new Worker(new URL('./worker.js', import.meta.url), {workerData: {base, backend}});
    this.worker.on('message', ({id, value, error}: Answer) => {
      const {resolve, reject} = this.waiting.get(id)!;
      this.waiting.delete(id);
      this.hold();
      if (error === undefined) resolve(value);
      else reject(new Error(error));
    });
    const fail = (error: Error) => {
      this.failure = error;
      for (const {reject} of this.waiting.values()) reject(error);
      this.waiting.clear();
    };
    this.worker.on('error', fail);
    this.worker.on('exit', () => fail(new Error('the second thread has ended')));
    this.hold();
  }

  adapt(adapter: Addition, seed: number, heads: Head[]): Promise<ParameterStart[]> {
    return this.call('adapt', adapter, seed, heads);
  }

  assign(values: Float32Array[]): Promise<void> {
    return this.call('assign', values);
  }

  load(folder: string): Promise<void> {
    return this.call('load', folder);
  }

  encode(batch: TokenBatch): Promise<Float32Array> {
    return this.call('encode', batch);
  }

  gradients(part: TrainingPart): Promise<Gradients> {
    return this.call('gradients', part);
  }

  release(): Promise<void> {
    return this.call('release');
  }

  private call<T>(method: keyof Work, ...args: unknown[]): Promise<T> {
    if (this.failure !== undefined) return Promise.reject(this.failure);
    const call: Call = {id: this.calls++, method, args};
    return new Promise<T>((resolve, reject) => {
      this.waiting.set(call.id, {resolve: resolve as (value: unknown) => void, reject});
      this.hold();
      this.worker.postMessage(call);
    });
  }

  /** An idle thread must not keep the process alive. */
  private hold(): void {
    if (this.waiting.size > 0) this.worker.ref();
    else this.worker.unref();
  }
}
