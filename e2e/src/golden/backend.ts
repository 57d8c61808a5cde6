import * as tf from '@tensorflow/tfjs-core';

const LOADERS: Record<string, () => Promise<unknown>> = {
  cpu: () => Promise.all([import('@tensorflow/tfjs-backend-cpu'), import('@tfjs-peft/kernels/cpu')]),
  wasm: () => Promise.all([import('@tensorflow/tfjs-backend-wasm'), import('@tfjs-peft/kernels/wasm')]),
};

/** Makes a backend current, with this project's kernels registered for it. */
export async function useBackend(name: string): Promise<void> {
  const load = Object.hasOwn(LOADERS, name) ? LOADERS[name] : undefined;
  if (!load) throw new Error(`unknown backend ${name}; known are ${Object.keys(LOADERS).join(', ')}`);
  await load();
  if (!(await tf.setBackend(name))) throw new Error(`the ${name} backend did not start`);
  await tf.ready();
}
