import * as tf from '@tensorflow/tfjs';
import {NoGradientError} from '@tfjs-peft/kernels';
import {type UpgradeConfig, upgrade} from '../../index.js';

const ADAPTER: UpgradeConfig = {adapter: {type: 'lora', rank: 1}, targets: 'all-projections', seed: 1};

class PixelShuffle extends tf.layers.Layer {
  static className = 'TestPixelShuffle';
  override call(inputs: tf.Tensor | tf.Tensor[]): tf.Tensor {
    const [x] = [inputs].flat();
    return tf.depthToSpace(x as tf.Tensor4D, 2, 'NHWC');
  }
  override computeOutputShape([batch, height, width, channels]: number[]): tf.Shape {
    return [batch!, 2 * height!, 2 * width!, channels! / 4];
  }
}

function shuffled(): tf.Sequential {
  const model = tf.sequential();
  model.add(tf.layers.conv2d({filters: 4, kernelSize: 1, inputShape: [2, 2, 3], name: 'site'}));
  model.add(new PixelShuffle({name: 'shuffle'}));
  model.compile({loss: 'meanSquaredError', optimizer: 'sgd'});
  return model;
}

function pooled(): tf.Sequential {
  const model = tf.sequential();
  const pool = (name: string) =>
    tf.layers.averagePooling2d({
      poolSize: 3,
      strides: 1,
      padding: 'same',
      name,
      ...(name === 'before' && {inputShape: [4, 4, 3]}),
    });
  model.add(pool('before'));
  model.add(tf.layers.conv2d({filters: 4, kernelSize: 1, name: 'site'}));
  model.add(pool('after'));
  model.compile({loss: 'meanSquaredError', optimizer: 'sgd'});
  return model;
}

beforeAll(() => tf.setBackend('cpu'));

it("a layer's op without a gradient is named, with the layer and the import, and the layers stay as they were", async () => {
  const model = shuffled();
  await upgrade(model, ADAPTER);
  const error = await model
    .fit(tf.ones([2, 2, 2, 3]), tf.ones([2, 4, 4, 1]), {verbose: 0})
    .catch((e: unknown) => e);
  expect(error).toBeInstanceOf(NoGradientError);
  expect((error as Error).message).toMatch(
    /'shuffle' \(TestPixelShuffle\).*DepthToSpace.*'@tfjs-peft\/kernels\/gradients'/,
  );
  expect(Object.hasOwn(model.getLayer('shuffle'), 'call')).toBe(false);
});

it('a wrong gradient behind what is trained is named in the report and before the first step; in front it is not', async () => {
  const model = pooled();
  const peft = await upgrade(model, ADAPTER);
  expect(peft.report().gaps).toEqual([
    {layer: 'after', className: 'AveragePooling2D', kernel: 'AvgPool', by: '@tfjs-peft/kernels/gradients'},
  ]);
  expect(String(peft.report())).toContain("No correct gradient flows through 'after' (AveragePooling2D)");
  const batch = [tf.ones([2, 4, 4, 3]), tf.ones([2, 4, 4, 4])] as const;
  await expect(model.fit(...batch, {verbose: 0})).rejects.toThrow(/'after' \(AveragePooling2D\)/);
  await expect(model.trainOnBatch(...batch)).rejects.toThrow(NoGradientError);
  await peft.disable();
  await peft.detach();
  await model.fit(...batch, {verbose: 0});
});

it('with the gradients imported nothing is named, and both train', async () => {
  await import('@tfjs-peft/kernels/gradients');
  const models: [tf.Sequential, number[], number[]][] = [
    [shuffled(), [2, 2, 2, 3], [2, 4, 4, 1]],
    [pooled(), [2, 4, 4, 3], [2, 4, 4, 4]],
  ];
  for (const [model, from, to] of models) {
    const peft = await upgrade(model, ADAPTER);
    expect(peft.report().gaps).toEqual([]);
    const {history} = await model.fit(tf.ones(from), tf.ones(to), {epochs: 4, verbose: 0});
    expect(history.loss!.at(-1)).toBeLessThan(history.loss![0] as number);
  }
});
