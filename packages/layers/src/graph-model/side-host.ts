import type {GraphModel} from '@tensorflow/tfjs-converter';
import * as tf from '@tensorflow/tfjs-core';
import {ConfigError, describe} from '@tfjs-peft/kernels';
import {own} from '../core/io/json.js';
import type {Hashable} from '../core/io/weight-hashes.js';
import {checkIdle} from '../core/lifecycle/model-lock.js';
import type {NormWeight, SideHost, SidePlaces, SideRun} from '../core/lifecycle/side-host.js';
import {listNames, reasonOf} from '../core/messages.js';
import {refreshPacked} from './adapted-graph-model.js';
import {setAddedNode} from './added-node.js';
import {checkAlive, countParameters, hashableWeights} from './base-weights.js';
import {Interception} from './interception.js';
import {type Executor, executorOf, type GraphNode} from './internals.js';
import {registerNodes} from './register.js';
import {cachedFront} from './training/cached-front.js';
import {cutGraph} from './training/cut.js';
import {type Endpoint, endpointName, inputOf, parseEndpoint} from './training/endpoint.js';
import {asTrained} from './training/graph-layer.js';
import {type GraphInputs, namedInputs} from './training/inputs.js';
import {findLayerNorms} from './training/layer-norms.js';

/** Behind the name of the last tap's node: the node that does its work while a side network runs. */
const BASE = '/tfjs-peft-base';

/**
 * A GraphModel beside which a side network stands. While the network runs, the node of the last tap is the
 * network: it takes what the node did before, from a copy of it, and the other taps. So whatever reads the
 * node, and a trainer, which cuts the graph there, stay as they are.
 */
export class GraphHost implements SideHost {
  readonly label = 'the GraphModel';
  readonly noun = 'node';
  /** No other model has its tensors. */
  readonly isLastHolder = true;
  private readonly interception = new Interception();
  private side: SideRun | undefined;
  private restore: (() => void) | undefined;
  private enabled = false;
  /** The base's values of the weights in whose place trained ones are. */
  private replaced: Record<string, tf.Tensor[]> = {};
  heldBytes: number | null = null;
  /** Bytes there were before the batch that is run. */
  private before = 0;

  private constructor(
    readonly model: GraphModel,
    private readonly executor: Executor,
    private readonly taps: readonly Endpoint[],
    private readonly mask: Endpoint | undefined,
    readonly dims: SideHost['dims'],
  ) {}

  /**
   * Finds the taps, and runs the model once to see what they give.
   *
   * @throws ConfigError if a tap is not there or cannot be one, or the run fails.
   */
  static async make(model: GraphModel, {taps: names, mask, example}: SidePlaces): Promise<GraphHost> {
    registerNodes();
    const executor = executorOf(model);
    checkAlive(executor);
    checkIdle(model);
    const taps = names.map((name) => find(executor, 'taps', name));
    const masked = mask === undefined ? undefined : find(executor, 'mask', mask);
    checkLast(executor, names, taps, masked);
    const shapes = await shapesOf(model, executor, taps, example);
    for (const [i, {shape, dtype}] of shapes.entries()) {
      if (shape.length >= 2 && dtype === 'float32') continue;
      throw new ConfigError(
        `taps: '${names[i]}' gives [${shape}] of ${dtype}, but a tap gives [batch, ..., channels] of float32. ` +
          'Tap another node.',
      );
    }
    // A map, or a sequence that is one token long in the example, can have more.
    const tokens = shapes.some(({shape}) => shape.length > 2);
    return new GraphHost(model, executor, taps, masked, {
      widths: shapes.map(({shape}) => shape.at(-1)!),
      tokens,
    });
  }

  get parameters(): number {
    return countParameters(this.executor);
  }

  checkAlive(): void {
    checkAlive(this.executor);
  }

  checkIdle(): void {
    checkIdle(this.model);
  }

