import type * as tf from '@tensorflow/tfjs-core';
import {editedArtifacts, type GraphDef, GraphEditor} from '../../core/io/graph-editor.js';
import {copyTopology, splitWeights, weightBytes} from '../../core/io/weight-bytes.js';
import {type Log, UnsupportedModelError} from '../log.js';
import {computeBatchStatistics} from './batch-norm.js';
import {unfuseActivations} from './fused-activation.js';
import {unfuseSums} from './fused-sum.js';
import {restoreHalfScalars} from './half-scalars.js';
import {openLoops} from './loops.js';

/**
 * The artifacts of a GraphModel with every rule applied; what was given stays as it is.
 *
 * @throws UnsupportedModelError if the graph cannot run in tfjs and no rule repairs it.
 */
export async function repairGraph(artifacts: tf.io.ModelArtifacts, log: Log): Promise<tf.io.ModelArtifacts> {
  const graph = copyTopology<GraphDef>(artifacts.modelTopology!);
  const specs = artifacts.weightSpecs ?? [];
  refuseInFunctions(graph);

  const editor = new GraphEditor(graph);
  openLoops(editor, log);
  computeBatchStatistics(editor, specs, log);
  unfuseActivations(editor, log);
  unfuseSums(editor, specs, log);
  if (graph.versions === undefined) {
    graph.versions = {};
    editor.changed = true;
    log('versions', 'modelTopology', 'tfjs fails on a graph without versions; an empty entry is added.');
  }
  let data: Uint8Array | undefined;
  if (specs.some((spec) => spec.quantization?.dtype === 'float16')) {
    data = await weightBytes(artifacts);
    restoreHalfScalars(editor, specs, halves(specs, data), log);
  }
  if (!editor.changed) return artifacts;

  return editedArtifacts(artifacts, editor, data ?? (await weightBytes(artifacts)));
}

/**
 * Rules rewrite only nodes of the main graph; a node inside a function that needs a rule is refused, not left
 * silently wrong.
 */
function refuseInFunctions(graph: GraphDef): void {
  for (const {signature, nodeDef = []} of graph.library?.function ?? []) {
    const node = nodeDef.find(({op, attr}) => /^FusedBatchNorm/.test(op) && attr?.is_training?.b === true);
    if (node === undefined) continue;
    throw new UnsupportedModelError(
      `Graph node '${node.name}' (${node.op}, is_training) inside the function ` +
        `'${signature?.name}' computes batch statistics, which tfjs does not support there. ` +
        'Convert the model without control flow around this node, or with a LayerNormalization ' +
        'epsilon below 1e-5.',
    );
  }
}

/** Reads the first float16 of a weight. */
function halves(specs: readonly tf.io.WeightsManifestEntry[], data: Uint8Array): (name: string) => number {
  const stored = new Map(splitWeights(specs, data).map(({spec, bytes}) => [spec.name, bytes]));
  return (name) => {
    const {buffer, byteOffset} = stored.get(name)!;
    return new DataView(buffer, byteOffset).getUint16(0, true);
  };
}
