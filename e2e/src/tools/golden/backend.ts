import * as tf from '@tensorflow/tfjs-core';
import {installDawn, watchGpu} from '@tfjs-peft/testing/dawn';

/** Each loads a backend and our kernels for it; webgpu and webgl return the GPU's name. */
const LOADERS: Record<string, () => Promise<string | undefined>> = {
  cpu: async () => {
    await Promise.all([import('@tensorflow/tfjs-backend-cpu'), import('@tfjs-peft/kernels/cpu')]);
    return undefined;
  },
  wasm: async () => {
    await Promise.all([
      import('@tensorflow/tfjs-backend-wasm'),
      import('@tfjs-peft/kernels/wasm'),
      // The gradient of a lookup takes a kernel that the stock backend lacks.
      import('@tfjs-peft/kernels/wasm-training'),
    ]);
    return undefined;
  },
  webgpu: async () => {
    const gpu = await installDawn();
    await import('@tensorflow/tfjs-backend-webgpu');
    await Promise.all([import('@tensorflow/tfjs-backend-cpu'), import('@tfjs-peft/kernels/webgpu')]);
    return gpu;
  },
  webgl: async () => {
    await Promise.all([
      import('@tensorflow/tfjs-backend-webgl'),
      import('@tensorflow/tfjs-backend-cpu'),
      import('@tfjs-peft/kernels/webgl'),
    ]);
    const canvas = document.createElement('canvas').getContext('webgl2');
    const names = canvas?.getExtension('WEBGL_debug_renderer_info');
    return names ? String(canvas!.getParameter(names.UNMASKED_RENDERER_WEBGL)) : undefined;
  },
};

/** Whether a backend runs in a page of a browser only: not in this process, if this is Node. */
export function needsPage(name: string): boolean {
  return name === 'webgl' && typeof document === 'undefined';
}

export const BACKENDS = Object.keys(LOADERS).join('|');

let errors: string[] = [];

/**
 * Makes a backend current, with this project's kernels registered for it. Returns the
 * name of the GPU, if it runs on one.
 */
export async function useBackend(name: string): Promise<string | undefined> {
  const load = Object.hasOwn(LOADERS, name) ? LOADERS[name] : undefined;
  if (!load) throw new Error(`unknown backend ${name}; known are ${Object.keys(LOADERS).join(', ')}`);
  const gpu = await load();
  if (!(await tf.setBackend(name))) throw new Error(`the ${name} backend did not start`);
  await tf.ready();
  // Else the cpu backend computes what is small, in silence.
  if (name === 'webgl') tf.env().set('WEBGL_CPU_FORWARD', false);
  if (name === 'webgpu') errors = watchGpu();
  return gpu;
}

/**
 * Fails if the GPU refused anything since the last call: a wrong program never throws, it just leaves zeros.
 *
 * @throws Error with the first line of the first validation error.
 */
export function checkBackend(): void {
  const [first] = errors.splice(0);
  if (first !== undefined) throw new Error(`WebGPU validation failed: ${first.split('\n')[0]}`);
}
