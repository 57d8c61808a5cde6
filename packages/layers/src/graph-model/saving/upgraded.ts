import * as tf from '@tensorflow/tfjs-core';
import type {AdapterConfig} from '../../core/adapters/adapter.js';
import type {WeightValues} from '../../core/io/adapter-file.js';
import {editedArtifacts, encodeString, type GraphDef, GraphEditor} from '../../core/io/graph-editor.js';
import {copyTopology, weightBytes} from '../../core/io/weight-bytes.js';
import {SAVED_SITE_OP} from '../interception.js';
import type {Executor, GraphNode} from '../internals.js';
import type {NodeSite} from '../sites/node-site.js';
import {cutFragment} from './fragment.js';
import {encodeRecord, RECORD} from './site-record.js';

/** A site and all of its adapter. */
export interface SiteToSave {
  /** The node's name. */
  path: string;
  node: NodeSite;
  at: GraphNode;
  config: AdapterConfig;
  weights: ReadonlyMap<string, WeightValues>;
  /** Parts of weights that the sites have in common. */
  shared: ReadonlyMap<string, WeightValues>;
  /** Tells which of them are the same weight. */
  keys: ReadonlyMap<string, string>;
}

/**
 * The file of a model with its adapter: each site is a node of ours, which gets the adapter's weights as
 * constants. It loads by `tf.loadGraphModel` where this package is imported; elsewhere it loads too, and
 * fails when it first runs, by an error that names this package.
 */
export async function upgradedArtifacts(
  source: tf.io.ModelArtifacts,
  executor: Executor,
  sites: readonly SiteToSave[],
): Promise<tf.io.ModelArtifacts> {
  const graph = new GraphEditor(copyTopology<GraphDef>(source.modelTopology!));
  const common = new Map<string, string>();
  for (const {path, at, node, config, weights, shared, keys} of sites) {
    const {fragment, sources} = cutFragment(executor, at, node, (name) => graph.node(name)!);
    const names = [...weights].map(([name, {shape, values}]) =>
      graph.addConstant(`${path}/${name}`, shape, values),
    );
    for (const [name, {shape, values}] of shared) {
      const key = keys.get(name)!;
      if (!common.has(key)) common.set(key, graph.addConstant(`${path}/${name}`, shape, values));
      names.push(common.get(key)!);
    }
    for (const {node: behind, input, sum} of node.absorbed) {
      const taker = graph.node(behind.name)!;
      const passed = taker.input![input]!;
      const attr = {T: {type: 'DT_FLOAT'}};
      if (sum === undefined) graph.replace(taker, {op: 'Identity', input: [passed], attr});
      else {
        // The site already does the addition, but the resulting shape is still needed.
        const nothing = graph.addConstant(
          `${behind.name}/zeros`,
          sum,
          new Float32Array(tf.util.sizeFromShape(sum)),
        );
        graph.replace(taker, {op: 'AddV2', input: [passed, nothing], attr});
      }
    }
    const record = encodeRecord({
      schema: 1,
      node: path,
      config,
      weights: [...weights.keys(), ...shared.keys()],
      fragment,
    });
    graph.replace(graph.node(path)!, {
      op: SAVED_SITE_OP,
      input: [...sources, ...names],
      attr: {[RECORD]: {s: encodeString(record)}},
    });
  }
  return editedArtifacts(source, graph, await weightBytes(source));
}
