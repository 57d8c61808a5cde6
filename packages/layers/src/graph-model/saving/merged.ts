import * as tf from '@tensorflow/tfjs-core';
import {UnsupportedSiteError} from '@tfjs-peft/kernels';
import {editedArtifacts, type GraphDef, GraphEditor, nodeOf} from '../../core/io/graph-editor.js';
import {copyTopology, weightBytes} from '../../core/io/weight-bytes.js';
import type {Merged} from '../../core/sites/merge.js';
import type {Constant} from '../constants.js';
import type {NodeSite} from '../sites/node-site.js';

/** A site, and the weights that it gets. */
interface MergedSite {
  /** The node's name. */
  path: string;
  node: NodeSite;
  merged: Merged;
}

/**
 * The file of a model with an adapter worked into its weights: a plain GraphModel
 * that needs none of our packages.
 *
 * @throws UnsupportedSiteError if a site has no place for the weights.
 */
export async function mergedArtifacts(
  source: tf.io.ModelArtifacts,
  sites: readonly MergedSite[],
): Promise<tf.io.ModelArtifacts> {
  const graph = new GraphEditor(copyTopology<GraphDef>(source.modelTopology!));
  for (const {path, node, merged} of sites) await write(graph, path, node, merged);
  return editedArtifacts(source, graph, await weightBytes(source));
}

async function write(
  graph: GraphEditor,
  path: string,
  node: NodeSite,
  {kernel, bias, post}: Merged,
): Promise<void> {
  const {weight, bias: frozen, tail, absorbed, restore} = node;
  const last = absorbed.at(-1)?.node.name ?? path;
  const refuse = (why: string) =>
    new UnsupportedSiteError(
      `Node '${path}' cannot be merged: ${why}. Save the model with its adapter instead.`,
    );
  if (bias !== undefined && frozen === undefined)
    throw refuse('the adapter needs a bias, but the node has none');
  if (post !== undefined && tail === undefined) throw refuse('the shape of its output is unknown');
  const restored = restore === undefined ? kernel : tf.tidy(() => restore(kernel));
  try {
    setConstant(graph, weight, (await restored.data()) as Float32Array);
    if (bias !== undefined) setConstant(graph, frozen!, (await bias.data()) as Float32Array);
    if (post !== undefined) scaleOutput(graph, last, tail!, (await post.data()) as Float32Array);
  } finally {
    if (restored !== kernel) restored.dispose();
  }
}

/** Gives a constant new values for one node; other nodes that read it keep the old ones. */
function setConstant(graph: GraphEditor, {name, shape, user}: Constant, values: Float32Array): void {
  const {input} = graph.node(user.node.name)!;
  const readers = new Set(graph.readers(name).map(({node}) => node));
  if (readers.size === 1 && nodeOf(input![user.input]!) === name) graph.setConstant(name, shape, values);
  else input![user.input] = graph.addConstant(`${name}/merged`, shape, values);
}

/** Multiplies a node's output by a vector, under the same name, so that all readers get the product. */
function scaleOutput(graph: GraphEditor, name: string, shape: number[], vector: Float32Array): void {
  const node = graph.node(name)!;
  const unscaled = graph.copy(node, `${name}/unscaled`);
  const factor = graph.addConstant(`${name}/scale`, shape, vector);
  graph.replace(node, {op: 'Mul', input: [unscaled, factor], attr: {T: {type: 'DT_FLOAT'}}});
}
