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
