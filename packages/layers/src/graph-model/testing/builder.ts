import {type GraphModel, loadGraphModel} from '@tensorflow/tfjs-converter';
import * as tf from '@tensorflow/tfjs-core';
import {uniformNumbers} from '@tfjs-peft/routers';
import type {NodeDef} from '../../core/io/graph-editor.js';

/** An attribute's value: a text, a truth value, whole numbers, texts, or a type such as `DT_FLOAT`. */
export type Attribute = string | boolean | number | number[] | string[] | {type: string};

/** Writes graphs node by node, in the form of the converter's files. */
export class GraphBuilder {
  private readonly nodes: NodeDef[] = [];
  private readonly specs: tf.io.WeightsManifestEntry[] = [];
  private readonly data: ArrayBuffer[] = [];
  private readonly inputs: Record<string, unknown> = {};
  private readonly outputs: Record<string, unknown> = {};
  private seed = 1;

  /** An input; -1 for axes of any size. */
  input(
    name: string,
    shape: number[],
    dtype: 'DT_FLOAT' | 'DT_INT32' | 'DT_STRING' | 'DT_RESOURCE' = 'DT_FLOAT',
  ): string {
    const dims = {dim: shape.map((size) => ({size: String(size)}))};
    this.nodes.push({name, op: 'Placeholder', attr: {shape: {shape: dims}, dtype: {type: dtype}}});
    this.inputs[`${name}:0`] = {name: `${name}:0`, dtype, tensorShape: dims};
    return name;
  }

  /** A float constant; values between -scale and scale by default. */
  weight(
    name: string,
    shape: number[],
    {values, scale = 0.5}: {values?: number[]; scale?: number} = {},
  ): string {
    const random = uniformNumbers(this.seed++);
    const size = tf.util.sizeFromShape(shape);
    const own = Float32Array.from(values ?? Array.from({length: size}, () => (2 * random() - 1) * scale));
    return this.constant(name, {name, shape, dtype: 'float32'}, own.buffer as ArrayBuffer, 'DT_FLOAT');
  }

  /** A float constant that is stored in fewer bits. */
  quantized(name: string, shape: number[], dtype: 'uint8' | 'float16'): string {
    const random = uniformNumbers(this.seed++);
    const size = tf.util.sizeFromShape(shape);
    if (dtype === 'uint8') {
      const bytes = Uint8Array.from({length: size}, () => Math.floor(random() * 256));
      const quantization = {dtype, min: -0.5, scale: 1 / 255};
      return this.constant(name, {name, shape, dtype: 'float32', quantization}, bytes.buffer, 'DT_FLOAT');
    }
    // Halves between -1 and 1: a sign, exponents of 10 to 13, any fraction.
    const halves = Uint16Array.from(
      {length: size},
      () =>
        (Math.floor(random() * 2) << 15) |
        ((10 + Math.floor(random() * 4)) << 10) |
        Math.floor(random() * 1024),
    );
    const quantization = {dtype};
    return this.constant(name, {name, shape, dtype: 'float32', quantization}, halves.buffer, 'DT_FLOAT');
  }

  /** A constant of whole numbers: a vector or a scalar, if no shape is given. */
  integers(
    name: string,
    values: number[] | number,
    shape = Array.isArray(values) ? [values.length] : [],
  ): string {
    const data = Int32Array.from([values].flat()).buffer;
    return this.constant(name, {name, shape, dtype: 'int32'}, data, 'DT_INT32');
  }

  /** A constant of truth values. */
  truths(name: string, values: boolean[], shape = [values.length]): string {
    const data = Uint8Array.from(values, Number).buffer;
    return this.constant(name, {name, shape, dtype: 'bool'}, data, 'DT_BOOL');
  }

  node(op: string, name: string, input: string[], attributes: Record<string, Attribute> = {}): string {
    const attr = Object.fromEntries(Object.entries(attributes).map(([key, value]) => [key, encode(value)]));
    this.nodes.push({name, op, input, attr: {T: {type: 'DT_FLOAT'}, ...attr}});
    return name;
  }

  output(name: string): this {
    this.outputs[name] = {name: `${name}:0`, dtype: 'DT_FLOAT'};
    return this;
  }

  artifacts(): tf.io.ModelArtifacts {
    return {
      format: 'graph-model',
      generatedBy: '2.15.0',
      convertedBy: 'a test',
      modelTopology: {node: this.nodes, library: {}, versions: {producer: 1882}},
      weightSpecs: this.specs,
      weightData: tf.io.concatenateArrayBuffers(this.data),
      signature: {inputs: this.inputs, outputs: this.outputs},
    };
  }

  load(): Promise<GraphModel> {
    // As from a file: models share no objects.
    const {weightData, ...rest} = this.artifacts();
    return loadGraphModel(tf.io.fromMemory({...structuredClone(rest), weightData: weightData!}));
  }

  private constant(name: string, spec: tf.io.WeightsManifestEntry, data: ArrayBuffer, type: string): string {
    this.nodes.push({name, op: 'Const', attr: {dtype: {type}}});
    this.specs.push(spec);
    this.data.push(data);
    return name;
  }
}

/** As in the converter's JSON: texts in base64, whole numbers as texts. */
function encode(value: Attribute): unknown {
  if (typeof value === 'string') return {s: btoa(value)};
  if (typeof value === 'boolean') return {b: value};
  if (typeof value === 'number') return Number.isInteger(value) ? {i: String(value)} : {f: value};
  if (!Array.isArray(value)) return value;
  const texts = typeof value[0] === 'string';
  return {list: texts ? {s: value.map((text) => btoa(text as string))} : {i: value.map(String)}};
}
