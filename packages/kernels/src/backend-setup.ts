import * as tf from '@tensorflow/tfjs-core';
import {shared} from './shared.js';

type Listener = (backend: tf.KernelBackend) => void;

const listeners = shared('kernels.setup', () => new Map<string, Listener[]>());

/**
 * Calls `listener` with the backend of that name: now, if it runs, and each time that it becomes the active one. So what is done to a
 * backend's kernels does not depend on whether it is imported before this package or after: tfjs lets every kernel set itself up when its
 * backend becomes active, and this is a kernel that does nothing else.
 */
export function onBackend(backendName: string, listener: Listener): void {
  let known = listeners.get(backendName);
  if (known === undefined) {
    known = [];
    listeners.set(backendName, known);
    const list = known;
    tf.registerKernel({
      kernelName: 'PeftSetup',
      backendName,
      setupFunc: (backend) => {
        for (const each of list) each(backend as tf.KernelBackend);
      },
      kernelFunc: () => [],
    });
  }
  known.push(listener);
  const running = tf.engine().registry[backendName];
  if (running !== undefined) listener(running);
}