  get norms(): NormWeight[] {
    const {executor} = this;
    const nodes = Object.values(executor.graph.nodes).filter(
      ({name}) => !Object.hasOwn(executor.weightMap, name),
    );
    const norms = findLayerNorms(executor, new Set(nodes), new Set());
    const constants = norms.flatMap(({gamma, beta}) => [gamma, beta]);
    return [...new Map(constants.map(({name, read}) => [name, {name, read}])).values()];
  }

  frozenWeights(): Hashable[] {
    return hashableWeights({weightMap: {...this.executor.weightMap, ...this.replaced}});
  }

  attach(side: SideRun): void {
    this.side = side;
    this.enable(true);
  }

  enable(enabled: boolean): void {
    this.enabled = enabled;
    this.link(enabled);
  }

  pause(): () => void {
    this.link(false);
    return () => this.link(this.enabled);
  }

  private link(enabled: boolean): void {
    if (enabled === (this.restore !== undefined)) return;
    if (enabled) this.insert(this.side!);
    else this.takeOut();
    // What the executor knows of the graph is of the other one.
    this.executor.compiledMap.clear();
  }

  detach(): void {
    this.enable(false);
  }

  release(): void {
    this.enable(false);
  }

  private insert(side: SideRun): void {
    const {nodes} = this.executor.graph;
    const {node} = this.taps.at(-1)!;
    setAddedNode(this.model, {
      name: node.name,
      variables: side.variables.map((variable) => asTrained(variable.read() as tf.Variable)),
      reads: new Set(this.taps.map((tap) => tap.node)),
      begin: () => {
        this.before = tf.engine().state.numBytes;
      },
      front: side.cache && cachedFront(this.executor, side.cache),
    });
    refreshPacked(this.model);
    const others = [...this.taps.slice(0, -1), ...(this.mask === undefined ? [] : [this.mask])];
    const base: GraphNode = {...node, name: node.name + BASE, children: [node]};
    const {inputs, inputNames, inputParams} = node;
    const undo = [
      ...[...new Set(inputs)].map((input) =>
        relink(
          input,
          input.children.map((child) => (child === node ? base : child)),
        ),
      ),
    ];
    const read = [{node: base, index: 0}, ...others];
    for (const other of others) undo.push(relink(other.node, [...other.node.children, node]));
    nodes[base.name] = base;
    Object.assign(node, {
      inputs: read.map((endpoint) => endpoint.node),
      inputNames: read.map(endpointName),
      inputParams: {},
    });
    this.interception.set(node, ([last, ...rest]) => {
      const {state} = tf.engine();
      if (state.gradientDepth > 0) this.heldBytes = state.numBytes - this.before;
      const taps = [...rest.slice(0, this.taps.length - 1), last!];
      const mask = this.mask === undefined ? undefined : rest.at(-1)!;
      return side.apply(taps, mask);
    });
    this.replace(side);
    this.restore = () => {
      this.putBack();
      this.interception.clear();
      Object.assign(node, {inputs, inputNames, inputParams});
      delete nodes[base.name];
      for (const back of undo.reverse()) back();
      setAddedNode(this.model, undefined);
      refreshPacked(this.model);
    };
  }

  /** Puts trained weights of layer norms into the graph, where a trainer finds variables by itself. */
  private replace({norms}: SideRun): void {
    const {executor} = this;
    const own = [...norms].map(([name, variable]): [string, tf.Tensor[]] => [name, [variable.read()]]);
    this.replaced = Object.fromEntries(own.map(([name]) => [name, executor.weightMap[name]!]));
    // Its setter notes which tensors the executor must not dispose.
    executor.weightMap = {...executor.weightMap, ...Object.fromEntries(own)};
  }

  private putBack(): void {
    this.executor.weightMap = {...this.executor.weightMap, ...this.replaced};
    this.replaced = {};
  }

  private takeOut(): void {
    this.restore!();
    this.restore = undefined;
  }
}

/** Gives a node other children; gives back a function that undoes it. */
function relink(node: GraphNode, children: GraphNode[]): () => void {
  const before = node.children;
  Object.assign(node, {children});
  return () => Object.assign(node, {children: before});
}

