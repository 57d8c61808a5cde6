import type * as tf from '@tensorflow/tfjs-core';
import type {Log} from '../log.js';
import {dataInputs, type GraphEditor, nodeOf} from './graph-def.js';

const ADD = new Set(['Add', 'AddV2', 'Maximum']);
const ROOT = new Set(['Rsqrt', 'Sqrt']);

/** What was rounded to 0 was below half of float16's least number, 2.98e-8; BERT's own epsilon is among what it can have been. */
const EPSILON = 1e-12;

/**
 * `--quantize_float16` rounds scalars too: a LayerNormalization's epsilon of 1e-12 becomes 0, and a row of equal values NaN. An
 * epsilon that the file says is float16 and 0, under a square root, is 1e-12 again.
 */
export function restoreEpsilons(
  editor: GraphEditor,
  specs: readonly tf.io.WeightsManifestEntry[],
  isZero: (name: string) => boolean,
  log: Log,
): void {
  const scalars = new Set(
    specs
      .filter((spec) => spec.quantization?.dtype === 'float16' && spec.shape.every((size) => size === 1))
      .map((spec) => spec.name),
  );
  if (scalars.size === 0) return;
  const replaced = new Map<string, string>();
  for (const root of editor.graph.node.slice()) {
    if (!ROOT.has(root.op)) continue;
    const sum = editor.node(dataInputs(root)[0] ?? '');
    if (sum === undefined || !ADD.has(sum.op)) continue;
    for (const [i, input] of (sum.input ?? []).entries()) {
      const name = nodeOf(input);
      if (!scalars.has(name) || !isZero(name)) continue;
      if (!replaced.has(name)) {
        replaced.set(name, editor.float(`${name}/restored`, EPSILON));
        log('epsilon', name, `0 since float16 has nothing so small; ${EPSILON} now.`);
      }
      sum.input![i] = replaced.get(name)!;
    }
  }
}
