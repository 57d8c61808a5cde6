// Of all that is behind the first adapter a gradient is taken.
import '@tfjs-peft/kernels/gradients';
import type {GraphModel} from '@tensorflow/tfjs-converter';
import * as tf from '@tensorflow/tfjs-core';
import * as tfl from '@tensorflow/tfjs-layers';
import {type GraphTrainer, trainer, upgrade} from '@tfjs-peft/layers/graph';
import {type Digits, imagesOf, readDigits} from '../../apps/images/digits.js';
import {
  loadNsfwMobilenet,
  NSFW_MOBILENET_NODES,
  NSFW_MOBILENET_SITES,
  NSFW_MOBILENET_SIZE,
} from '../../data/models/nsfw-mobilenet.js';

const CLASSES = 10;
/** Images that go through the frozen part together. */
const FRONT_BATCH = 10;
/**
 * Learning rates of the probe; the one with the best accuracy on the test
 * images counts, to the probe's favour.
 */
const PROBE_RATES = [1e-3, 3e-3, 1e-2];

export interface FinetuneOptions {
  /** Images of each class to train on, and to test on. */
  train: number;
  test: number;
  /** Passes over the images: of the probe, and of the adapters with a head that starts as the probe's did. */
  probeEpochs: number;
  epochs: number;
  batchSize: number;
  learningRate: number;
  seed: number;
  onNote?(note: string): void;
}

export interface FinetuneResult {
  /** Accuracy and loss on the test images: of a head on frozen features, and with adapters. */
  probe: Figures;
  adapted: Figures;
  /**
   * With a head that has learnt nothing: the loss on the test images, and how far the
   * upgrade moved any feature of them.
   */
  start: {loss: number; largestChange: number};
  /** Adapted nodes by their op. */
  sites: Record<string, number>;
  trainable: number;
}

interface Figures {
  accuracy: number;
  loss: number;
}

/** What some nodes of a graph give for some images, in batches, and the classes. */
async function compute(
  model: GraphModel,
  digits: Digits,
  nodes: string[],
): Promise<{xs: tf.NamedTensorMap; ys: tf.Tensor1D}> {
  const parts: tf.Tensor[][] = nodes.map(() => []);
  const {length} = digits.labels;
  for (let start = 0; start < length; start += FRONT_BATCH) {
    const images = imagesOf(digits, start, Math.min(length, start + FRONT_BATCH), NSFW_MOBILENET_SIZE);
    const results = [model.execute(images, nodes)].flat();
    for (const [i, result] of results.entries()) parts[i]!.push(result);
    images.dispose();
    await tf.nextFrame();
  }
  const xs = Object.fromEntries(nodes.map((node, i) => [node, tf.concat(parts[i]!)]));
  tf.dispose(parts);
  return {xs, ys: tf.tensor1d(Float32Array.from(digits.labels))};
}

/** Softmax regression on an image's features and the logits of the model's own classes together. */
function makeHead(model: GraphModel, seed: number): tfl.LayersModel {
  const width = model.weights['Func/StatefulPartitionedCall/input/_262']![0]!.shape[0]!;
  const own = model.outputs[0]!.shape?.at(-1) ?? 5;
  const inputs = [width, own].map((size) => tfl.input({shape: [size]}));
  const joined = tfl.layers.concatenate().apply(inputs) as tfl.SymbolicTensor;
  const dense = tfl.layers.dense({
    units: CLASSES,
    activation: 'softmax',
    kernelInitializer: tfl.initializers.glorotUniform({seed}),
  });
  return tfl.model({inputs, outputs: dense.apply(joined) as tfl.SymbolicTensor});
}

const figures = async (
  own: GraphTrainer,
  data: {xs: tf.NamedTensorMap; ys: tf.Tensor1D},
): Promise<Figures> => {
  const {loss, acc} = await own.evaluate(data, {batchSize: FRONT_BATCH});
  return {accuracy: acc!, loss: loss!};
};

/** Some of the nodes' values, and the classes. */
const pick = ({xs, ys}: {xs: tf.NamedTensorMap; ys: tf.Tensor1D}, names: string[]) => ({
  xs: Object.fromEntries(names.map((name) => [name, xs[name]!])),
  ys,
});

