import type * as tf from '@tensorflow/tfjs-core';
import {
  dataInputs,
  decodeString,
  type GraphEditor,
  type NodeDef,
  nodeOf,
  outputIndexOf,
} from '../../core/io/graph-editor.js';
import {type Log, UnsupportedModelError} from '../log.js';

const OPS = new Set(['FusedBatchNorm', 'FusedBatchNormV2', 'FusedBatchNormV3']);

/**
 * A FusedBatchNorm node in training mode normalises by the statistics of its own input. The converter's
 * executor never reads `is_training` and takes the node's mean and variance inputs, which are empty then: the
 * result is NaN, or silently wrong. tf_keras writes every LayerNormalization with an epsilon of 1.001e-5 or
 * more this way. The node is rewritten into equivalent stock ops.
 */
export function computeBatchStatistics(
  editor: GraphEditor,
  specs: readonly tf.io.WeightsManifestEntry[],
  log: Log,
): void {
  const shapes = new Map(specs.map((spec) => [spec.name, spec.shape]));
  for (const node of editor.graph.node.slice()) {
    if (!OPS.has(node.op) || !normalisesByBatch(node, shapes)) continue;
    const reader = editor.readers(node.name).find(({input}) => outputIndexOf(input) > 0);
    if (reader !== undefined) {
      throw new UnsupportedModelError(
        `Graph node '${node.name}' (${node.op}, is_training) passes its batch statistics to ` +
          `'${reader.node.name}', so this is the graph of a training step. Convert the model for ` +
          'inference (training=False).',
      );
    }
    rewrite(editor, node);
    log(
      'batch-norm',
      node.name,
      `${node.op} with is_training, whose batch statistics tfjs does not compute, becomes ` +
        'Mean, Square, Rsqrt and products.',
    );
  }
}

function normalisesByBatch(node: NodeDef, shapes: ReadonlyMap<string, number[]>): boolean {
  const isTraining = node.attr?.is_training?.b;
  if (isTraining !== undefined) return isTraining;
  // true is TensorFlow's default, which a converter may strip; empty statistics then tell a training node
  // from an old inference one.
  const mean = dataInputs(node)[3];
  return mean !== undefined && shapes.get(nodeOf(mean))?.[0] === 0;
}

function rewrite(editor: GraphEditor, node: NodeDef): void {
  const [x, scale, offset] = dataInputs(node) as [string, string, string];
  const at = (name: string) => `${node.name}/${name}`;
  const channelsFirst = decodeString(node.attr?.data_format?.s) === 'NCHW';
  const axes = editor.addConstant(at('axes'), [3], Int32Array.from(channelsFirst ? [0, 2, 3] : [0, 1, 2]));
  const keep = {keep_dims: {b: true}, Tidx: {type: 'DT_INT32'}};
  const perChannel = channelsFirst
    ? editor.addConstant(at('channels'), [4], Int32Array.of(1, -1, 1, 1))
    : undefined;
  const channels = (name: string, vector: string) =>
    perChannel === undefined
      ? vector
      : editor.add(at(name), 'Reshape', [vector, perChannel], {Tshape: {type: 'DT_INT32'}});

  const mean = editor.add(at('mean'), 'Mean', [x, axes], keep);
  // The deviations are squared by Square: the stock gradient of SquaredDifference
  // does not reduce what it broadcast.
  const centered = editor.add(at('centered'), 'Sub', [x, mean]);
  const squared = editor.add(at('squared'), 'Square', [centered]);
  const variance = editor.add(at('variance'), 'Mean', [squared, axes], keep);
  const epsilon = editor.addConstant(at('epsilon'), [], Float32Array.of(node.attr?.epsilon?.f ?? 1e-4));
  const shifted = editor.add(at('shifted'), 'AddV2', [variance, epsilon]);
  const deviation = editor.add(at('rsqrt'), 'Rsqrt', [shifted]);
  const factor = editor.add(at('factor'), 'Mul', [deviation, channels('scale', scale)]);
  const scaled = editor.add(at('scaled'), 'Mul', [centered, factor]);
  editor.become(node, 'AddV2', [scaled, channels('offset', offset)]);
}
