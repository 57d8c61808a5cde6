/** What a browser page runs of the conformance table; bundled by chromium.ts. */
import * as tf from '@tensorflow/tfjs';
import {usePageBackend} from '@tfjs-peft/testing/page-backend';
import '../auto.js';
import '../gradients.js';
import {moduleBytes} from '../backends/wasm/attach.js';
import {wordBitsOfBackend} from '../packed/words.js';
import {adamDeviation, adamKernels, adamSwitchDeviation} from './adam-cases.js';
import {combineCases, headCases} from './combine-cases.js';
import {forwardDeviation, gradientDeviations} from './combine-run.js';
import {deviationFromCpu, GRADIENT_CASES} from './gradient-cases.js';
import {misfits} from './kernel-cases.js';
import {inexact, PACKED_CASES, packedDeviation, unpackDeviation, widerWords} from './packed-cases.js';
import {scalesOff} from './scale-cases.js';
import {smallOpDeviation} from './small-ops.js';
import {SPARSE_CASES, sparseDeviations} from './sparse-cases.js';

const cases = [...combineCases(144), ...headCases()];

const page = {
  use: usePageBackend,
  /** The same with textures of halves, as many phones have them. */
  useHalves(): Promise<string> {
    tf.env().set('WEBGL_FORCE_F16_TEXTURES', true);
    return usePageBackend('webgl');
  },
  /** Whether the engine takes the module with fused multiply-adds, as Chromium does and Node 20 does not. */
  isRelaxed: (): boolean => WebAssembly.validate(moduleBytes(true)),
  /** Whether the wasm backend's heap is shared memory, as that of its threaded build is. */
  isShared(): boolean {
    const {wasm} = tf.backend() as unknown as {wasm: {HEAPU8: Uint8Array}};
    return wasm.HEAPU8.buffer.constructor.name === 'SharedArrayBuffer';
  },
  name: (i: number): string => cases[i]!.name,
  async check(i: number): Promise<{forward: number; gradient: number}> {
    const c = cases[i]!;
    const forward = await forwardDeviation(c);
    const gradient = Math.max(...Object.values(await gradientDeviations(c)));
    return {forward, gradient};
  },
  /**
   * How far a top-k mixture's chosen experts alone are from all of them, in outputs and gradients; see
   * sparse-cases.ts.
   */
  sparse: (i: number): number => Math.max(...sparseDeviations(SPARSE_CASES[i]!)),
  /**
   * How far Adam is from the reference, and from the stock one where the two take turns; and the kernels of
   * its step.
   */
  adam: async (): Promise<{off: number; switched: number; kernels: string[]}> => ({
    off: await adamDeviation(),
    switched: await adamSwitchDeviation(),
    kernels: await adamKernels(),
  }),
  /** The calls of kernels with inputs that do not fit which were taken all the same. */
  async misfits(): Promise<string[]> {
    const {wrong} = misfits();
    // A GPU is still compiling the shaders of the calls that fit, for which the next test would wait.
    await tf.tidy(() => tf.add(tf.ones([2]), 1)).data();
    return wrong;
  },
  scalesOff,
  inexact,
  widerWords,
  /** How far a product with a packed matrix, and its rows, are from float64. */
  async packed(i: number): Promise<{product: number; rows: number}> {
    const c = PACKED_CASES[i]!;
    return {product: await packedDeviation(c), rows: await unpackDeviation(c)};
  },
  wordBits: wordBitsOfBackend,
  /** How far an op around the products is from float64, case by case. */
  smallOp: smallOpDeviation,
  /**
   * The largest deviation of the supplied gradients from those on cpu, by name, of the cases that are off by
   * 1e-4 or more.
   */
  async gradientsOff(): Promise<Record<string, number>> {
    const off: Record<string, number> = {};
    for (const [i, [name]] of GRADIENT_CASES.entries()) {
      const by = await deviationFromCpu(i, tf.getBackend());
      if (!(by < 1e-4)) off[name] = by;
    }
    return off;
  },
  leaked: async (i: number): Promise<number> => {
    await forwardDeviation(cases[i]!);
    const before = tf.memory().numTensors;
    for (let n = 0; n < 5; n++) await gradientDeviations(cases[i]!);
    return tf.memory().numTensors - before;
  },
};

export type Page = typeof page;
(globalThis as {page?: Page}).page = page;