/** @throws ConfigError if the graph has no such node, or it is a constant. */
function find(executor: Executor, option: string, name: string): Endpoint {
  const {nodes} = executor.graph;
  const [path, index] = parseEndpoint(name);
  const node = own(nodes, path);
  if (node !== undefined && !Object.hasOwn(executor.weightMap, path)) return {node, index};
  const names = Object.values(nodes)
    .filter(({name}) => !Object.hasOwn(executor.weightMap, name))
    .map(({name}) => name);
  const parts = path.toLowerCase().split('/');
  const near = names.filter((each) => parts.some((part) => part !== '' && each.toLowerCase().includes(part)));
  throw new ConfigError(
    `${option}: the graph has no node ${describe(name)} that computes anything. Use the name of one: ` +
      `${listNames(near.length > 0 ? near : names, 40)}.`,
  );
}

/** @throws ConfigError if nothing can be added at the last tap, or another place is behind it. */
function checkLast(
  executor: Executor,
  names: readonly string[],
  taps: readonly Endpoint[],
  mask: Endpoint | undefined,
): void {
  const last = taps.at(-1)!;
  const {node} = last;
  const name = names.at(-1)!;
  if (executor.graph.inputs.includes(node))
    throw new ConfigError(`taps: '${name}', the last tap, is an input of the model. End with a later node.`);
  const several = node.children.some((child) =>
    child.inputs.some((input, i) => input === node && inputOf(child, i).index > 0),
  );
  if (last.index > 0 || several) {
    throw new ConfigError(
      `taps: '${name}', the last tap, is of a node with several outputs, to which nothing can be added. End ` +
        'with another node.',
    );
  }
  const isBehind = (from: GraphNode): boolean => {
    const before = new Set([from]);
    for (const each of before) for (const input of each.inputs) before.add(input);
    return before.has(node);
  };
  for (const [i, tap] of taps.slice(0, -1).entries()) {
    if (!isBehind(tap.node)) continue;
    throw new ConfigError(
      `taps: '${names[i]}' is not in front of the last tap, '${name}', which the side network adds to. Name ` +
        'the taps in the order of the model.',
    );
  }
  if (mask !== undefined && isBehind(mask.node))
    throw new ConfigError(`mask: it is behind the last tap, '${name}'. Name a node in front of that.`);
}

/** What the taps give in a run with an example. */
async function shapesOf(
  model: GraphModel,
  executor: Executor,
  taps: readonly Endpoint[],
  example: unknown,
): Promise<{shape: number[]; dtype: string}[]> {
  const {dynamic} = cutGraph(executor, [], [...taps]);
  const own = example === undefined ? zerosFor(model) : undefined;
  const outputs: tf.Tensor[] = [];
  try {
    const inputs = own ?? namedInputs(model, example as GraphInputs);
    const names = taps.map(endpointName);
    const result = dynamic ? await model.executeAsync(inputs, names) : model.execute(inputs, names);
    outputs.push(...[result].flat());
    return outputs.map(({shape, dtype}) => ({shape, dtype}));
  } catch (cause) {
    throw new ConfigError(
      `example: the model does not run with ${own === undefined ? 'it' : 'zeros'} (${reasonOf(cause)}). Set ` +
        'example to inputs that it takes, such as a batch of one sample.',
      {cause},
    );
  } finally {
    const foreign = new Set([...Object.values(own ?? {}), ...outputsOf(example)]);
    for (const output of outputs) if (!foreign.has(output)) output.dispose();
    tf.dispose(own ?? []);
  }
}

function outputsOf(example: unknown): tf.Tensor[] {
  if (example instanceof tf.Tensor) return [example];
  return typeof example === 'object' && example !== null ? Object.values(example) : [];
}

/** Zeros for every input, one for each axis whose size is open. */
function zerosFor({inputs}: GraphModel): tf.NamedTensorMap {
  return Object.fromEntries(
    inputs.map(({name, shape, dtype}) => {
      const sizes = (shape ?? [1]).map((size) => (size !== null && size > 0 ? size : 1));
      const [node] = parseEndpoint(name);
      return [node, dtype === 'string' ? tf.fill(sizes, '', 'string') : tf.zeros(sizes, dtype)];
    }),
  );
}
