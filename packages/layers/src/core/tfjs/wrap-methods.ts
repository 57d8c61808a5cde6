import {internals, type Layer} from './internals.js';

type Call = Layer['call'];

/**
 * Wraps a layer's `call`.
 *
 * @param around Receives the original call and returns its replacement.
 * @returns A function that removes the wrapper. If others have wrapped it
 * since, it then only passes calls on.
 */
export function wrapCall(layer: Layer, around: (call: Call) => Call): () => void {
  const own = Object.getOwnPropertyDescriptor(layer, 'call');
  const before: Call = internals(layer).call.bind(layer);
  let current = around(before);
  const wrapped: Call = (inputs, kwargs) => current(inputs, kwargs);
  layer.call = wrapped;
  return () => {
    current = before;
    if (internals(layer).call !== wrapped) return;
    if (own === undefined) delete (layer as Partial<Layer>).call;
    else Object.defineProperty(layer, 'call', own);
  };
}

/** An object that its owner disposes. */
interface Disposable {
  dispose(): unknown;
}

/**
 * Calls `end` when the owner of a model calls `dispose`, before the tensors are disposed.
 *
 * @param isLast Whether the next call of `dispose` disposes the tensors.
 * @param end If it throws, the model is not disposed.
 * @returns A function that undoes this.
 */
export function beforeDispose(model: Disposable, isLast: () => boolean, end: () => void): () => void {
  const own = Object.getOwnPropertyDescriptor(model, 'dispose');
  const stock = model.dispose;
  const ours = () => {
    if (isLast()) end();
    return stock.call(model);
  };
  model.dispose = ours;
  return () => {
    if (model.dispose !== ours) return;
    if (own === undefined) delete (model as Partial<Disposable>).dispose;
    else Object.defineProperty(model, 'dispose', own);
  };
}
