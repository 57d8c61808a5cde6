import '@tfjs-peft/kernels/auto';
import * as tf from '@tensorflow/tfjs';
import {DuplicateNameError, UnsupportedSiteError} from '@tfjs-peft/kernels';
import {inspect, type PeftWrapper, registerSite, upgrade} from '../../index.js';
import {disturb, normal, reloaded} from '../../testing/sites.js';

/** A projection to heads, as Keras' EinsumDense with 'bd,dhk->bhk': not a class of tfjs, nor of ours. */
class TestHeads extends tf.layers.Layer {
  static readonly className: string = 'TestHeads';
  readonly heads: number;
  readonly width: number;
  kernel!: ReturnType<tf.layers.Layer['addWeight']>;

  constructor({heads, width, ...args}: {heads: number; width: number; name?: string; inputShape?: number[]}) {
    super(args);
    this.heads = heads;
    this.width = width;
  }
  override build(shape: number[]): void {
    const normal = tf.initializers.randomNormal({seed: 1});
    this.kernel = this.addWeight('kernel', [shape[1]!, this.heads, this.width], 'float32', normal);
    this.built = true;
  }
  override call(inputs: tf.Tensor | tf.Tensor[]): tf.Tensor {
    return tf.tidy(() => {
      const x = [inputs].flat()[0] as tf.Tensor2D;
      return tf.reshape(tf.matMul(x, this.matrix), [-1, this.heads, this.width]);
    });
  }
  get matrix(): tf.Tensor2D {
    return tf.reshape(this.kernel.read(), [-1, this.heads * this.width]);
  }
  override computeOutputShape([batch]: number[]): number[] {
    return [batch!, this.heads, this.width];
  }
  override getConfig(): tf.serialization.ConfigDict {
    return {...super.getConfig(), heads: this.heads, width: this.width};
  }
}

class Unheard extends TestHeads {
  static override readonly className: string = 'Unheard';
}

function modelOf(layer: tf.layers.Layer): tf.Sequential {
  return tf.sequential({layers: [layer, tf.layers.flatten(), tf.layers.dense({units: 2, name: 'out'})]});
}

beforeAll(async () => {
  await tf.setBackend('cpu');
  tf.serialization.registerClass(TestHeads);
  registerSite('TestHeads', {
    kind: 'testHeads',
    operation(layer) {
      const own = layer as TestHeads;
      return {
        get dims() {
          return {inputDim: own.kernel.shape[0]!, outputDim: own.heads * own.width};
        },
        get frozen() {
          return {kernel: own.matrix};
        },
      };
    },
    finish(y, {layer}) {
      const {heads, width} = layer as TestHeads;
      return tf.reshape(y, [-1, heads, width]);
    },
  });
});

test('a layer of the user’s own class is adapted, trained, saved and loaded like any other', async () => {
  const model = modelOf(new TestHeads({heads: 2, width: 3, name: 'heads', inputShape: [4]}));
  const x = normal([6, 4], 1);
  const stock = (model.predict(x) as tf.Tensor).dataSync();
  const peft = await upgrade(model, {
    targets: 'all-projections',
    adapter: {type: 'molora', experts: 2, rank: 1},
    seed: 1,
  });
  expect(peft.report().sites.map(({name, kind, shape, status}) => ({name, kind, shape, status}))).toEqual([
    {name: 'heads', kind: 'testHeads', shape: [4, 6], status: 'adapted'},
    {name: 'out', kind: 'dense', shape: [6, 2], status: 'adapted'},
  ]);
  (model.predict(x) as tf.Tensor).dataSync().forEach((value, i) => {
    expect(value).toBeCloseTo(stock[i]!, 5);
  });
  model.compile({optimizer: tf.train.adam(0.05), loss: 'meanSquaredError'});
  const {history} = await model.fit(x, normal([6, 2], 2), {epochs: 10, verbose: 0});
  expect((history.loss as number[]).at(-1)).toBeLessThan(0.9 * (history.loss as number[])[0]!);
  disturb(model.layers[0] as PeftWrapper, 'default');
  const {copy} = await reloaded(model, (handler) => tf.loadLayersModel(handler));
  expect((copy.predict(x) as tf.Tensor).arraySync()).toEqual((model.predict(x) as tf.Tensor).arraySync());
  peft.detach();
  expect((model.predict(x) as tf.Tensor).dataSync()).toEqual(stock);
});

test('a class that nobody registered is refused, and the error says how to', () => {
  const model = modelOf(new Unheard({heads: 2, width: 3, name: 'heads', inputShape: [4]}));
  expect(() => inspect(model, {targets: ['heads']})).toThrow(UnsupportedSiteError);
  expect(() => inspect(model, {targets: ['heads']})).toThrow(/'heads' is an Unheard.*registerSite/);
});

test('built-in classes keep their own site', () => {
  expect(() => registerSite('Dense', {} as never)).toThrow(DuplicateNameError);
});
