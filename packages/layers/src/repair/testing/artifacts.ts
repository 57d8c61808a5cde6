import * as tf from '@tensorflow/tfjs-core';

/**
 * A graph of few nodes, as the converter writes it: constants with values, other
 * nodes with op, inputs and attributes.
 */
export interface SmallGraph {
  inputs: Record<string, number[]>;
  constants?: Record<string, {shape: number[]; values: number[]; dtype?: 'float32' | 'int32'}>;
  nodes: Record<string, {op: string; input: string[]; attr?: Record<string, object>}>;
}

export function graphArtifacts({inputs, constants = {}, nodes}: SmallGraph): tf.io.ModelArtifacts {
  const dims = (shape: number[]) => ({dim: shape.map((size) => ({size: String(size)}))});
  const typed = Object.entries(constants).map(([name, {shape, values, dtype = 'float32'}]) => ({
    spec: {name, shape, dtype},
    bytes: dtype === 'float32' ? Float32Array.from(values) : Int32Array.from(values),
  }));
  return {
    format: 'graph-model',
    modelTopology: {
      node: [
        ...Object.entries(inputs).map(([name, shape]) => ({
          name,
          op: 'Placeholder',
          attr: {dtype: {type: 'DT_FLOAT'}, shape: {shape: dims(shape)}},
        })),
        ...typed.map(({spec: {name, dtype}}) => ({
          name,
          op: 'Const',
          attr: {dtype: {type: dtype === 'float32' ? 'DT_FLOAT' : 'DT_INT32'}},
        })),
        ...Object.entries(nodes).map(([name, node]) => ({name, ...node})),
      ],
      versions: {producer: 2129},
    },
    weightSpecs: typed.map(({spec}) => spec),
    weightData: tf.io.concatenateArrayBuffers(typed.map(({bytes}) => bytes.buffer as ArrayBuffer)),
  };
}

interface KerasLayer {
  class_name: string;
  config?: Record<string, unknown>;
  weights?: Record<string, {shape: number[]; values: number[]}>;
}

/** A Sequential as Keras 2 writes it to h5, with the input's shape in its first layer. */
export function sequentialArtifacts(inputShape: number[], layers: KerasLayer[]): tf.io.ModelArtifacts {
  const names = layers.map(({class_name}, i) => `${class_name.toLowerCase().replace(/\W/g, '_')}_${i}`);
  const weights = layers.flatMap(({weights = {}}, i) =>
    Object.entries(weights).map(([name, {shape, values}]) => ({
      spec: {name: `${names[i]}/${name}`, shape, dtype: 'float32' as const},
      bytes: Float32Array.from(values),
    })),
  );
  return {
    format: 'layers-model',
    generatedBy: 'keras v2.19.0',
    modelTopology: {
      keras_version: '2.19.0',
      model_config: {
        class_name: 'Sequential',
        config: {
          name: 'small',
          layers: layers.map(({class_name, config = {}}, i) => ({
            class_name,
            config: {
              name: names[i],
              trainable: true,
              dtype: 'float32',
              ...(i === 0 && {batch_input_shape: [null, ...inputShape]}),
              ...config,
            },
          })),
        },
      },
    },
    weightSpecs: weights.map(({spec}) => spec),
    weightData: tf.io.concatenateArrayBuffers(weights.map(({bytes}) => bytes.buffer as ArrayBuffer)),
  };
}
