import type {io} from '@tensorflow/tfjs-core';
import {util} from '@tensorflow/tfjs-core';
import {type Quantization, quantize} from './quantize.js';

/** An attribute: a truth value, a whole number, a text, texts, or the JSON of any other kind. */
export type Attribute = boolean | number | string | string[] | object;

interface NodeDef {
  name: string;
  op: string;
  input?: string[];
  attr: Record<string, object>;
}

interface Constant {
  name: string;
  shape: number[];
  values: Float32Array | Int32Array;
}

export type Type = 'DT_FLOAT' | 'DT_INT32';

/**
 * Writes a graph node by node, as the converter's files have it: constants with their bytes apart, a
 * signature, attributes in base64.
 */
export class GraphWriter {
  private readonly constants: Constant[] = [];
  private readonly nodes: NodeDef[] = [];
  private readonly inputs: Record<string, object> = {};
  private readonly outputs: Record<string, object> = {};

  placeholder(name: string, shape: number[], dtype: Type): string {
    this.nodes.push({name, op: 'Placeholder', attr: {shape: {shape: dims(shape)}, dtype: {type: dtype}}});
    this.inputs[`${name}:0`] = {name: `${name}:0`, dtype, tensorShape: dims(shape)};
    return name;
  }

  float(name: string, shape: number[], values: ArrayLike<number>): string {
    return this.constant({name, shape, values: Float32Array.from(values)});
  }

  scalar(name: string, value: number): string {
    return this.float(name, [], [value]);
  }

  /** A whole number, or a vector of them. */
  ints(name: string, values: number | number[]): string {
    const shape = typeof values === 'number' ? [] : [values.length];
    return this.constant({name, shape, values: Int32Array.from([values].flat())});
  }

  node(name: string, op: string, input: string[], attr: Record<string, Attribute> = {}): string {
    const written = Object.entries(attr).map(([key, value]) => [key, attribute(value)]);
    this.nodes.push({name, op, input, attr: {T: {type: 'DT_FLOAT'}, ...Object.fromEntries(written)}});
    return name;
  }

  /** The converter ends every graph in Identity nodes, by which the signature names its outputs. */
  output(key: string, from: string, shape: number[]): void {
    const count = Object.keys(this.outputs).length;
    const name = this.node(count === 0 ? 'Identity' : `Identity_${count}`, 'Identity', [from]);
    this.outputs[key] = {name: `${name}:0`, dtype: 'DT_FLOAT', tensorShape: dims(shape)};
  }

  /**
   * Every float constant is stored in the type given, scalars too, as `--quantize_uint8=*` and its like do.
   */
  artifacts(quantization?: Quantization): io.ModelArtifacts {
    const constants = this.constants.map((constant) => {
      const dtype: io.WeightsManifestEntry['dtype'] =
        constant.values instanceof Int32Array ? 'int32' : 'float32';
      const {name, shape, values} = constant;
      if (quantization === undefined || dtype === 'int32') return {spec: {name, shape, dtype}, bytes: values};
      const stored = quantize(values as Float32Array, quantization);
      return {spec: {name, shape, dtype, quantization: stored.spec}, bytes: stored.bytes};
    });
    const size = constants.reduce((sum, {bytes}) => sum + bytes.byteLength, 0);
    const data = new Uint8Array(size);
    let offset = 0;
    for (const {bytes} of constants) {
      data.set(new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength), offset);
      offset += bytes.byteLength;
    }
    return {
      format: 'graph-model',
      generatedBy: '2.19.0',
      convertedBy: 'TensorFlow.js Converter v4.22.0',
      signature: {inputs: this.inputs, outputs: this.outputs},
      modelTopology: {
        node: structuredClone(this.nodes),
        library: {},
        versions: {producer: 2129},
      },
      weightSpecs: constants.map(({spec}) => spec),
      weightData: data.buffer,
    };
  }

  private constant(constant: Constant): string {
    const {name, shape, values} = constant;
    if (util.sizeFromShape(shape) !== values.length) {
      throw new Error(`constant ${name} [${shape}] has ${values.length} values`);
    }
    const dtype = values instanceof Int32Array ? 'DT_INT32' : 'DT_FLOAT';
    this.constants.push(constant);
    this.nodes.push({
      name,
      op: 'Const',
      attr: {dtype: {type: dtype}, value: {tensor: {dtype, tensorShape: dims(shape)}}},
    });
    return name;
  }
}

function dims(shape: readonly number[]): object {
  return shape.length === 0 ? {} : {dim: shape.map((size) => ({size: String(size)}))};
}

function attribute(value: Attribute): object {
  if (typeof value === 'boolean') return {b: value};
  if (typeof value === 'number') return {i: String(value)};
  if (typeof value === 'string') return {s: btoa(value)};
  return Array.isArray(value) ? {list: {s: value.map((text) => btoa(text))}} : value;
}
