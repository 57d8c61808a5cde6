/** The scenario in a page of a browser; opened by browser.test.ts. */
import * as tf from '@tensorflow/tfjs';
import {setWasmPaths} from '@tensorflow/tfjs-backend-wasm';
import '@tensorflow/tfjs-backend-webgpu';
import '@tfjs-peft/kernels/auto';
import {ADAPTERS, type Life, liveAndSave, loadAndRun} from './scenario.js';

const page = {
  /** Makes the backend active; returns its name, which differs if it could not be. */
  async use(backend: string): Promise<string> {
    setWasmPaths('/files/');
    await tf.setBackend(backend);
    await tf.ready();
    // Small tensors would be computed by the cpu backend.
    for (const flag of ['WEBGL_CPU_FORWARD', 'WEBGPU_CPU_FORWARD']) tf.env().set(flag, false);
    tf.env().set('WEBGL_SIZE_UPLOAD_UNIFORM', 0);
    return tf.getBackend();
  },
  /** The life of an adapter, which is saved in the browser's database and loaded from there; and downloaded, as two files. */
  async live(i: number): Promise<Life & {again: number[]; leaked: number}> {
    const name = `${tf.getBackend()}-${ADAPTERS[i]!.type}`;
    const before = tf.memory().numTensors;
    const life = await liveAndSave(ADAPTERS[i]!, [`indexeddb://${name}`, `downloads://${name}`]);
    const again = await loadAndRun(`indexeddb://${name}`);
    return {...life, again, leaked: tf.memory().numTensors - before};
  },
};

export type Page = typeof page;
(globalThis as {page?: Page}).page = page;
