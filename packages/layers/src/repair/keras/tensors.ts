import type {LayerConfig, TensorRef} from './config.js';

interface KerasTensor {
  class_name: '__keras_tensor__';
  config: {keras_history: TensorRef; dtype?: string};
}

/** A call of a layer as Keras 3 writes it. */
export interface Keras3Node {
  args: unknown[];
  kwargs?: Record<string, unknown>;
}

export function isKeras3Node(node: unknown): node is Keras3Node {
  return typeof node === 'object' && node !== null && Array.isArray((node as Keras3Node).args);
}

export function keras3Nodes(layer: LayerConfig): Keras3Node[] {
  return (layer.inbound_nodes ?? []).filter(isKeras3Node);
}

export function tensorRef(value: unknown): TensorRef | undefined {
  const tensor = value as Partial<KerasTensor> | null | undefined;
  return tensor?.class_name === '__keras_tensor__' ? tensor.config?.keras_history : undefined;
}

/** All tensors in an argument, in order, however deep it nests them. */
export function tensorsIn(value: unknown): TensorRef[] {
  const ref = tensorRef(value);
  if (ref !== undefined) return [ref];
  return typeof value === 'object' && value !== null ? Object.values(value).flatMap(tensorsIn) : [];
}

export function sameTensor(a: TensorRef, b: TensorRef): boolean {
  return a.every((part, i) => part === b[i]);
}
