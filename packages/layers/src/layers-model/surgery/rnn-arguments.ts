import type {Layer} from '../../core/tfjs/internals.js';

type Apply = Layer['apply'];

/**
 * Lets stock RNNs, and Bidirectionals, be trained beside one that starts from given states. While training,
 * tfjs-layers hands one object of arguments to all layers, and an RNN writes its states into it; the next RNN
 * then takes them for its own and throws.
 */
export class RnnArguments {
  private readonly layers = new Map<Layer, Apply>();

  /** Makes recurrent layers among these receive a copy of the arguments. */
  give(layers: readonly Layer[]): void {
    for (const layer of layers) {
      if (this.layers.has(layer) || Object.hasOwn(layer, 'apply') || !takesStates(layer)) continue;
      const {apply} = layer;
      // It may run on the layer's stand-in.
      const own: Apply = function (this: Layer, inputs, kwargs) {
        return apply.call(this, inputs, {...kwargs});
      };
      layer.apply = own;
      this.layers.set(layer, own);
    }
  }

  restore(): void {
    for (const [layer, own] of this.layers) if (layer.apply === own) delete (layer as Partial<Layer>).apply;
    this.layers.clear();
  }
}

/** Whether it is one of tfjs's recurrent layers. */
function takesStates(layer: Layer): boolean {
  const {cell, forwardLayer} = layer as {cell?: unknown; forwardLayer?: unknown};
  return cell !== undefined || forwardLayer !== undefined;
}
