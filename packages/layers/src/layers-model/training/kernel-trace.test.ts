import * as tf from '@tensorflow/tfjs';
import {NoGradientError} from '@tfjs-peft/kernels';
import {upgrade} from '../../index.js';

/** A layer of the user's own, of which no table knows what it runs. */
class Own extends tf.layers.Layer {
  static className = 'TestOwn';
  constructor(
    private readonly run: (x: tf.Tensor4D) => tf.Tensor,
    name: string,
  ) {
    super({name});
  }
  override call(inputs: tf.Tensor | tf.Tensor[]): tf.Tensor {
    return this.run([inputs].flat()[0] as tf.Tensor4D);
  }
  override computeOutputShape(shape: tf.Shape): tf.Shape {
    const y = this.run(tf.zeros([1, ...(shape as number[]).slice(1)] as [number, number, number, number]));
    return [null, ...y.shape.slice(1)];
  }
}

const LAYERS: [kernel: string, run: (x: tf.Tensor4D) => tf.Tensor][] = [
  ['ResizeBilinear', (x) => tf.image.resizeBilinear(x, [8, 8], false, true)],
  [
    'MirrorPad',
    (x) =>
      tf.mirrorPad(
        x,
        [
          [0, 0],
          [1, 1],
          [1, 1],
          [0, 0],
        ],
        'reflect',
      ),
  ],
  ['Maximum', (x) => tf.maximum(tf.mean(x, 3, true), tf.zeros([1, 1, 1, 4]))],
  ['Cumsum', (x) => tf.cumsum(x, 1)],
  ['DepthToSpace', (x) => tf.depthToSpace(x, 2)],
];

async function build(run: (x: tf.Tensor4D) => tf.Tensor) {
  const input = tf.input({shape: [4, 4, 3]});
  // Seeded: where a random kernel makes every mean negative, nothing flows through Maximum.
  const kernelInitializer = tf.initializers.glorotUniform({seed: 3});
  const site = tf.layers.conv2d({filters: 4, kernelSize: 1, name: 'site', kernelInitializer}).apply(input);
  const moved = tf.layers.batchNormalization({name: 'norm'}).apply(site);
  const output = new Own(run, 'after').apply(moved) as tf.SymbolicTensor;
  const built = tf.model({inputs: input, outputs: output});
  built.compile({loss: 'meanSquaredError', optimizer: tf.train.sgd(0.01)});
  const peft = await upgrade(built, {adapter: {type: 'lora', rank: 1}, targets: ['site'], seed: 1});
  const batch = [
    tf.randomNormal([2, 4, 4, 3], 0, 1, 'float32', 1),
    tf.randomNormal([2, ...(output.shape.slice(1) as number[])], 0, 1, 'float32', 2),
  ] as const;
  return {model: built, peft, batch};
}

beforeAll(() => tf.setBackend('cpu'));

it.each(LAYERS)(
  "%s in a user's own layer is named before the first step, which changes nothing",
  async (kernel, run) => {
    const {model, peft, batch} = await build(run);
    const before = model.weights.map((weight) => weight.read().dataSync().slice());
    const error = await model.fit(...batch, {verbose: 0}).catch((e: unknown) => e);
    expect(error).toBeInstanceOf(NoGradientError);
    expect((error as Error).message).toMatch(
      new RegExp(`'after' \\(TestOwn\\).*${kernel}.*'@tfjs-peft/kernels/gradients'`),
    );
    expect(model.weights.map((weight) => weight.read().dataSync())).toEqual(before);
    expect(peft.report().gaps).toMatchObject([{layer: 'after', className: 'TestOwn', kernel}]);
    expect(Object.hasOwn(model.getLayer('after'), 'call')).toBe(false);
  },
);

it('what is right is no gap: alike operands, an alpha for the channels, a kernel that no trained value reaches', async () => {
  const {model, batch} = await build((x) =>
    tf.add(
      tf.maximum(x, tf.zerosLike(x)),
      tf.mul(tf.cumsum(tf.ones([4]), 0), tf.prelu(x, tf.ones([1, 1, 1, 4]))),
    ),
  );
  const {history} = await model.fit(...batch, {epochs: 3, verbose: 0});
  expect(history.loss!.at(-1)).toBeLessThan(history.loss![0] as number);
});

it.each(LAYERS)('with the gradients imported, a model trains through %s', async (_, run) => {
  await import('@tfjs-peft/kernels/gradients');
  const {model, peft, batch} = await build(run);
  const {history} = await model.fit(...batch, {epochs: 3, verbose: 0});
  expect(history.loss!.at(-1)).toBeLessThan(history.loss![0] as number);
  expect(peft.report().gaps).toEqual([]);
});
