import {UnsupportedModelError} from '../log.js';
import type {GraphDef} from './graph-def.js';

const TENSOR_LISTS = /^(TensorList|TensorArray)/;

/**
 * Recurrent layers that were converted with default flags are loops of Enter, Merge, Switch and Exit over tensor lists, which fail in
 * execute and executeAsync alike. Loops without tensor lists run, and pass.
 *
 * @throws UnsupportedModelError naming the loop.
 */
export function refuseRecurrentLoops(graph: GraphDef): void {
  const enter = graph.node.find((node) => node.op === 'Enter' || node.op === 'RefEnter');
  if (enter === undefined) return;
  const list = graph.node.find((node) => TENSOR_LISTS.test(node.op));
  if (list === undefined) return;
  throw new UnsupportedModelError(
    `Graph node '${enter.name}' (${enter.op}) opens a recurrent loop over '${list.name}' (${list.op}), which tfjs cannot run. Convert the ` +
      'model with tensorflowjs_converter --control_flow_v2=True and call executeAsync, or export it as a LayersModel ' +
      '(--output_format=tfjs_layers_model), whose recurrent layers train.',
  );
}
