import {createRequire} from 'node:module';
import {dirname, join} from 'node:path';
import * as tf from '@tensorflow/tfjs-core';

const require = createRequire(import.meta.url);

/**
 * What a worker of tfjs's threaded wasm build runs in Node: the worker script that the package
 * ships, told where its glue lies.
 */
function workerScript(folder: string): string {
  const glue = JSON.stringify(join(folder, 'tfjs-backend-wasm-threaded-simd.js'));
  const worker = JSON.stringify(join(folder, 'tfjs-backend-wasm-threaded-simd.worker.js'));
  return `
    URL.createObjectURL = () => ${glue};
    URL.revokeObjectURL = () => {};
    Object.assign(globalThis, {require, __filename: ${glue}, __dirname: ${JSON.stringify(folder)}});
    const {wasmWorkerContents} = require(${worker});
    require('vm').runInThisContext(wasmWorkerContents.replace(/\\n/g, '\\\\n'));`;
}

/**
 * Makes tfjs's wasm backend start with so many threads in Node, where tfjs 4.22 has none: its workers'
 * scripts are Blobs, which Node's workers refuse, and it takes at most half of the processors. To be called
 * before that backend starts.
 */
export async function useThreads(count: number): Promise<void> {
  const folder = join(dirname(require.resolve('@tensorflow/tfjs-backend-wasm/package.json')), 'wasm-out');
  const threads = require('node:worker_threads') as typeof import('node:worker_threads');
  const {Worker} = threads;
  threads.Worker = class extends Worker {
    constructor(script: string | URL, options?: import('node:worker_threads').WorkerOptions) {
      if (typeof script === 'string' && script.startsWith('blob:')) {
        super(workerScript(folder), {...options, eval: true});
      } else super(script, options);
    }
  };
  const os = require('node:os') as typeof import('node:os');
  const {cpus} = os;
  os.cpus = () => {
    const real = cpus();
    return Array.from({length: Math.max(real.length, 2 * count)}, (_, i) => real[i % real.length]!);
  };
  const {setThreadsCount} = await import('@tensorflow/tfjs-backend-wasm');
  tf.env().set('WASM_HAS_MULTITHREAD_SUPPORT', true);
  setThreadsCount(count);
}

/** @throws Error if the backend runs on another number of threads than was asked for. */
export async function checkThreads(count: number): Promise<void> {
  const {getThreadsCount} = await import('@tensorflow/tfjs-backend-wasm');
  if (getThreadsCount() !== count)
    throw new Error(`the wasm backend has ${getThreadsCount()} threads, not ${count}`);
}
