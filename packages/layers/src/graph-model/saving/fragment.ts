import {type GraphModel, loadGraphModelSync} from '@tensorflow/tfjs-converter';
import type * as tf from '@tensorflow/tfjs-core';
import {ConfigError} from '@tfjs-peft/kernels';
import type {NodeDef} from '../../core/io/graph-editor.js';
import {copyTopology} from '../../core/io/weight-bytes.js';
import {ANY_SHAPE} from '../columns.js';
import {constantAt, soleConsumer} from '../constants.js';
import {type Executor, executorOf, type GraphNode} from '../internals.js';
import {matchNode} from '../nodes.js';
import {isRefusal, type NodeSite} from '../sites/node-site.js';
import type {Fragment} from './site-record.js';

const INPUT = 'input';

/**
 * Cuts a site out of a graph.
 *
 * @param definitionOf A node's definition in the file.
 * @returns The fragment, and which input of the graph each of its inputs is: what the
 * site is fed with, and its constants.
 */
export function cutFragment(
  executor: Executor,
  node: GraphNode,
  {absorbed}: NodeSite,
  definitionOf: (name: string) => NodeDef,
): {fragment: Fragment; sources: string[]} {
  const fragment: Fragment = {nodes: [], inputs: []};
  const sources: string[] = [];
  const last = absorbed.at(-1)?.node ?? node;
  const chain: GraphNode[] = [node];
  while (chain.at(-1) !== last) chain.push(soleConsumer(executor, chain.at(-1)!)!);
  const isAbsorbed = new Set<GraphNode>([node, ...absorbed.map((each) => each.node)]);
  for (const [i, each] of chain.entries()) {
    const before = chain[i - 1];
    const {op, attr} = definitionOf(each.name);
    const input = each.inputs.map((source, at) => {
      if (source === before) return nameOf(i - 1);
      // The shape of a Reshape is not checked again.
      if (!isAbsorbed.has(each)) return INPUT;
      const name = `${INPUT}${sources.length}`;
      sources.push(each.inputNames[at]!);
      fragment.inputs.push({name, constant: constantAt(executor, each, at) !== undefined});
      return name;
    });
    fragment.nodes.push({name: nameOf(i), op, input, ...(attr && {attr: copyTopology<typeof attr>(attr)})});
  }
  return {fragment, sources};
}

function nameOf(index: number): string {
  return `node${index}`;
}

/** A site that was recognised again, and how it is fed. */
export class FragmentSite {
  private readonly executor: Executor;
  private site: NodeSite | undefined;

  constructor(private readonly fragment: Fragment) {
    // The shape that a Reshape gives was checked when the site was cut out.
    const shape = {name: INPUT, op: 'Placeholder', attr: {[ANY_SHAPE]: {b: true}}};
    const placeholders = fragment.inputs.map(({name}): NodeDef => ({name, op: 'Placeholder', attr: {}}));
    const modelTopology = {node: [shape, ...placeholders, ...fragment.nodes], library: {}, versions: {}};
    const model: unknown = loadGraphModelSync({
      load: () => ({modelTopology, weightSpecs: [], weightData: new ArrayBuffer(0)}),
    });
    this.executor = executorOf(model as GraphModel);
  }

  /**
   * The site with these inputs, as `cutFragment` has listed them.
   *
   * @throws ConfigError if it is no site, as in a file that was tampered with.
   */
  withInputs(inputs: readonly tf.Tensor[]): NodeSite {
    const constants = this.fragment.inputs.flatMap(({name, constant}, i): [string, tf.Tensor[]][] =>
      constant ? [[name, [inputs[i]!]]] : [],
    );
    this.executor.weightMap = Object.fromEntries(constants);
    this.site ??= this.recognise();
    return this.site;
  }

  /** Releases the inputs, so that they do not outlive their model. */
  release(): void {
    this.executor.weightMap = {};
  }

  private recognise(): NodeSite {
    const match = matchNode(this.executor, this.executor.graph.nodes[nameOf(0)]!);
    if (match === undefined || isRefusal(match)) {
      throw new ConfigError(
        'A node of the saved model carries an adapter, but ' +
          `${match?.reason ?? 'has an op that cannot carry one'}. Save the model again.`,
      );
    }
    return match;
  }
}
