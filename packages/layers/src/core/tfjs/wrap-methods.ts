import {internals, type Layer} from './internals.js';

type Call = Layer['call'];

/**
 * Puts code around a layer's `call`, for as long as that is wanted.
 *
 * @param around Gets the call as it was, and gives the one to put in its place.
 * @returns Takes it away again: as if it had never been there, or, where others have put theirs around it since, as a call that hands on.
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

/** What is disposed by its owner. */
interface Disposable {
  dispose(): unknown;
}

/**
 * Lets something happen before a model's tensors go, when its owner calls `dispose`.
 *
 * @param isLast Whether the tensors go with the next call.
 * @param end May throw: the model then stays as it is.
 * @returns Takes it away again.
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
