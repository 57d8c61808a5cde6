import '@tensorflow/tfjs-backend-cpu';
import '@tfjs-peft/kernels/cpu';
import * as tf from '@tensorflow/tfjs-core';
import type {CombineParts} from '@tfjs-peft/kernels';
import type {AddWeight, Weight} from '@tfjs-peft/routers';
import type {Adapter, AdapterConfig, AdapterView, SiteDims} from '../adapters/adapter.js';
import {mergeSite} from './merge.js';
import type {Operation} from './operation.js';
import {runSite} from './run-site.js';

const random = (shape: number[], seed: number) => tf.randomUniform(shape, -1, 1, 'float32', seed);

const operation: Operation = {
  dims: {inputDim: 3, outputDim: 4},
  frozen: {kernel: random([3, 4], 1) as tf.Tensor2D, bias: random([4], 2) as tf.Tensor1D},
  activation: {fused: 'relu', apply: (x) => tf.relu(x)},
};

/** An adapter from outside, of whatever parts. */
class Custom implements Adapter {
  readonly type = 'custom';
  private weights!: Record<'a' | 'b' | 'pre' | 'vector', Weight>;

  constructor(
    private readonly fill: (view: AdapterView, weights: Record<string, tf.Tensor>) => CombineParts,
  ) {}

  build({inputDim, outputDim}: SiteDims, add: AddWeight): void {
    const init = {type: 'zeros'} as const;
    this.weights = {
      a: add('a', [inputDim, 2], init),
      b: add('b', [2, outputDim], init),
      pre: add('pre', [inputDim], init),
      vector: add('vector', [outputDim], init),
    };
  }

  parts(view: AdapterView): CombineParts {
    const values = Object.entries(this.weights).map(([name, weight]) => [name, weight.read()]);
    return this.fill(view, Object.fromEntries(values));
  }

  getConfig(): AdapterConfig {
    return {type: this.type} as never;
  }
}

function make(fill: ConstructorParameters<typeof Custom>[0]): Custom {
  const adapter = new Custom(fill);
  let seed = 10;
  adapter.build(operation.dims, (_, shape) => {
    const value = random(shape, seed++);
    return {read: () => value};
  });
  return adapter;
}

const low = (view: AdapterView, {a, b}: Record<string, tf.Tensor>) => ({
  h: view.project({a: a as tf.Tensor2D}).h,
  b: b as tf.Tensor2D,
});
const everywhere = ({input}: AdapterView, gates: number[]) =>
  tf.mul(tf.ones([...input.shape.slice(0, -1), 1]), tf.tensor2d([gates]));
const vector = (tensor: tf.Tensor | undefined) => tensor as tf.Tensor1D;

test.each<[string, ConstructorParameters<typeof Custom>[0]]>([
  ['a low-rank change', (view, weights) => ({...low(view, weights), scale: 3})],
  ['a scaled input', (_, {pre}) => ({pre: vector(pre)})],
  [
    'everything',
    (view, weights) => ({
      ...low(view, weights),
      scale: 0.5,
      alpha: vector(weights.vector),
      beta: vector(weights.vector),
      post: vector(weights.vector),
      offset: vector(weights.vector),
    }),
  ],
  [
    'a mixture whose gates are the same for every row',
    (view, weights) => ({...low(view, weights), mix: 'expert', gates: everywhere(view, [0.25, 2])}),
  ],
  [
    'scales by a table, with such gates',
    (view, weights) => ({
      ...low(view, weights),
      pre: {gates: everywhere(view, [0.5, 1]), table: random([2, 3], 7) as tf.Tensor2D},
      beta: {gates: everywhere(view, [0.5, 1]), table: random([2, 4], 5) as tf.Tensor2D},
      post: {gates: everywhere(view, [2, -1]), table: random([2, 4], 6) as tf.Tensor2D},
    }),
  ],
])('%s is merged', async (_, fill) => {
  const adapter = make(fill);
  const {kernel, bias, post} = await mergeSite(operation, adapter, 'Site');
  const x = random([5, 3], 4);
  const expected = runSite(operation, adapter, x, {label: () => 'Site', training: false});
  const y = tf.relu(tf.add(tf.matMul(x as tf.Tensor2D, kernel), bias ?? operation.frozen.bias!));
  const error = tf.max(tf.abs(tf.sub(post ? tf.mul(y, post) : y, expected))).dataSync()[0]!;
  expect(error).toBeLessThan(1e-5);
});

test.each<[string, ConstructorParameters<typeof Custom>[0], RegExp]>([
  ['looks at the input', ({input}) => ({alpha: tf.mean(input, 0)}), /its gates depend on the input/],
  ['looks at the context', ({context}) => ({alpha: vector(context?.task)}), /its gates depend on the input/],
  [
    'has gates of the input',
    (view, weights) => ({
      ...low(view, weights),
      mix: 'expert',
      gates: tf.sigmoid(tf.slice(view.input, [0, 0], [-1, 2])),
    }),
    /its gates depend on the input/,
  ],
  [
    'has gates of the input, through weights that are zero yet',
    (view, weights) => ({
      ...low(view, weights),
      mix: 'expert',
      gates: tf.softmax(tf.matMul(view.input, tf.zeros([3, 2]))),
    }),
    /its gates depend on the input/,
  ],
  [
    'has a table of scales by the input',
    ({input}) => ({post: {gates: tf.slice(input, [0, 0], [-1, 2]), table: tf.ones([2, 4]) as tf.Tensor2D}}),
    /its gates depend on the input/,
  ],
  [
    'has other gates at each row',
    (view, weights) => ({
      ...low(view, weights),
      mix: 'expert',
      gates: tf.mul(tf.reshape(tf.range(0, view.input.shape[0]!), [-1, 1]), tf.ones([1, 2])),
    }),
    /its gates depend on the input/,
  ],
  [
    'does more than its parts say',
    (view, weights) => {
      const {h, b} = low(view, weights);
      return {h: tf.relu(h), b};
    },
    /the result differs by/,
  ],
])('what %s is refused by name, and leaves no tensor', async (_, fill, why) => {
  const adapter = make(fill);
  tf.engine().startScope();
  const before = tf.memory().numTensors;
  await expect(mergeSite(operation, adapter, "Node 'x'")).rejects.toThrow(
    new RegExp(`Node 'x': its custom adapter cannot be merged exactly: ${why.source}`),
  );
  tf.engine().endScope();
  expect(tf.memory().numTensors).toBe(before);
});
