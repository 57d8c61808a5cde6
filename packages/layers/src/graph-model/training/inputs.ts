import type {GraphModel} from '@tensorflow/tfjs-converter';
import * as tf from '@tensorflow/tfjs-core';
import {ConfigError} from '@tfjs-peft/kernels';
import {own} from '../../core/io/json.js';
import {listNames} from '../../core/messages.js';
import {executorOf} from '../internals.js';
import {parseEndpoint} from './endpoint.js';

/**
 * Inputs of a GraphModel, as `predict` takes them. By name, nodes in the middle of the graph can be fed too,
 * and what is before them is then not run: so the frozen part need run only once for each sample.
 */
export type GraphInputs = tf.Tensor | tf.Tensor[] | tf.NamedTensorMap;

/** Inputs by the names of their nodes. */
export function namedInputs(model: GraphModel, inputs: GraphInputs): tf.NamedTensorMap {
  const {inputs: signature = {}} = (model.modelSignature ?? {}) as {
    inputs?: Record<string, {name?: string; resourceId?: unknown}>;
  };
  // Tables and the like are not inputs: the model feeds them itself.
  const captured = Object.entries(signature).flatMap(([key, {name = key, resourceId}]) =>
    resourceId == null ? [] : [parseEndpoint(name)[0]],
  );
  const {graph} = executorOf(model);
  const names = graph.inputs.map(({name}) => name).filter((name) => !captured.includes(name));
  const expected = `Its inputs: ${listNames(names) || 'none'}.`;
  if (inputs instanceof tf.Tensor || Array.isArray(inputs)) {
    const list = Array.isArray(inputs) ? inputs : [inputs];
    if (list.length !== names.length) {
      throw new ConfigError(
        `The GraphModel takes ${names.length} input(s), but got ${list.length}. Pass one tensor ` +
          `for each. ${expected}`,
      );
    }
    return Object.fromEntries(list.map((tensor, i) => [names[i]!, tensor]));
  }
  const entries = Object.entries(inputs).map(([key, tensor]) => {
    const [name] = parseEndpoint(own(signature, key)?.name ?? key);
    if (own(graph.nodes, name) === undefined)
      throw new ConfigError(`The GraphModel has no input '${key}'. ${expected}`);
    return [name, tensor] as const;
  });
  return Object.fromEntries(entries);
}
