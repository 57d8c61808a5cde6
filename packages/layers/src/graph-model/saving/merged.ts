import * as tf from '@tensorflow/tfjs-core';
import {UnsupportedSiteError} from '@tfjs-peft/kernels';
import type {Adapter} from '../../core/adapters/adapter.js';
import {type Merged, mergeSite} from '../../core/sites/merge.js';
import type {NodeSite} from '../sites/node-site.js';
import {EditableGraph} from './topology.js';

/** A site, and the adapter that is to be saved. */
export interface MergeableSite {
  /** The node's name. */
  path: string;
  node: NodeSite;
  adapter: Adapter;
}

/**
 * The file of a model with an adapter worked into its weights: a plain GraphModel that needs none of our packages.
 *
 * @throws UnsupportedSiteError if an adapter cannot be merged exactly.
 */
export async function mergedArtifacts(
  source: tf.io.ModelArtifacts,
  sites: readonly MergeableSite[],
): Promise<tf.io.ModelArtifacts> {
  const graph = new EditableGraph(source);
  for (const {path, node, adapter} of sites) {
    const merged = await mergeSite(node.operation, adapter, `Node '${path}'`);
    try {
      await write(graph, path, node, merged);
    } finally {
      tf.dispose(merged);
    }
  }
  return graph.artifacts();
}

async function write(
  graph: EditableGraph,
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
    throw refuse('the adapter needs a bias, and the node has none');
  if (post !== undefined && tail === undefined) throw refuse('what comes behind it is of unknown shape');
  const restored = restore === undefined ? kernel : tf.tidy(() => restore(kernel));
  try {
    graph.setConstant(weight, (await restored.data()) as Float32Array);
    if (bias !== undefined) graph.setConstant(frozen!, (await bias.data()) as Float32Array);
    if (post !== undefined) graph.scaleOutput(last, tail!, (await post.data()) as Float32Array);
  } finally {
    if (restored !== kernel) restored.dispose();
  }
}
