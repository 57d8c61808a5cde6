import * as tf from '@tensorflow/tfjs-core';
import type * as tfl from '@tensorflow/tfjs-layers';
import {UnsupportedSiteError} from '@tfjs-peft/kernels';
import type {SiteDims} from '../../core/adapters/adapter.js';
import {
  type Described,
  type Refusal,
  type Selected,
  selectTargets,
  type Target,
  type Targets,
} from '../../core/lifecycle/select.js';
import {withArticle} from '../../core/messages.js';
import type {Layer} from '../../core/tfjs/internals.js';
import type {LocatedLayer} from '../../core/tfjs/model-map.js';
import {PeftLayer} from '../sites/peft-layer.js';
import {siteClasses, siteOf} from '../sites/site-registry.js';

/** Gives the layer as a PeftLayer if an upgrade of the same model put it there. */
export type IsSite = (layer: Layer) => PeftLayer | undefined;

/**
 * {@link selectTargets} for the layers of a model that have weights.
 *
 * @param outputs The layers that give the model's outputs.
 */
export function selectLayers(
  layers: readonly LocatedLayer[],
  isSite: IsSite,
  outputs: ReadonlySet<Layer>,
  targets?: Targets,
  alsoTrain?: Target[],
): Selected<LocatedLayer>[] {
  const described = layers
    .filter(({layer}) => layer.weights.length > 0)
    .map((at) => ({...describeLayer(at, isSite), output: outputs.has(at.layer)}));
  return selectTargets('layer', described, targets, alsoTrain);
}

/** What a layer is, with or without weights. */
export function describeLayer(at: LocatedLayer, isSite: IsSite): Described<LocatedLayer> {
  const {layer, path} = at;
  const site = isSite(layer);
  const {kind, dims, refusal}: Looks =
    site === undefined ? lookAt(layer) : {kind: site.kind, dims: site.dims};
  const weights = site?.base ?? layer.weights;
  return {
    at,
    info: {
      name: path,
      layer: layer.name,
      className: (site?.stock ?? layer).getClassName(),
      kind,
      shape: dims === undefined ? null : [dims.inputDim, dims.outputDim],
      weightShape: weights.length === 0 ? null : (weights[0]!.shape as number[]),
      dtype: weights[0]?.dtype ?? null,
      parameters: countParameters(weights),
    },
    dims,
    refusal,
  };
}

interface Looks {
  kind: string;
  dims?: SiteDims;
  refusal?: Refusal;
}

/** What a layer is to an adapter, or why it cannot carry one. */
function lookAt(layer: Layer): Looks {
  const className = layer.getClassName();
  const refused = (reason: string, asked = false) => ({kind: 'other', refusal: {reason, asked}});
  if (layer instanceof PeftLayer)
    return {kind: 'other', refusal: {reason: carries(layer), asked: false, carries: true}};
  const site = siteOf(layer);
  if (site === undefined) {
    const classes = siteClasses().join(', ');
    return refused(
      `${withArticle(className)}, which cannot carry an adapter; ${classes} can, and ` +
        'so can classes passed to registerSite',
    );
  }
  try {
    return {kind: site.kind, dims: site.operation(layer).dims};
  } catch (error) {
    if (!(error instanceof UnsupportedSiteError)) throw error;
    return refused(`${withArticle(className)} that cannot carry an adapter: ${error.message}`, true);
  }
}

function carries(layer: PeftLayer): string {
  const names = layer.adapterNames.map((name) => `'${name}'`).join(', ');
  return (
    `${withArticle(layer.getClassName())} with adapters of its own (${names || 'none yet'}): ` +
    'a drop-in layer, made by hand or loaded with a model that was saved whole, which has no Peft. Load ' +
    "the base from its own file and the adapter from what peft.save wrote, or use the layer's own " +
    'addAdapter and activate'
  );
}

/** Number of values in some variables. */
export function countParameters(weights: readonly tfl.LayerVariable[]): number {
  return weights.reduce((sum, {shape}) => sum + tf.util.sizeFromShape(shape as number[]), 0);
}
