import * as tf from '@tensorflow/tfjs-core';
import type * as tfl from '@tensorflow/tfjs-layers';
import {shared} from '@tfjs-peft/kernels';
import type {PackableMatrix} from '../core/lifecycle/packable.js';
import {withArticle} from '../core/messages.js';
import {runSite} from '../core/sites/run-site.js';
import {inside, internals, type Layer, type VariableInternals} from '../core/tfjs/internals.js';
import {isPackedVariable, type MatrixPlace, PackedVariable, packedOf} from '../core/tfjs/packed-variable.js';
import {wrapCall} from '../core/tfjs/wrap-methods.js';
import type {LayerCall, LayerSite} from './sites/layer-site.js';
import {PeftLayer} from './sites/peft-layer.js';
import {siteOf} from './sites/site-registry.js';
import {isListing} from './sites/weight-order.js';

/** How layers with packed weights become stock again. */
const releases = shared('layers.packed', () => new WeakMap<Layer, () => void>());

/**
 * The weight of a stock layer that can stay packed, or why there is none. A packed weight is the same
 * LayerVariable with a {@link PackedVariable} inside, so lists and names stay what they are; the layer's
 * `call` becomes the site's operation without an adapter.
 */
export function packableOf(given: Layer): PackableMatrix | string {
  const layer = given instanceof PeftLayer ? given.stock : given;
  const site = siteOf(layer);
  const variable = site?.matrix?.(layer);
  if (site === undefined || variable === undefined)
    return `${withArticle(layer.getClassName())} is no plain product or lookup`;
  if (variable.dtype !== 'float32') return `its weight is ${variable.dtype}, not float32`;
  return new LayerMatrix(layer, site, variable);
}

class LayerMatrix implements PackableMatrix {
  readonly shape: readonly [number, number];
  readonly watch?: (see: (x: tf.Tensor) => void) => () => void;

  constructor(
    private readonly layer: Layer,
    private readonly site: LayerSite,
    private readonly variable: tfl.LayerVariable,
  ) {
    this.shape = variable.shape as [number, number];
    if (site.operation(layer).base === undefined) {
      this.watch = (see) =>
        wrapCall(layer, (call) => (inputs, kwargs) => {
          see(inputOf(site, callOf(layer, inputs, kwargs)));
          return call(inputs, kwargs);
        });
    }
  }

  get weight(): string {
    return this.variable.originalName;
  }

  get place(): MatrixPlace {
    return {shape: this.shape};
  }

  get packed() {
    return packedOf(this.variable.read());
  }

  async read(): Promise<Float32Array> {
    return (await this.variable.read().data<'float32'>()) as Float32Array;
  }

  pack(packed: NonNullable<PackableMatrix['packed']>): void {
    const {layer, variable} = this;
    const fields = inside<VariableInternals>(variable);
    // A model that was loaded has its codes in their place already.
    if (this.packed !== packed) {
      fields.val.dispose();
      fields.val = new PackedVariable(packed, {shape: this.shape}, variable.originalName);
    }
    if (releases.has(layer)) return;
    const undo = [runPacked(layer, this.site, variable), freeze(variable)];
    releases.set(layer, () => {
      for (const step of undo) step();
    });
  }

  unpack(): void {
    const {layer, variable} = this;
    const fields = inside<VariableInternals>(variable);
    const {val} = fields;
    if (!isPackedVariable(val)) return;
    releases.get(layer)?.();
    releases.delete(layer);
    fields.val = tf.tidy(() => tf.variable(val.unpack(), variable.trainable, variable.name));
    val.dispose();
  }
}

/** Lets a layer compute with its weight as it is, and not unpack it. */
function runPacked(layer: Layer, site: LayerSite, variable: tfl.LayerVariable): () => void {
  const operation = site.operation(layer);
  const label = () => `Layer '${layer.name}'`;
  return wrapCall(layer, (call) => (inputs, kwargs) => {
    // An adapter may train the layer in full: its copy of the weight is plain.
    if (packedOf(variable.read()) === undefined) return call(inputs, kwargs);
    return tf.tidy(() => {
      internals(layer).invokeCallHook(inputs, kwargs);
      const given = callOf(layer, inputs, kwargs);
      return runSite(operation, null, inputOf(site, given), {label, training: given.training});
    });
  });
}

/** Lets a weight be frozen while it is packed. What its `trainable` was, or is set to, counts afterwards. */
function freeze(variable: tfl.LayerVariable): () => void {
  const fields = inside<VariableInternals>(variable);
  Object.defineProperty(variable, 'trainable', {
    configurable: true,
    get: () => fields.trainable_ && (isListing() || packedOf(fields.val) === undefined),
    set: (trainable: boolean) => {
      fields.trainable_ = trainable;
      fields.val.trainable = trainable;
    },
  });
  return () => delete (variable as {trainable?: boolean}).trainable;
}

function callOf(layer: Layer, inputs: tf.Tensor | tf.Tensor[], kwargs: Record<string, unknown>): LayerCall {
  const training = kwargs?.training === true;
  return {layer, inputs: Array.isArray(inputs) ? inputs : [inputs], kwargs, training};
}

/** What a site's operation gets of a call. */
function inputOf(site: LayerSite, call: LayerCall): tf.Tensor {
  if (site.input !== undefined) return site.input(call);
  const x = call.inputs[0]!;
  return x.dtype === 'float32' ? x : tf.cast(x, 'float32');
}
