import '@tfjs-peft/kernels/auto';
import * as tf from '@tensorflow/tfjs';
import {ShapeError, UnsupportedSiteError} from '@tfjs-peft/kernels';
import {defineRouter, type Router, type RouterConfig} from '@tfjs-peft/routers';
import {
  AdaptedSite,
  type Adapter,
  type AdapterConfig,
  type AdapterRouterConfig,
  defineAdapter,
  type Operation,
} from '../../index.js';
import {SITE_CASES, standIn} from '../../testing/layer-sites.js';
import {normal} from '../../testing/sites.js';

beforeAll(async () => {
  await tf.setBackend('cpu');
});

const kernel = () => normal([3, 4], 1) as tf.Tensor2D;

function siteOf(operation: Partial<Operation> = {}): AdaptedSite {
  const site = new AdaptedSite(
    {dims: {inputDim: 3, outputDim: 4}, frozen: {kernel: kernel()}, ...operation},
    () => `Node 'x'`,
  );
  site.build({prefix: 'x/', entered: false});
  return site;
}

test('without an adapter a site gives the frozen output, with its activation', () => {
  const x = normal([2, 3], 2) as tf.Tensor2D;
  const site = siteOf({activation: {fused: 'relu', apply: tf.relu}});
  const want = tf.relu(tf.matMul(x, kernel()));
  expect(tf.max(tf.abs(tf.sub(site.apply(x), want))).dataSync()[0]).toBeLessThan(1e-6);
  expect(site.names).toEqual([]);
  expect(site.active).toBeNull();
});

test('an operation of its own says how it multiplies, and nothing is computed that nobody looks at', () => {
  const calls: string[] = [];
  const product = (name: string) => (x: tf.Tensor, a?: tf.Tensor2D) => {
    calls.push(name);
    return tf.matMul(tf.mul(x, 2) as tf.Tensor2D, a ?? kernel());
  };
  const site = siteOf({
    base: product('base'),
    project: product('project'),
    routed: (x) => {
      calls.push('routed');
      return x;
    },
  });
  const x = normal([2, 3], 2) as tf.Tensor2D;
  const doubled = tf.matMul(tf.mul(x, 2) as tf.Tensor2D, kernel());
  for (const [config, used] of [
    [{type: 'lora', rank: 2}, ['project', 'base']],
    [{type: 'ia3'}, ['base']],
    [{type: 'molora', experts: 2}, ['routed', 'project', 'base']],
  ] as [AdapterConfig, string[]][]) {
    site.add('a', config, 1);
    site.activate('a');
    calls.length = 0;
    expect(tf.max(tf.abs(tf.sub(site.apply(x), doubled))).dataSync()[0]).toBeLessThan(1e-5);
    expect(calls).toEqual(used);
    site.remove('a');
  }
});

test('an adapter that scales the input is refused where there is no plain product', () => {
  defineAdapter({
    type: 'Test_Pre',
    create: (): Adapter => ({
      type: 'Test_Pre',
      build() {},
      parts: () => ({pre: tf.tensor1d([1, 2, 3])}),
      getConfig: () => ({type: 'Test_Pre'}) as unknown as AdapterConfig,
    }),
  });
  const config = {type: 'Test_Pre'} as unknown as AdapterConfig;
  const x = normal([2, 3], 2) as tf.Tensor2D;
  const plain = siteOf();
  const other = siteOf({base: (y) => tf.matMul(y as tf.Tensor2D, kernel())});
  for (const site of [plain, other]) {
    site.add('a', config);
    site.activate('a');
  }
  const want = tf.matMul(tf.mul(x, tf.tensor1d([1, 2, 3])) as tf.Tensor2D, kernel());
  expect(tf.max(tf.abs(tf.sub(plain.apply(x), want))).dataSync()[0]).toBeLessThan(1e-5);
  expect(() => other.apply(x)).toThrow(UnsupportedSiteError);
  expect(() => other.apply(x)).toThrow(/Node 'x': its adapter scales the input/);
});

test('a router that reads the frozen output is refused where nothing can be projected', () => {
  defineRouter({
    type: 'Test_Base',
    create: ({experts}): Router => ({
      experts,
      needs: {base: 2},
      build() {},
      route: ({base}) => ({gates: tf.softmax(base!), probabilities: tf.softmax(base!)}),
      getConfig: () => ({type: 'Test_Base', experts}) as unknown as RouterConfig,
    }),
  });
  const router = {type: 'Test_Base'} as unknown as AdapterRouterConfig;
  const depthwise = SITE_CASES.find(({name}) => name === 'depthwise conv2d')!;
  const {layer} = standIn(depthwise, {type: 'mov', experts: 2, router});
  expect(() => layer.call(normal([2, 4, 4, 3], 1), {})).toThrow(/can only be scaled/);
  const conv = SITE_CASES.find(({name}) => name === 'conv2d 3 x 3')!;
  const {layer: good} = standIn(conv, {type: 'mov', experts: 2, router});
  expect((good.call(normal([2, 5, 4, 3], 1), {}) as tf.Tensor).shape).toEqual([2, 3, 2, 6]);
});

test('a mask that was set counts where it fits, else the one that is passed along; one that fits nothing is refused', () => {
  const site = siteOf();
  const masks: unknown[] = [];
  defineAdapter({
    type: 'Test_Mask',
    create: (): Adapter => ({
      type: 'Test_Mask',
      build() {},
      parts: ({context}) => {
        masks.push(context?.mask?.arraySync());
        return {};
      },
      getConfig: () => ({type: 'Test_Mask'}) as unknown as AdapterConfig,
    }),
  });
  site.add('a', {type: 'Test_Mask'} as unknown as AdapterConfig);
  site.activate('a');
  const mask = tf.tensor2d([[1, 0]]);
  const longer = tf.tensor2d([[1, 1, 0]], [1, 3], 'bool');
  site.context = () => ({mask});
  site.apply(normal([1, 2, 3], 1), {mask: tf.ones([1, 2])});
  site.apply(normal([1, 3, 3], 1), {mask: longer});
  // Rows of another kind: whole samples, places of an image, tokens that lie flat, with padding or without.
  site.apply(normal([1, 3], 1), {});
  site.apply(normal([1, 2, 2, 3], 1), {});
  site.apply(normal([2, 3], 1), {});
  expect(masks).toEqual([[[1, 0]], [[1, 1, 0]], undefined, undefined, [1, 0]]);
  for (const shape of [
    [1, 4, 3],
    [2, 4, 3],
  ]) {
    const call = () => site.apply(normal(shape, 1), {mask: longer});
    expect(call).toThrow(ShapeError);
    expect(call).toThrow(/mask has shape \[1,2\], but the tokens here are \[/);
  }
});
