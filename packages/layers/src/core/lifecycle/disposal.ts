import type {GraphModel} from '@tensorflow/tfjs-converter';
import type * as tfl from '@tensorflow/tfjs-layers';
import {isGraphModel} from '../../graph-model/internals.js';
import {internals, type Layer} from '../tfjs/internals.js';

type Disposable = tfl.LayersModel | GraphModel;

/**
 * Lets something happen before a model's tensors go, when its owner calls `dispose`. A LayersModel that is part of others goes when the
 * last of them does.
 *
 * @param end May throw: the model then stays as it is.
 * @returns Takes it away again.
 */
export function beforeDispose(model: Disposable, end: () => void): () => void {
  const own = Object.getOwnPropertyDescriptor(model, 'dispose');
  const stock = model.dispose;
  const isLast = () => isGraphModel(model) || internals(model as unknown as Layer)._refCount === 1;
  const ours = () => {
    if (isLast()) end();
    return (stock as () => unknown).call(model);
  };
  model.dispose = ours as never;
  return () => {
    if ((model.dispose as unknown) !== ours) return;
    if (own === undefined) delete (model as {dispose?: unknown}).dispose;
    else Object.defineProperty(model, 'dispose', own);
  };
}
