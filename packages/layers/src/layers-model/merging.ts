import * as tf from '@tensorflow/tfjs-core';
import * as tfl from '@tensorflow/tfjs-layers';
import type {Adapter} from '../core/adapters/adapter.js';
import {type Exchanged, together} from '../core/lifecycle/exchanged.js';
import {checkPlace, type MergeableSite, type Merger} from '../core/lifecycle/mergeable.js';
import {isAdapterWeight} from '../core/sites/adapter-slot.js';
import type {Merged} from '../core/sites/merge.js';
import type {Operation} from '../core/sites/operation.js';
import type {Layer} from '../core/tfjs/internals.js';
import type {AdaptedLayersModel} from './adapted-layers-model.js';
import type {LayerSite} from './sites/layer-site.js';
import type {PeftLayer} from './sites/peft-layer.js';
import {siteOf} from './sites/site-registry.js';

/** A layer with an adapter that can be merged into its stock weights. */
class MergeableLayer implements MergeableSite {
  readonly label: string;
  readonly operation: Operation;
  readonly adapter: Adapter;
  private readonly kind: LayerSite;

  constructor(
    readonly path: string,
    private readonly layer: PeftLayer,
    name: string,
  ) {
    this.label = `Layer '${path}'`;
    this.kind = siteOf(layer.stock)!;
    this.operation = this.kind.operation(layer.stock);
    this.adapter = layer.site.adapterOf(name);
  }

  refusal({bias, post}: Merged): string | undefined {
    const weights = this.kind.weights?.(this.layer.stock);
    if (weights === undefined)
      return `the site of its class, ${this.layer.stock.getClassName()}, was registered without weights`;
    if (post !== undefined) return 'the adapter scales what comes out of the activation, and no weight does';
    if (bias !== undefined && weights.bias == null) return 'the adapter needs a bias, but the layer has none';
    return undefined;
  }

  exchange(merged: Merged): Exchanged {
    const exchanged: Exchanged[] = [];
    tf.tidy(() => {
      for (const [variable, value] of valuesOf(this.layer, merged))
        exchanged.push(exchangeValue(variable, value));
    });
    return together(exchanged);
  }
}

/** What a layer's weights become. */
function valuesOf({stock}: PeftLayer, {kernel, bias}: Merged): [tfl.LayerVariable, tf.Tensor][] {
  const weights = siteOf(stock)!.weights!(stock);
  const shaped = weights.toKernel?.(kernel) ?? tf.reshape(kernel, weights.kernel.shape as number[]);
  if (bias === undefined) return [[weights.kernel, shaped]];
  return [
    [weights.kernel, shaped],
    [weights.bias!, weights.toBias?.(bias) ?? bias],
  ];
}

/** Gives a weight another value, past its constraint. */
function exchangeValue(variable: tfl.LayerVariable, value: tf.Tensor): Exchanged {
  const held = variable.read() as tf.Variable;
  const before = tf.keep(tf.clone(held));
  held.assign(value);
  return {
    restore() {
      held.assign(before);
      before.dispose();
    },
    release: () => before.dispose(),
  };
}

/** LayersModels, for merging. */
export const layersMerger: Merger<AdaptedLayersModel> = {
  sites({sites, adapters, active}) {
    const paths = [...adapters.get(active!)!.sites.keys()];
    return paths.map((path) => new MergeableLayer(path, sites.at(path)!, active!));
  },
  trained({trained, active}) {
    const values = trained.valuesOf(active!);
    return () => together(values.map(([variable, value]) => exchangeValue(variable, value)));
  },
  async artifacts(state, merged) {
    const {model, sites} = state;
    for (const site of this.sites(state)) checkPlace(site, merged.get(site.path)!);
    const topology = asStock(state, () => model.toJSON(null, false) as tf.io.ModelArtifacts['modelTopology']);
    const weights = namedWeights(
      model,
      [...merged].map(([path, values]) => [sites.at(path)!, values]),
    );
    try {
      const {data, specs} = await tf.io.encodeWeights(weights);
      const metadata = model.getUserDefinedMetadata();
      return {
        modelTopology: topology!,
        format: 'layers-model',
        generatedBy: `TensorFlow.js tfjs-layers v${tfl.version_layers}`,
        convertedBy: null,
        ...(metadata && {
          userDefinedMetadata: metadata as NonNullable<tf.io.ModelArtifacts['userDefinedMetadata']>,
        }),
        weightData: data,
        weightSpecs: specs,
      };
    } finally {
      for (const {tensor} of weights) tensor.dispose();
    }
  },
};

/** A model's weights without adapters, with other values at some layers. */
function namedWeights(
  model: tfl.LayersModel,
  merged: readonly [PeftLayer, Merged][],
): {name: string; tensor: tf.Tensor}[] {
  return tf.tidy(() => {
    const changed = new Map(merged.flatMap(([layer, values]) => valuesOf(layer, values)));
    const own = model.weights.filter((variable) => !isAdapterWeight(variable));
    return own.map((variable) => {
      const value = changed.get(variable) ?? variable.read();
      return {name: variable.originalName, tensor: tf.keep(tf.clone(value))};
    });
  });
}

/**
 * Runs something that sees layers with adapters as the stock layers that they replace, and all layers as
 * trainable as they were before the upgrade.
 */
function asStock<T>({sites, freezer}: AdaptedLayersModel, run: () => T): T {
  const undo: (() => void)[] = [];
  const say = (layer: Layer, what: 'getClassName' | 'getConfig', value: () => unknown) => {
    const own = Object.getOwnPropertyDescriptor(layer, what);
    Object.defineProperty(layer, what, {value, configurable: true});
    undo.push(() => {
      if (own === undefined) delete (layer as Partial<Layer>)[what];
      else Object.defineProperty(layer, what, own);
    });
  };
  for (const [layer, trainable] of freezer.before) {
    const config = layer.getConfig.bind(layer);
    say(layer, 'getConfig', () => {
      const said = config();
      return 'trainable' in said ? {...said, trainable} : said;
    });
  }
  for (const [, layer] of sites.entries) {
    const {stock, name} = layer;
    say(layer, 'getClassName', () => stock.getClassName());
    // The first layer of a model has the input's shape, which its stock layer need not have.
    const own = tfl.layers.Layer.prototype.getConfig.call(layer);
    say(layer, 'getConfig', () => ({...own, ...stock.getConfig(), name}));
  }
  try {
    return run();
  } finally {
    for (const step of undo.reverse()) step();
  }
}
