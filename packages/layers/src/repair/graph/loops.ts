import {dataInputs, type GraphEditor, type NodeDef, nodeOf} from '../../core/io/graph-editor.js';
import {type Log, UnsupportedModelError} from '../log.js';

/**
 * The converter's default flags write a loop as nodes Enter, Merge, Switch and Exit. In tfjs, an iteration
 * may wait forever: for a constant that enters the loop, which only the first iteration gets, or, through a
 * control input, for the output of a Switch that the loop does not take. The body of every recurrent layer
 * has both. A constant is read from outside the loop instead, and nothing waits for a Switch: control inputs
 * only set an order, which the data imposes too.
 *
 * @throws UnsupportedModelError naming a loop whose body reads what is computed
 * outside and enters as a constant.
 */
export function openLoops(editor: GraphEditor, log: Log): void {
  const {node: nodes} = editor.graph;
  const constants = new Map(nodes.filter(isConstantEnter).map((node) => [node.name, node]));
  const unreached = new Set([...constants.keys(), ...nodes.filter(isSwitch).map(({name}) => name)]);
  const waited = new Set<string>();
  for (const node of nodes) {
    node.input = node.input?.map((input) => {
      const enter = input.startsWith('^') ? undefined : constants.get(nodeOf(input));
      return enter === undefined ? input : outside(editor, node, enter);
    });
  }
  // A node that only orders others, and no longer waits for anything, would never run.
  for (let before = -1; before !== unreached.size; ) {
    before = unreached.size;
    for (const node of nodes) {
      const kept = node.input?.filter((input) => !(input.startsWith('^') && unreached.has(nodeOf(input))));
      if (kept === undefined || kept.length === node.input!.length) continue;
      node.input = kept;
      waited.add(node.name);
      if (node.op === 'NoOp' && kept.length === 0) unreached.add(node.name);
    }
  }
  if (waited.size === 0 && constants.size === 0) return;
  editor.changed = true;
  for (const name of constants.keys())
    log('loops', name, 'the loop body reads this constant from outside the loop in every iteration.');
  for (const name of waited)
    log('loops', name, 'it no longer waits for a branch that is not taken, or for the first iteration.');
}

/** What a constant is where the loop does not change it. */
function outside(editor: GraphEditor, reader: NodeDef, enter: NodeDef): string {
  const [source] = dataInputs(enter);
  if (editor.node(source!)?.op === 'Const') return source!;
  throw new UnsupportedModelError(
    `Graph node '${reader.name}' (${reader.op}) reads '${source}' inside a loop, which it ` +
      `enters as a constant ('${enter.name}', ${enter.op}); tfjs passes such a constant only to ` +
      'the first iteration. Convert the model with tensorflowjs_converter --control_flow_v2=True ' +
      'and call executeAsync, or export it as a LayersModel (--output_format=tfjs_layers_model), ' +
      'whose recurrent layers can be trained.',
  );
}

function isConstantEnter({op, attr}: NodeDef): boolean {
  return (op === 'Enter' || op === 'RefEnter') && attr?.is_constant?.b === true;
}

function isSwitch({op}: NodeDef): boolean {
  return op === 'Switch' || op === 'RefSwitch';
}
