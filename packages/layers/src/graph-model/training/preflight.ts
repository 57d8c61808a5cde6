import {NoGradientError, reapplyPatches} from '@tfjs-peft/kernels';
import {listNames} from '../../core/messages.js';
import {type Flow, faultOf, isBackward, runs, WASM_TRAINING} from '../../core/tfjs/gradient-faults.js';
import {constantAt} from '../constants.js';
import {attribute, type Executor, type GraphNode} from '../internals.js';
import {type Cut, endsGradient, flowsFrom, reachedFrom} from './cut.js';
import {type Endpoint, endpointName, inputOf} from './endpoint.js';
import {DATA, inputKindsOf, inputsOfKind, TENSORS} from './node-inputs.js';

/** An op through which a gradient has to flow, but does not, or not right. */
export interface GradientGap {
  node: string;
  op: string;
  /** The kernel of tfjs that has no right gradient; of an op that no gradient can pass by nature, the op. */
  kernel: string;
  /** Whether importing what `by` names closes the gap. */
  supplied: boolean;
  /**
   * `@tfjs-peft/kernels/gradients`, `@tfjs-peft/kernels/wasm-training`, or null where nothing closes the gap.
   */
  by: string | null;
  /**
   * Of an op that no gradient can pass by nature: the outputs and the trained
   * nodes that get none because of it.
   */
  ends?: {outputs: string[]; trained: string[]};
}

/**
 * The ops between what is trained and the outputs through which no right gradient flows now, and those that
 * end it, where an output or something that is trained gets none because of them.
 *
 * @param replaced Nodes that run other code than their op's, or none: those that are trained among them.
 */
export function findGaps(executor: Executor, cut: Cut, replaced: ReadonlySet<GraphNode>): GradientGap[] {
  // tfjs-layers, imported later, has registered tfjs's own gradients over ours.
  reapplyPatches();
  const onTape = tapeOf(cut);
  const faults = [...onTape].flatMap((node): GradientGap[] => {
    if (replaced.has(node)) return [];
    const carries = (input: number): boolean =>
      inputKindsOf(node)[input] === 'tensor' && flows(cut, node, input);
    if (!cut.sources.includes(node) && !node.inputs.some((_, i) => carries(i))) return [];
    const fault = faultOf(flowOfNode(executor, node, carries));
    return fault === undefined ? [] : [{node: node.name, op: node.op, ...fault, supplied: fault.by !== null}];
  });
  return [...faults, ...findEnds(cut)];
}

/** A node of a graph; of its inputs, only the shapes of constants are known. */
function flowOfNode(executor: Executor, node: GraphNode, carries: Flow['carries']): Flow {
  const splits = attribute<number | number[]>(node, 'numOrSizeSplits') ?? 0;
  return {
    op: node.op,
    attribute: (name) => attribute(node, name),
    shape: (input) => constantAt(executor, node, input)?.shape,
    outputs: node.op !== 'Split' ? node.children.length : typeof splits === 'number' ? splits : 2,
    carries,
  };
}

/** Whether an input of a node depends on trained weights through tensors that follow them. */
function flows(cut: Cut, node: GraphNode, input: number): boolean {
  const {node: source} = inputOf(node, input);
  return cut.differentiable.has(source) && (!endsGradient(source) || cut.sources.includes(source));
}

/**
 * The nodes that tfjs asks for a gradient: those between what is trained and the outputs,
 * whether or not it can be other than 0.
 */
function tapeOf(cut: Cut): Set<GraphNode> {
  const before = new Set(cut.outputs.map(({node}) => node));
  for (const node of before) {
    if (!cut.trainable.has(node)) continue;
    for (const i of inputsOfKind(node, TENSORS)) before.add(node.inputs[i]!);
  }
  return new Set([...cut.trainable].filter((node) => before.has(node)));
}

/** The ops that end the gradient of outputs, or of what is trained. */
function findEnds(cut: Cut): GradientGap[] {
  const changing = cut.outputs.filter(({node}) => cut.trainable.has(node));
  const deaf = changing.filter(
    (output) => ![...reachedFrom([output])].some((node) => cut.differentiable.has(node)),
  );
  const reached = reachedFrom(cut.outputs);
  const useless = cut.sources.filter((node) => !reached.has(node));
  if (deaf.length === 0 && (useless.length === 0 || cut.outputs.length === 0)) return [];
  const found = new Map<GraphNode, {outputs: Set<string>; trained: Set<string>}>();
  const note = (node: GraphNode) => {
    const own = found.get(node) ?? {outputs: new Set<string>(), trained: new Set<string>()};
    found.set(node, own);
    return own;
  };
  for (const output of deaf) {
    for (const node of endsBefore(cut, output)) note(node).outputs.add(endpointName(output));
  }
  const after = new Map(useless.map((node) => [node, followers(cut, node)]));
  for (const output of changing) {
    for (const end of endsBefore(cut, output)) {
      for (const [source, followed] of after) if (followed.has(end)) note(end).trained.add(source.name);
    }
  }
  return [...found].map(([{name, op}, {outputs, trained}]) => ({
    node: name,
    op,
    kernel: op,
    supplied: false,
    by: null,
    ends: {outputs: [...outputs], trained: [...trained]},
  }));
}

