// First of all, while tfjs has nothing of ours yet.
import './stock.js';
import * as tf from '@tensorflow/tfjs-core';
import * as auto from '../auto.js';
import * as cpu from '../cpu.js';
import * as gradients from '../gradients.js';
import {combine, patchReasons} from '../index.js';
import * as wasm from '../wasm.js';
import * as training from '../wasm-training.js';
import * as webgl from '../webgl.js';
import * as webgpu from '../webgpu.js';
import {type Registries, registries, STOCK} from './stock.js';

/** All that there are; `auto` is four of them. */
const ENTRIES = {auto, cpu, wasm, webgl, webgpu, gradients, training};

const registerAll = (): void => {
  for (const entry of Object.values(ENTRIES)) entry.register();
};
const unregisterAll = (): void => {
  for (const entry of Object.values(ENTRIES)) entry.unregister();
};

/** The names whose values differ. */
function differences(a: Registries, b: Registries): string[] {
  return [...new Set([...a.keys(), ...b.keys()])].filter((name) => a.get(name) !== b.get(name)).sort();
}

/** What each value is there for: the same after every registration, though the functions are made anew. */
function reasons(of: Registries): string[] {
  return [...of]
    .map(([name, value]) => {
      const {kernelFunc, gradFunc} = value as {kernelFunc?: object; gradFunc?: object};
      return `${name}: ${patchReasons(kernelFunc ?? gradFunc ?? (value as object))}`;
    })
    .sort();
}

function useOps(): void {
  tf.tidy(() =>
    tf.grad((x) => tf.sum(combine({x, kernel: tf.ones([3, 2]), activation: 'gelu'})))(tf.ones([2, 3])),
  );
}

/**
 * Takes all entry points out and registers them again, one by one too, on the active backend.
 *
 * @returns what is not as it should be, which is nothing, and how much of tfjs ours stands in front of.
 */
export function unregisterProblems(): {problems: Record<string, string[]>; patched: number} {
  registerAll();
  const ours = registries();
  registerAll();
  const problems: Record<string, string[]> = {'registered twice': differences(ours, registries())};
  useOps();
  unregisterAll();
  problems.unregistered = differences(STOCK, registries());
  unregisterAll();
  problems['unregistered twice'] = differences(STOCK, registries());
  const warn = console.warn;
  console.warn = () => {};
  useOps();
  console.warn = warn;
  cpu.unregister();
  problems['unregistered after ops ran composed'] = differences(STOCK, registries());
  for (const [name, entry] of Object.entries(ENTRIES)) {
    entry.register();
    entry.unregister();
    problems[`${name} alone`] = differences(STOCK, registries());
  }
  registerAll();
  const again = new Set(reasons(registries()));
  problems['registered again'] = reasons(ours).filter((line) => !again.has(line));
  wasm.unregister();
  // What training wants stays until it is unregistered too.
  problems['training without wasm'] = patchReasons(tf.getKernel('Tile', 'wasm')?.kernelFunc).includes(
    'training',
  )
    ? []
    : ['Tile'];
  wasm.register();
  return {problems, patched: differences(STOCK, ours).length};
}