/**
 * The largest difference between what a node gave and what it gives now, from the tensors that lie before it.
 */
async function changeOf(
  model: GraphModel,
  values: tf.NamedTensorMap,
  before: string[],
  node: string,
): Promise<number> {
  const feeds = Object.fromEntries(before.map((name) => [name, values[name]!]));
  const change = tf.tidy(() => {
    const now = model.execute(feeds, node) as tf.Tensor;
    return tf.max(tf.abs(tf.sub(now, values[node]!)));
  });
  const [largest] = await change.data();
  change.dispose();
  return largest!;
}

/**
 * Handwritten digits by nsfwjs's MobileNetV2, a GraphModel: a head on its frozen features, and then the same
 * head with MoLoRA at the pointwise convolutions of the last blocks and at the last product. The blocks
 * before run once for each image.
 */
export async function finetuneDigits(options: FinetuneOptions): Promise<FinetuneResult> {
  const {train, test, probeEpochs, epochs, batchSize, learningRate, seed, onNote = () => {}} = options;
  const model = await loadNsfwMobilenet();
  const images = {train: readDigits(train), test: readDigits(test, train)};
  const {features, logits} = NSFW_MOBILENET_NODES;
  const outputs = [features, logits];
  const compiled = {loss: 'sparseCategoricalCrossentropy', metrics: ['accuracy'], outputs} as const;

  const peft = await upgrade(model, {
    adapter: {type: 'molora', experts: 4, rank: 4, alpha: 8},
    targets: NSFW_MOBILENET_SITES,
    seed,
  });
  const report = peft.report();
  const sites: Record<string, number> = {};
  for (const {status, className} of report.sites) {
    if (status === 'adapted') sites[className] = (sites[className] ?? 0) + 1;
  }
  const probing = makeHead(model, seed);
  const whole = trainer(model, {
    ...compiled,
    outputs,
    head: probing,
    optimizer: tf.train.adam(learningRate),
  } as never);
  const nodes = [...whole.crossing, ...outputs];
  // Features of the untouched model: those of the head's probe.
  peft.disable();
  const training = await compute(model, images.train, nodes);
  const testing = await compute(model, images.test, nodes);
  peft.enable();
  onNote('the frozen part has run');
  const before = await figures(whole, pick(testing, whole.crossing));
  const largestChange = await changeOf(whole.model, testing.xs, whole.crossing, features);

  peft.disable();
  const start = probing.getWeights().map((weight) => weight.clone());
  let best: Figures | undefined;
  for (const rate of PROBE_RATES) {
    probing.setWeights(start);
    const own = trainer(model, {
      ...compiled,
      outputs,
      head: probing,
      optimizer: tf.train.adam(rate),
    } as never);
    await own.fit(pick(training, outputs), {epochs: probeEpochs, batchSize, seed, verbose: 0});
    const result = await figures(own, pick(testing, outputs));
    onNote(`probe at rate ${rate}: accuracy ${result.accuracy.toFixed(3)}, loss ${result.loss.toFixed(3)}`);
    if (best === undefined || result.accuracy > best.accuracy) best = result;
    own.dispose();
  }
  // From the start again: a head that knows its images by heart leaves the adapters nothing to learn from.
  probing.setWeights(start);
  tf.dispose(start);

  peft.enable();
  const fed = whole.crossing;
  for (let epoch = 0; epoch < epochs; epoch++) {
    const {history} = await whole.fit(pick(training, fed), {batchSize, seed: seed + epoch, verbose: 0});
    onNote(`epoch ${epoch + 1}: loss ${(history.loss![0] as number).toFixed(3)}`);
  }
  const adapted = await figures(whole, pick(testing, fed));
  whole.dispose();
  peft.detach();
  probing.dispose();
  tf.dispose([training, testing]);
  model.dispose();
  return {
    probe: best!,
    adapted,
    start: {loss: before.loss, largestChange},
    sites,
    trainable: report.trainable,
  };
}
