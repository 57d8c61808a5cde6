import * as tf from '@tensorflow/tfjs-core';

let current: SharedGradients | undefined;

/**
 * What the gradients of one node of the tape share. It has to be computed in the tape's own scope, since tfjs
 * wraps each of a node's gradient functions in a tidy of its own; but that scope lasts until backpropagation
 * ends, and a deep model would keep all of it. So it is disposed earlier: when the last of the node's
 * gradients is computed or, if nobody asks for that one, when the next node begins. Nodes run one at a time.
 */
export class SharedGradients {
  private readonly tensors = new Set<tf.Tensor>();

  constructor() {
    current?.dispose();
    current = this;
  }

  /**
   * Keeps the result of `make` for the node's gradients and disposes everything else that it made; `given`
   * are tensors that it may return as they are.
   */
  make<T extends tf.Tensor | tf.Tensor[]>(make: () => T, ...given: tf.Tensor[]): T {
    const made = tf.tidy(make);
    for (const tensor of [made].flat()) if (!given.includes(tensor)) this.tensors.add(tensor);
    return made;
  }

  /** Hands a tensor over as a gradient, so that it is no longer disposed here. */
  take<T extends tf.Tensor>(tensor: T): T {
    this.tensors.delete(tensor);
    return tensor;
  }

  /** The same gradient functions; the last of them disposes what is shared. */
  endingWith(gradients: (() => tf.Tensor)[]): (() => tf.Tensor)[] {
    return gradients.map((gradient, i) => {
      if (i < gradients.length - 1) return gradient;
      return () => {
        const result = gradient();
        this.dispose();
        return result;
      };
    });
  }

  private dispose(): void {
    tf.dispose([...this.tensors]);
    this.tensors.clear();
    if (current === this) current = undefined;
  }
}
