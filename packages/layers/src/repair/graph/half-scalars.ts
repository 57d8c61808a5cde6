import type * as tf from '@tensorflow/tfjs-core';
import {dataInputs, type GraphEditor, type NodeDef, nodeOf} from '../../core/io/graph-editor.js';
import type {Log} from '../log.js';

const ADD = new Set(['Add', 'AddV2', 'Maximum']);
const ROOT = new Set(['Rsqrt', 'Sqrt']);

/**
 * A value that was rounded to 0 was below half of float16's smallest number, 2.98e-8. It may have been this
 * one, BERT's own epsilon.
 */
const EPSILON = 1e-12;
/**
 * A value that no finite float16 holds, above 65504, is most often this one: the lowest float, added to the
 * scores of padding.
 */
const LARGEST = 3.4028234663852886e38;
const INFINITY_BITS = 0x7c00;

/**
 * `--quantize_float16` rounds scalars too. A LayerNormalization's epsilon of 1e-12 becomes 0, and a row of
 * equal values NaN; a mask's -3.4e38 becomes -Infinity, and every token that is not masked NaN. An epsilon
 * that the file says is float16 and 0, under a square root, is 1e-12 again, and an infinite scalar is finite.
 *
 * @param bits the first float16 of a weight, as the file has it.
 */
export function restoreHalfScalars(
  editor: GraphEditor,
  specs: readonly tf.io.WeightsManifestEntry[],
  bits: (name: string) => number,
  log: Log,
): void {
  const scalars = new Map<string, number>();
  for (const {name, shape, quantization} of specs) {
    if (quantization?.dtype === 'float16' && shape.every((size) => size === 1)) scalars.set(name, bits(name));
  }
  const restored = new Map<string, string>();
  const replace = (node: NodeDef, i: number, value: number, why: string) => {
    const name = nodeOf(node.input![i]!);
    if (!restored.has(name)) {
      restored.set(name, editor.addConstant(`${name}/restored`, [], Float32Array.of(value)));
      log('float16', name, `${why}; it becomes ${value}.`);
    }
    node.input![i] = restored.get(name)!;
  };
  for (const node of editor.graph.node.slice()) {
    for (const [i, input] of dataInputs(node).entries()) {
      const value = scalars.get(nodeOf(input));
      if (value === undefined || (value & 0x7fff) !== INFINITY_BITS) continue;
      replace(
        node,
        i,
        value & 0x8000 ? -LARGEST : LARGEST,
        'infinite because float16 holds nothing so large',
      );
    }
    const sum = ROOT.has(node.op) ? editor.node(dataInputs(node)[0] ?? '') : undefined;
    if (sum === undefined || !ADD.has(sum.op)) continue;
    for (const [i, input] of dataInputs(sum).entries()) {
      const value = scalars.get(nodeOf(input));
      if (value !== undefined && (value & 0x7fff) === 0) {
        replace(sum, i, EPSILON, '0 because float16 holds nothing so small');
      }
    }
  }
}
