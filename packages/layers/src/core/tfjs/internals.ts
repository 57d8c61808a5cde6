import type * as tf from '@tensorflow/tfjs-core';
import type * as tfl from '@tensorflow/tfjs-layers';

/**
 * The parts of tfjs-layers 4.22 that its types hide and an upgrade in place needs. They are gathered in one
 * file, which shows which of the library's internals this package relies on.
 */
export type Layer = tfl.layers.Layer;

/** A use of a layer in the graph of symbolic tensors. */
export interface LayerUse {
  outboundLayer: Layer;
  inboundLayers: Layer[];
  outputTensors: {sourceLayer: Layer}[];
}

/** Fields of any layer. */
export interface LayerInternals {
  inboundNodes: LayerUse[];
  outboundNodes: LayerUse[];
  _trainableWeights: tfl.LayerVariable[];
  _nonTrainableWeights: tfl.LayerVariable[];
  _refCount: number | null;
  call: Layer['call'];
  invokeCallHook(...args: Parameters<Layer['call']>): void;
}

/**
 * Fields of a model. A Sequential keeps its layers twice: in itself, and in the
 * functional model that it builds of them.
 */
export interface ContainerInternals {
  layers: Layer[];
  layersByDepth: Record<string, Layer[]>;
  inputLayers: Layer[];
  outputLayers: Layer[];
  trainable_: boolean;
  model?: tfl.LayersModel;
  /** Present in models; undefined until compiled. */
  optimizer_?: tf.Optimizer;
  isOptimizerOwned?: boolean;
  isTraining?: boolean;
  collectedTrainableWeights?: tfl.LayerVariable[];
  lossFunctions?: unknown[];
}

export type Container = Layer & ContainerInternals;

/** Fields of a layer's weight: the variable that it reads and writes. */
export interface VariableInternals {
  val: tf.Variable;
  /** Its `trainable` as it was set, also while it is packed and so frozen. */
  trainable_: boolean;
}

/**
 * Fields of a Bidirectional: the layer that it was made of, which only its
 * config shows, and the two that run.
 */
export interface BidirectionalInternals {
  layer: Layer;
  forwardLayer: Layer;
  backwardLayer: Layer;
}

export function isBidirectional(layer: Layer): layer is Layer & BidirectionalInternals {
  return layer.getClassName() === 'Bidirectional';
}

/**
 * A layer, model or weight of tfjs-layers with fields that its types hide. This is the only cast to its
 * private parts: the caller names the fields in an interface.
 */
export function inside<Fields extends object>(of: Layer | tfl.LayersModel | tfl.LayerVariable): Fields {
  return of as unknown as Fields;
}

export function internals(layer: Layer | tfl.LayersModel): LayerInternals {
  return inside(layer);
}

/** A model as the layer that it is, with the fields of a container. */
export function asContainer(model: tfl.LayersModel): Container {
  return inside(model);
}

/** By structure, not by class: a page may hold two copies of tfjs-layers. */
export function isContainer(layer: Layer): layer is Container {
  const {layers, layersByDepth} = inside<Partial<ContainerInternals>>(layer);
  return Array.isArray(layers) && typeof layersByDepth === 'object';
}

export function isLayer(value: unknown): value is Layer {
  const layer = value as Partial<LayerInternals> | null;
  return (
    typeof layer === 'object' &&
    layer !== null &&
    Array.isArray(layer._trainableWeights) &&
    Array.isArray(layer._nonTrainableWeights) &&
    typeof layer.call === 'function'
  );
}

/** Makes sure that a Sequential has the inner model through which it runs. */
export function buildContainer(container: Container): void {
  const {layers, model} = container;
  if (container.getClassName() === 'Sequential' && model == null && layers.length > 0)
    // A Sequential takes the shape from its first layer, though the type wants one.
    container.build(undefined as never);
}