/** The nodes up to an endpoint, its own included, that end a gradient of what is trained. */
function endsBefore(cut: Cut, last: Endpoint): GraphNode[] {
  const before = new Map([[endpointName(last), last]]);
  for (const {node} of before.values()) {
    if (!cut.trainable.has(node)) continue;
    for (const i of inputsOfKind(node, DATA)) {
      const input = inputOf(node, i);
      before.set(endpointName(input), input);
    }
  }
  const ends = [...before.values()].filter((endpoint) => {
    const {node} = endpoint;
    if (!cut.trainable.has(node)) return false;
    const edges = inputKindsOf(node);
    return node.inputs.some(
      (_, i) =>
        edges[i] !== 'order' && flows(cut, node, i) && (edges[i] === 'values' || !flowsFrom(endpoint)),
    );
  });
  return [...new Set(ends.map(({node}) => node))];
}

function followers(cut: Cut, source: GraphNode): Set<GraphNode> {
  const found = new Set([source]);
  for (const node of found) {
    for (const child of node.children) {
      if (cut.trainable.has(child) && inputsOfKind(child, DATA).some((i) => child.inputs[i] === node))
        found.add(child);
    }
  }
  return found;
}

/**
 * Adds to a gradient error of tfjs the nodes that may have caused it: an op may run kernels of other names.
 */
export function explain(error: unknown, cut: Cut): unknown {
  const message = (error as Error)?.message;
  const [, missing] = /Kernel '(\w+)' not registered for backend 'wasm'/.exec(message) ?? [];
  if (missing !== undefined && isBackward(missing)) {
    return new NoGradientError(
      `tfjs's wasm backend has no ${missing}, which a gradient needs. Import ` +
        `'${WASM_TRAINING}' before training.`,
      {cause: error},
    );
  }
  const [, kernel] = /gradient function not found for (\w+)/.exec(message) ?? [];
  if (kernel === undefined) return error;
  const nodes = [...cut.carrying].filter(({op}) => runs(op, kernel));
  const known = listNames(nodes.map(({name}) => name));
  return new NoGradientError(
    `tfjs has no gradient of ${kernel}${known && `, which runs at ${known}`}. Register one ` +
      'with tf.registerGradient.',
    {cause: error},
  );
}

/** How many gaps an error lists one by one. */
const MOST = 12;

function describe({node, op, kernel, by, ends}: GradientGap): string {
  if (ends === undefined) {
    const help = by === null ? 'no package supplies one' : `'${by}' supplies one`;
    return `\n- '${node}' (${op}): tfjs has no correct gradient of ${kernel}; ${help}`;
  }
  const {outputs, trained} = ends;
  const none = [
    outputs.length > 0 ? `none reaches the output ${listNames(outputs)}` : '',
    trained.length > 0 ? `${listNames(trained)} would not be trained` : '',
  ].filter((part) => part !== '');
  return (
    `\n- '${node}' (${op}): no gradient passes through it, so ` +
    `${none.join(', and ') || 'none reaches a trained weight'}`
  );
}

/** @throws NoGradientError that names the ops and nodes through which no right gradient flows. */
export function checkGaps(gaps: readonly GradientGap[]): void {
  if (gaps.length === 0) return;
  const lines = gaps.slice(0, MOST).map(describe);
  if (gaps.length > MOST) lines.push(`\n- and ${gaps.length - MOST} more; preflight() lists all`);
  const imports = [...new Set(gaps.flatMap(({by}) => by ?? []))];
  const advice = [
    imports.length > 0 ? `Import ${imports.map((name) => `'${name}'`).join(' and ')} before training.` : '',
    gaps.some(({ends}) => ends !== undefined)
      ? 'Where no gradient passes through a node, set outputs to a node before it, or remove the ' +
        'sites before it from targets.'
      : '',
    gaps.some(({supplied, ends}) => !supplied && ends === undefined)
      ? 'Where no package supplies a gradient, register one with tf.registerGradient, set ' +
        'outputs to a node before that node, or remove the sites before it from targets.'
      : '',
  ];
  throw new NoGradientError(
    'No correct gradient flows from the outputs to the trained ' +
      `weights.${lines.join('')}\n${advice.filter(Boolean).join(' ')}`,
  );
}
