import type {SymbolicTensor} from '@tensorflow/tfjs-layers';
import {ConfigError, describe} from '@tfjs-peft/kernels';
import {listNames} from '../../core/messages.js';
import {internals, isContainer, type Layer} from '../../core/tfjs/internals.js';
import {mapModel, withParts} from '../../core/tfjs/model-map.js';

export function isInput({sourceLayer}: SymbolicTensor): boolean {
  return sourceLayer.getClassName() === 'InputLayer';
}

/** All tensors that some depend on, and these, in an order in which they can be computed. */
export function ancestors(of: readonly SymbolicTensor[]): Set<SymbolicTensor> {
  const found = new Set<SymbolicTensor>();
  // Not by recursion: a model may be deeper than the stack.
  const open: {tensor: SymbolicTensor; next: number}[] = [];
  const started = new Set<SymbolicTensor>();
  const start = (tensor: SymbolicTensor) => {
    if (started.has(tensor)) return;
    started.add(tensor);
    open.push({tensor, next: 0});
  };
  for (const tensor of of) {
    start(tensor);
    while (open.length > 0) {
      const top = open.at(-1)!;
      const input = top.tensor.inputs[top.next++];
      if (input !== undefined) start(input);
      else found.add(open.pop()!.tensor);
    }
  }
  return found;
}

/** All outputs of the use of a layer that gives a tensor. */
export function siblings(tensor: SymbolicTensor): SymbolicTensor[] {
  const {inboundNodes} = internals(tensor.sourceLayer);
  return inboundNodes[tensor.nodeIndex]!.outputTensors as SymbolicTensor[];
}

/**
 * The output of a layer among the tensors of a model.
 *
 * @throws ConfigError if there is none, or there are several; it says where the layer is, or lists what there
 * is.
 */
export function outputOf(name: string, option: string, tensors: ReadonlySet<SymbolicTensor>): SymbolicTensor {
  const found = [...tensors].filter(({sourceLayer}) => sourceLayer.name === name);
  if (found.length === 1) return found[0]!;
  if (found.length > 1) {
    const uses = new Set(found.map(({nodeIndex}) => nodeIndex)).size;
    throw new ConfigError(
      `${option}: layer ${describe(name)} ` +
        (uses > 1 ? `is used ${uses} times in the model` : `has ${found.length} outputs in the model`) +
        '. Name a layer that is used once and has one output.',
    );
  }
  const layers = [...new Set([...tensors].map(({sourceLayer}) => sourceLayer))];
  for (const outer of layers) {
    if (!namesWithin(outer).has(name)) continue;
    const remedy = isContainer(outer)
      ? `. Name '${outer.name}', or call attachSideNetwork with that model alone: model.getLayer('${outer.name}')`
      : ` (${outer.getClassName()}). Name '${outer.name}', whose output it gives`;
    throw new ConfigError(`${option}: layer ${describe(name)} is inside '${outer.name}'${remedy}.`);
  }
  throw new ConfigError(
    `${option}: the model has no layer ${describe(name)} on the way to its outputs. Use one of: ` +
      `${listNames(
        layers.map((layer) => layer.name),
        40,
      )}.`,
  );
}

/** Names and paths by which layers inside a layer may be called. */
function namesWithin(outer: Layer): Set<string> {
  const located = isContainer(outer) ? mapModel(outer).layers : [];
  const inner = withParts(outer).filter((layer) => layer !== outer);
  const names = [
    ...located.flatMap((at) => [...at.names, ...at.around]),
    ...inner.map((layer) => layer.name),
  ];
  return new Set(names.flatMap((each) => [each, `${outer.name}/${each}`]));
}
