import * as tf from '@tensorflow/tfjs-core';
import {BackendError} from '../errors.js';
import type {KernelAttrs, KernelInputs, KernelName, KernelOutput, PeftKernels} from '../kernel-map.js';
import {type CallAttrs, isRecording, packInputs, peftKernelPatches} from '../kernel-registry.js';
import {applyOnDemand} from '../patches.js';
import * as composed from './composed/kernels.generated.js';
import {peftGradient} from './gradients.js';

const FUSED = new Set(['cpu', 'wasm', 'webgl', 'webgpu']);
const warned = new Set<string>();

let checked = false;

/**
 * Where a page holds two copies of tfjs-core, the second one works on the first one's engine: kernels still
 * run, but classes that tfjs-layers looks up, and backends, belong to one copy only, which fails later and
 * elsewhere.
 */
function checkSingleCopy(): void {
  if (checked) return;
  const probe = tf.scalar(0);
  const own = probe.constructor === tf.Tensor;
  probe.dispose();
  if (!own) {
    throw new BackendError(
      'Two copies of @tensorflow/tfjs-core are loaded: tfjs-peft imports one, and another one created the ' +
        'engine. Install one version ' +
        "(npm ls @tensorflow/tfjs-core, npm dedupe), and do not mix a <script> tag's tfjs with a bundled " +
        'one.',
    );
  }
  checked = true;
}

/** Whether the active backend has a kernel. */
export function hasKernel(kernelName: KernelName): boolean {
  return tf.getKernel(kernelName, tf.getBackend()) != null;
}

/** Gives a backend the kernels that it lacks, composed of tfjs's ops. */
export function composeMissing(backendName: string): void {
  // They work on tensors, which the engine passes to every kernel, though its types promise less.
  const kernels = composed as unknown as PeftKernels;
  const patches = peftKernelPatches(backendName, kernels, 'composed');
  applyOnDemand(patches.filter(({slot}) => slot.read() === undefined));
}

/** Makes sure that the active backend can run a kernel, and that the tape finds its gradient. */
function ensure(kernelName: KernelName): void {
  if (isRecording() && tf.getGradient(kernelName) == null) applyOnDemand(peftGradient(kernelName));
  if (hasKernel(kernelName)) return;
  const backendName = tf.getBackend();
  if (!hasKernel('PeftMatMul') && FUSED.has(backendName) && !warned.has(backendName)) {
    warned.add(backendName);
    console.warn(
      `tfjs-peft: the fused kernels of the ${backendName} backend are not registered, so stock ops do ` +
        'their work, slowly. ' +
        `Add: import '@tfjs-peft/kernels/auto'`,
    );
  }
  composeMissing(backendName);
}

/**
 * Runs a kernel of ours on the active backend, through the gradient tape if one is recording.
 *
 * @param leading The axes before the last of those inputs that have a row for each position, if any has more
 * than two axes; see leading-axes.ts.
 */
export function runPeftKernel<Name extends KernelName>(
  kernelName: Name,
  inputs: KernelInputs<Name, tf.Tensor>,
  attrs: KernelAttrs<Name>,
  {leading, saveY}: Pick<CallAttrs, 'leading' | 'saveY'> = {},
): KernelOutput<Name, tf.Tensor> {
  checkSingleCopy();
  ensure(kernelName);
  const {packed, names} = packInputs(kernelName, inputs);
  const deep = leading !== undefined && Object.values(packed).some(({rank}) => rank > 2);
  const all = {...(attrs as object), ...(names && {names}), ...(deep && {leading}), ...(saveY && {saveY})};
  // tfjs's types describe the attributes of its own kernels; ours come back unchanged, with the outputs of
  // the row.
  return tf
    .engine()
    .runKernel(kernelName, packed, all as unknown as tf.NamedAttrMap) as unknown as KernelOutput<
    Name,
    tf.Tensor
  >;
}
