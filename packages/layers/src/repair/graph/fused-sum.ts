import type * as tf from '@tensorflow/tfjs-core';
import {type AttrValue, dataInputs, type GraphEditor} from '../../core/io/graph-editor.js';
import type {Log} from '../log.js';
import {fusedOps, UNFUSED} from './fused-activation.js';

/** What may follow the sum, each a stock op of its own by the same name. */
const ACTIVATIONS = new Set(['Relu', 'Relu6', 'Elu', 'Sigmoid', 'Tanh']);

/**
 * TensorFlow fuses any sum after a product as a `BiasAdd`, such as the sum of an LSTM's two products, but the
 * wasm backend adds only vectors. If the summand is not known to be one, the sum becomes a node of its own
 * again; the last node keeps the name.
 */
export function unfuseSums(
  editor: GraphEditor,
  specs: readonly tf.io.WeightsManifestEntry[],
  log: Log,
): void {
  const vectors = new Set(specs.filter(({shape}) => shape.length === 1).map(({name}) => name));
  for (const node of editor.graph.node.slice()) {
    const plain = UNFUSED[node.op];
    const [sum, activation, ...more] = plain === undefined ? [] : fusedOps(node);
    const [x, kernel, summand, ...others] = dataInputs(node);
    if (sum !== 'BiasAdd' || summand === undefined || others.length > 0 || more.length > 0) continue;
    if (activation !== undefined && !ACTIVATIONS.has(activation)) continue;
    if (vectors.has(editor.node(summand)?.name ?? '')) continue;
    const {op} = node;
    const {fused_ops, num_args, ...attr} = node.attr as Record<string, AttrValue>;
    const product = editor.add(`${node.name}/${plain}`, plain!, [x!, kernel!], attr);
    if (activation === undefined) editor.become(node, 'AddV2', [product, summand]);
    else editor.become(node, activation, [editor.add(`${node.name}/AddV2`, 'AddV2', [product, summand])]);
    log(
      'fused-sum',
      node.name,
      `${op} [${sum}]: the summand may not be a vector, so a separate AddV2 adds it.`,
    );
  }
}
