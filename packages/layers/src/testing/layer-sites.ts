import * as tf from '@tensorflow/tfjs';
import {type AdapterConfig, PeftWrapper} from '../index.js';
import {ResetAfterGRUCell} from '../repair.js';
import {normal} from './sites.js';

/** A layer of each class and form that is a site, and inputs for it. */
export interface SiteCase {
  name: string;
  /** A fresh layer. */
  make(): tf.layers.Layer;
  inputShape: number[];
  /** Input values for a batch; normal ones if left out. */
  input?: (shape: number[]) => tf.Tensor;
  /** The output can be scaled only. */
  scaling?: boolean;
  /** What the adapter acts on is followed by a nonlinear function of the layer's. */
  recurrent?: boolean;
  /** The order of the kernel's axes as it is in a matrix, if that is another. */
  order?: number[];
}

type Initializers = Record<string, unknown>;

const seeded = (...names: string[]): Initializers =>
  Object.fromEntries(
    names.map((name, i) => [`${name}Initializer`, tf.initializers.randomNormal({stddev: 0.4, seed: i + 3})]),
  );

const conv = (more: object) => () =>
  tf.layers.conv2d({filters: 6, kernelSize: 3, ...seeded('kernel', 'bias'), ...more} as never);

const conv1d = (more: object) => () =>
  tf.layers.conv1d({filters: 6, kernelSize: 3, ...seeded('kernel', 'bias'), ...more} as never);

const depthwise = (more: object) => () =>
  tf.layers.depthwiseConv2d({kernelSize: 3, ...seeded('depthwise', 'bias'), ...more} as never);

const separable = (more: object) => () =>
  tf.layers.separableConv2d({
    filters: 6,
    kernelSize: 3,
    ...seeded('depthwise', 'pointwise', 'bias'),
    ...more,
  } as never);

const transposed = (more: object) => () =>
  tf.layers.conv2dTranspose({filters: 6, kernelSize: 3, ...seeded('kernel', 'bias'), ...more} as never);

const ids = (shape: number[]) =>
  tf.cast(tf.floor(tf.mul(tf.randomUniform(shape, 0, 1, 'float32', 4), 9)), 'int32');

const recurrent = {...seeded('kernel', 'recurrent', 'bias'), recurrentActivation: 'sigmoid'};

/** Every kind of site with the options that change how it computes. */
export const SITE_CASES: SiteCase[] = [
  {
    name: 'dense',
    make: () => tf.layers.dense({units: 6, activation: 'tanh', ...seeded('kernel', 'bias')} as never),
    inputShape: [2, 5],
  },
  {name: 'conv2d 1 x 1', make: conv({kernelSize: 1, activation: 'tanh'}), inputShape: [3, 4, 5]},
  {name: 'conv2d 1 x 1, strides 2', make: conv({kernelSize: 1, strides: 2}), inputShape: [4, 5, 5]},
  {name: 'conv2d 3 x 3', make: conv({activation: 'tanh'}), inputShape: [5, 4, 3]},
  {
    name: 'conv2d 3 x 2, strides 2 x 1, same, without bias',
    make: conv({kernelSize: [3, 2], strides: [2, 1], padding: 'same', useBias: false, activation: 'elu'}),
    inputShape: [5, 4, 3],
  },
  {
    name: 'conv2d 3 x 3, dilation 2, same',
    make: conv({dilationRate: 2, padding: 'same'}),
    inputShape: [6, 5, 3],
  },
  {name: 'conv1d 3, same', make: conv1d({padding: 'same', activation: 'softplus'}), inputShape: [5, 4]},
  {name: 'conv1d 1', make: conv1d({kernelSize: 1}), inputShape: [5, 4]},
  {
    name: 'depthwise conv2d',
    make: depthwise({depthMultiplier: 2, activation: 'sigmoid'}),
    inputShape: [4, 4, 3],
    scaling: true,
  },
  {
    name: 'depthwise conv2d, strides 2, same, dilation that stock ignores',
    make: depthwise({strides: 2, padding: 'same', useBias: false, dilationRate: 2}),
    inputShape: [5, 4, 4],
    scaling: true,
  },
  {
    name: 'separable conv2d',
    make: separable({depthMultiplier: 2, activation: 'tanh'}),
    inputShape: [4, 4, 3],
  },
  {
    name: 'separable conv2d, strides 2, same, without bias',
    make: separable({strides: 2, padding: 'same', useBias: false}),
    inputShape: [5, 4, 3],
  },
  {
    name: 'transposed conv2d',
    make: transposed({activation: 'tanh'}),
    inputShape: [3, 2, 4],
    order: [0, 1, 3, 2],
  },
  {
    name: 'transposed conv2d 3 x 2, strides 2 x 1, same, without bias',
    make: transposed({
      kernelSize: [3, 2],
      strides: [2, 1],
      padding: 'same',
      useBias: false,
      activation: 'elu',
    }),
    inputShape: [3, 2, 4],
    order: [0, 1, 3, 2],
  },
  {
    name: 'transposed conv2d with strides larger than its window',
    make: transposed({kernelSize: 2, strides: 3, padding: 'same'}),
    inputShape: [2, 3, 3],
    order: [0, 1, 3, 2],
  },
  {
    name: 'embedding',
    make: () => tf.layers.embedding({inputDim: 9, outputDim: 6, ...seeded('embeddings')} as never),
    inputShape: [4],
    input: ids,
  },
  {
    name: 'lstm',
    make: () => tf.layers.lstm({units: 3, returnSequences: true, ...recurrent} as never),
    inputShape: [4, 5],
    recurrent: true,
  },
  {
    name: 'gru, backwards, last output',
    make: () => tf.layers.gru({units: 4, goBackwards: true, ...recurrent} as never),
    inputShape: [4, 5],
    recurrent: true,
  },
  {
    name: 'rnn of a GRU that resets after its product, as Keras has it',
    make: () => tf.layers.rnn({cell: new ResetAfterGRUCell({units: 4}) as never, returnSequences: true}),
    inputShape: [4, 5],
    recurrent: true,
  },
  {
    name: 'simple rnn',
    make: () => tf.layers.simpleRNN({units: 4, returnSequences: true, ...recurrent} as never),
    inputShape: [4, 5],
    recurrent: true,
  },
];

/** Inputs of a case, the same every time. */
export function inputOf({inputShape, input}: SiteCase, batch = 2): tf.Tensor {
  const shape = [batch, ...inputShape];
  return input === undefined ? normal(shape, 7) : input(shape);
}

/** A stock layer of the case, built, and the layer with an adapter that took its place. */
export function standIn(
  site: SiteCase,
  config?: AdapterConfig,
  seed = 1,
): {stock: tf.layers.Layer; layer: PeftWrapper} {
  const stock = site.make();
  stock.apply(tf.input({shape: site.inputShape}));
  const layer = PeftWrapper.standIn(stock);
  if (config !== undefined) {
    layer.addAdapter('default', config, seed);
    layer.activate('default');
  }
  return {stock, layer};
}
