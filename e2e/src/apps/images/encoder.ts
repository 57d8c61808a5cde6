// Of all that is behind the first adapter a gradient is taken.
import '@tfjs-peft/kernels/gradients';
import * as tf from '@tensorflow/tfjs-core';
import type {LayersModel, SymbolicTensor} from '@tensorflow/tfjs-layers';
import {type AdapterConfig, type Peft, upgrade} from '@tfjs-peft/layers';
import {loadNsfwMobilenetLayers} from '../../data/models/nsfw-mobilenet.js';
import type {Picture} from './picture.js';
import {render, type View} from './render.js';

/** Height and width of what the model sees. */
const SIZE = 96;
/** The last layer before the first adapter, and the one that gives the features. */
const FRONT_END = 'block_12_add';
const FEATURES = 'flatten_1';
/** The pointwise convolutions of the last four blocks, and the one behind them. */
const SITES = /^(block_1[3-6]_(expand|project)|Conv_1)$/;
/** Pictures that go through the model together. */
const BATCH = 25;

/**
 * MobileNetV2 that makes a unit vector of a picture, in two parts: all before
 * the first adapter, and the rest.
 */
export class ImageEncoder {
  readonly width = 1280;
  readonly parameters: number;
  /** Shape of what the front gives for a picture, and its size. */
  readonly frontShape: readonly number[];
  readonly frontSize: number;

  private constructor(private readonly model: LayersModel) {
    this.parameters = model.countParams();
    this.frontShape = model.getLayer(FRONT_END).outputShape.slice(1) as number[];
    this.frontSize = tf.util.sizeFromShape([...this.frontShape]);
  }

  static async load(): Promise<ImageEncoder> {
    return new ImageEncoder(await loadNsfwMobilenetLayers(SIZE));
  }

  /** The tensors of the model as it came, always in the same order; not copies. */
  weights(): tf.Tensor[] {
    return this.model.weights.map((weight) => weight.read());
  }

  upgrade(adapter: AdapterConfig, seed: number): Promise<Peft> {
    return upgrade(this.model, {targets: [SITES], adapter, seed});
  }

  /** What routers have added to the loss in the last {@link rest}. */
  losses(): tf.Scalar[] {
    return this.model.calculateLosses();
  }

  /** All before the first adapter, for one view of each picture, [pictures, ...frontShape] row by row. */
  async front(
    pictures: readonly Picture[],
    viewOf: (i: number) => View,
    onBatch: (count: number) => Promise<void>,
  ): Promise<Float32Array> {
    const values = new Float32Array(pictures.length * this.frontSize);
    const pixels = SIZE * SIZE * 3;
    for (let start = 0; start < pictures.length; start += BATCH) {
      const own = pictures.slice(start, start + BATCH);
      const images = new Float32Array(own.length * pixels);
      own.forEach((picture, i) => {
        render(picture, viewOf(start + i), SIZE, images.subarray(i * pixels, (i + 1) * pixels));
      });
      const result = tf.tidy(() =>
        this.run(tf.tensor4d(images, [own.length, SIZE, SIZE, 3]), this.model.layers[0]!.name, FRONT_END),
      );
      values.set(await result.data(), start * this.frontSize);
      result.dispose();
      await onBatch(own.length);
    }
    return values;
  }

  /**
   * Unit vectors [pictures, width] from what the front gave; synchronous, so that a gradient can
   * be taken of what is made of them.
   */
  rest(front: Float32Array, training: boolean): tf.Tensor2D {
    return tf.tidy(() => {
      const input = tf.tensor(front, [front.length / this.frontSize, ...this.frontShape]);
      const features = this.run(input, FRONT_END, FEATURES, training);
      return tf.div(features, tf.maximum(tf.norm(features, 2, -1, true), 1e-12)) as tf.Tensor2D;
    });
  }

  /** {@link rest} of many pictures, row by row. */
  async vectors(front: Float32Array, onBatch: (count: number) => Promise<void>): Promise<Float32Array> {
    const count = front.length / this.frontSize;
    const values = new Float32Array(count * this.width);
    for (let start = 0; start < count; start += BATCH) {
      const end = Math.min(count, start + BATCH);
      const own = this.rest(front.subarray(start * this.frontSize, end * this.frontSize), false);
      values.set(await own.data(), start * this.width);
      own.dispose();
      await onBatch(end - start);
    }
    return values;
  }

  /** Runs the layers behind one layer, whose output is given, up to another, in the order of the model. */
  private run(given: tf.Tensor, from: string, to: string, training = false): tf.Tensor {
    const {layers} = this.model;
    const [first, last] = [from, to].map((name) => layers.findIndex((layer) => layer.name === name));
    const values = new Map([[(layers[first!]!.output as SymbolicTensor).id, given]]);
    for (const layer of layers.slice(first! + 1, last! + 1)) {
      const inputs = [layer.input].flat().map(({id}) => values.get(id)!);
      const output = layer.apply(inputs.length === 1 ? inputs[0]! : inputs, {training}) as tf.Tensor;
      values.set((layer.output as SymbolicTensor).id, output);
    }
    return values.get((layers[last!]!.output as SymbolicTensor).id)!;
  }
}
