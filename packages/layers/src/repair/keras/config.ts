import type {Log} from '../log.js';

/** A layer as a Keras config writes it; what Keras calls `class_name` tfjs reads as `className`. */
export interface LayerConfig {
  class_name: string;
  config: Record<string, unknown>;
  /** In a functional model. */
  name?: string;
  inbound_nodes?: unknown[];
  [key: string]: unknown;
}

/** What a rule sees: a layer at any depth, and what holds it. */
export type LayerRule = (layer: LayerConfig, log: Log) => void;
/** A rule about how the layers of one model are joined. */
export type ContainerRule = (container: LayerConfig, log: Log) => void;

/** Classes whose `config` holds layers. */
const CONTAINERS = new Set(['Functional', 'Model', 'Sequential']);

export function isLayerConfig(value: unknown): value is LayerConfig {
  const layer = value as Partial<LayerConfig> | null;
  return (
    typeof layer === 'object' &&
    layer !== null &&
    typeof layer.class_name === 'string' &&
    typeof layer.config === 'object'
  );
}

export function isContainer(layer: LayerConfig): boolean {
  return CONTAINERS.has(layer.class_name);
}

/** The layers of a container; Keras before 2.2 wrote those of a Sequential as its config itself. */
export function layersOf(container: LayerConfig): LayerConfig[] {
  const {config} = container;
  if (Array.isArray(config)) return config as LayerConfig[];
  return (config.layers ?? []) as LayerConfig[];
}

export function nameOf(layer: LayerConfig): string {
  return (layer.config.name ?? layer.name ?? layer.class_name) as string;
}

/** The layer inside a wrapper such as TimeDistributed or Bidirectional. */
export function wrappedIn(layer: LayerConfig): LayerConfig | undefined {
  return isLayerConfig(layer.config.layer) ? layer.config.layer : undefined;
}

/** Every layer of a model at every depth, with the container or wrapper that holds it. */
export function* everyLayer(holder: LayerConfig): Generator<{layer: LayerConfig; holder: LayerConfig}> {
  const wrapped = wrappedIn(holder);
  for (const layer of wrapped ? [wrapped] : isContainer(holder) ? layersOf(holder) : []) {
    yield {layer, holder};
    yield* everyLayer(layer);
  }
}

/** A model and the models inside it. */
export function* everyContainer(model: LayerConfig): Generator<LayerConfig> {
  if (isContainer(model)) yield model;
  for (const {layer} of everyLayer(model)) if (isContainer(layer)) yield layer;
}

/** Where Keras puts a tensor: layer, its call, its output. */
export type TensorRef = [layer: string, node: number, tensor: number];
