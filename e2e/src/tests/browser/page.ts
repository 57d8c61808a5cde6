/** The scenario in a page of a browser; opened by browser.test.ts. */
import * as tf from '@tensorflow/tfjs';
import {usePageBackend} from '@tfjs-peft/testing/page-backend';
import '@tfjs-peft/kernels/auto';
import {ADAPTERS, type Life, liveAndSave, loadAndRun} from './scenario.js';

const page = {
  use: usePageBackend,
  /**
   * The life of an adapter, which is saved in the browser's database and loaded from
   * there; and downloaded, as two files.
   */
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
