/** Runs the cases of unregister-cases.ts in a browser. */
import './stock.js';
import {setWasmPaths} from '@tensorflow/tfjs-backend-wasm';
import * as tf from '@tensorflow/tfjs-core';
import {unregisterProblems} from './unregister-cases.js';

Object.assign(globalThis, {
  async check(backend: string) {
    setWasmPaths('/files/');
    await tf.setBackend(backend);
    await tf.ready();
    return {active: tf.getBackend(), ...unregisterProblems()};
  },
});
