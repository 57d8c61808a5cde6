/** Tells tfjs-core's specs which backend to run on: they ask on import, so this is imported before them. */

import type {Flags} from '@tensorflow/tfjs-core/dist/environment.js';
import {setTestEnvs} from '@tensorflow/tfjs-core/dist/jasmine_util.js';

/** The bundler puts the name in. */
declare const BACKEND: string;

/**
 * Small tensors must not go to the cpu backend, nor into uniforms: these are the
 * settings of tfjs's own test runs.
 */
const FLAGS: Record<string, Flags> = {
  webgl: {WEBGL_VERSION: 2, WEBGL_CPU_FORWARD: false, WEBGL_SIZE_UPLOAD_UNIFORM: 0},
  webgpu: {WEBGPU_CPU_FORWARD: false},
};

setTestEnvs([
  {
    name: `test-${BACKEND}`,
    backendName: BACKEND,
    flags: FLAGS[BACKEND],
    isDataSync: BACKEND !== 'webgpu',
  },
]);
