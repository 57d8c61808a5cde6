import {
  type AttrValue,
  decodeString,
  encodeString,
  type GraphEditor,
  type NodeDef,
} from '../../core/io/graph-editor.js';
import type {Log} from '../log.js';

type Unfuse = (editor: GraphEditor, node: NodeDef, x: string, at: (name: string) => string) => void;

/**
 * Activations that oneDNN fuses and tfjs's executor does not know, as stock ops. The last of these ops keeps
 * the node's name.
 */
const UNFUSE: Record<string, Unfuse> = {
  // x/2 (1 + erf(x / sqrt 2))
  GeluExact(editor, node, x, at) {
    const ratio = editor.add(at('ratio'), 'Mul', [x, float(editor, at('sqrt_half'), Math.SQRT1_2)]);
    const erf = editor.add(at('erf'), 'Erf', [ratio]);
    halfOfXTimesOnePlus(editor, node, x, erf, at);
  },
  // x/2 (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3)))
  GeluApproximate(editor, node, x, at) {
    const square = editor.add(at('square'), 'Mul', [x, x]);
    const cube = editor.add(at('cube'), 'Mul', [square, x]);
    const small = editor.add(at('small'), 'Mul', [cube, float(editor, at('coefficient'), 0.044715)]);
    const sum = editor.add(at('sum'), 'AddV2', [x, small]);
    const inner = editor.add(at('inner'), 'Mul', [sum, float(editor, at('factor'), Math.sqrt(2 / Math.PI))]);
    const tanh = editor.add(at('tanh'), 'Tanh', [inner]);
    halfOfXTimesOnePlus(editor, node, x, tanh, at);
  },
  Tanh(editor, node, x) {
    editor.become(node, 'Tanh', [x]);
  },
};

/** Fused products, and the op of each product alone. */
export const UNFUSED: Record<string, string> = {
  _FusedMatMul: 'MatMul',
  _FusedConv2D: 'Conv2D',
  FusedDepthwiseConv2dNative: 'DepthwiseConv2dNative',
};

/** The names of what a fused node does after its product, such as `['BiasAdd', 'Relu']`. */
export function fusedOps(node: NodeDef): string[] {
  return (node.attr?.fused_ops?.list?.s ?? []).map(decodeString);
}

/**
 * `_FusedMatMul [BiasAdd, GeluExact]` loads and fails when it runs
 * (`Activation geluexact has not been implemented`). The activation is taken out of the node; its product and
 * bias stay fused, which every backend has.
 */
export function unfuseActivations(editor: GraphEditor, log: Log): void {
  for (const node of editor.graph.node.slice()) {
    if (!Object.hasOwn(UNFUSED, node.op)) continue;
    const ops = fusedOps(node);
    const activation = ops.at(-1);
    if (activation === undefined || !Object.hasOwn(UNFUSE, activation)) continue;
    const at = (name: string) => `${node.name}/${name}`;
    const {op} = node;
    const x = product(editor, node, ops.slice(0, -1), at(op.replace(/^_?Fused/, '')));
    UNFUSE[activation]!(editor, node, x, at);
    log('fused-activation', node.name, `${op} [${ops}]: ${activation} becomes separate stock ops after it.`);
  }
}

function product(editor: GraphEditor, node: NodeDef, ops: string[], name: string): string {
  const attr: Record<string, AttrValue> = {...node.attr, fused_ops: {list: {s: ops.map(encodeString)}}};
  if (ops.length > 0) return editor.add(name, node.op, node.input ?? [], attr);
  const {fused_ops, num_args, ...plain} = attr;
  return editor.add(name, UNFUSED[node.op]!, node.input ?? [], plain);
}

function float(editor: GraphEditor, name: string, value: number): string {
  return editor.addConstant(name, [], Float32Array.of(value));
}

function halfOfXTimesOnePlus(
  editor: GraphEditor,
  node: NodeDef,
  x: string,
  y: string,
  at: (name: string) => string,
): void {
  const sum = editor.add(at('one_plus'), 'AddV2', [y, float(editor, at('one'), 1)]);
  const half = editor.add(at('half_x'), 'Mul', [x, float(editor, at('half'), 0.5)]);
  editor.become(node, 'Mul', [half, sum]);
}
