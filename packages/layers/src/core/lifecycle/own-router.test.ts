import '@tensorflow/tfjs-backend-cpu';
import '@tfjs-peft/kernels/cpu';
import {mkdtemp, rm} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import * as tf from '@tensorflow/tfjs-core';
import {
  type AddWeight,
  defineRouter,
  type Router,
  type RouterConfig,
  type RouterView,
  type Weight,
} from '@tfjs-peft/routers';
import {type AdapterConfig, type AdapterRouterConfig, loadPeft, upgrade} from '../../index.js';
import {compile, nested, predict, train} from '../../testing/models.js';

let root: string;

beforeAll(async () => {
  await tf.setBackend('cpu');
  root = await mkdtemp(join(tmpdir(), 'peft-router-'));
});

afterAll(() => rm(root, {recursive: true}));

describe('a router of the user’s own', () => {
  /** softmax(x W)², scaled to sum to 1. */
  class Sharper implements Router {
    readonly normalized = true;
    private kernel!: Weight;
    constructor(readonly experts: number) {}
    build(inputDim: number, add: AddWeight) {
      this.kernel = add('sharp', [inputDim, this.experts], {type: 'normal', stddev: 0.5});
    }
    route({input}: RouterView) {
      const rows = tf.reshape(input, [-1, input.shape.at(-1)!]) as tf.Tensor2D;
      const squared = tf.square(tf.softmax(tf.matMul(rows, this.kernel.read() as tf.Tensor2D)));
      const shape = [...input.shape.slice(0, -1), this.experts];
      const gates = tf.reshape(tf.div(squared, tf.sum(squared, -1, true)), shape);
      return {gates, probabilities: gates};
    }
    getConfig() {
      return {type: 'sharper', experts: this.experts} as unknown as RouterConfig;
    }
  }
  const router = {type: 'sharper'} as unknown as AdapterRouterConfig;

  it.each<AdapterConfig>([
    {type: 'molora', experts: 2, rank: 2, router},
    {type: 'mov', experts: 2, router},
    {type: 'lime', experts: 2, router},
  ])('is trained, saved and loaded with $type, once it is defined', async (adapter) => {
    const place = join(root, `sharper-${adapter.type}`);
    const refused = upgrade(nested(), {adapter: {...adapter, router: {type: 'dull'}} as never});
    await expect(refused).rejects.toThrow(/[Uu]nknown router type 'dull'/);
    defineRouter({type: 'sharper', create: ({experts}) => new Sharper(experts)});
    const model = nested();
    const peft = await upgrade(model, {adapter, seed: 2});
    compile(model);
    const start = peft.trainableVariables().map((variable) => [variable.name, variable.arraySync()] as const);
    await train(model);
    const isKernel = (name: string) => /\/sharp(_\d+)?$/.test(name);
    const moved = start.filter(([name]) => isKernel(name));
    expect(moved.length).toBeGreaterThan(0);
    for (const [name, value] of moved) {
      const now = peft.trainableVariables().find((variable) => variable.name === name)!;
      expect(now.arraySync()).not.toEqual(value);
    }
    await peft.save(place);
    const fresh = nested();
    const loaded = await loadPeft(fresh, place);
    expect(loaded.trainableVariables().filter(({name}) => isKernel(name))).toHaveLength(moved.length);
    expect(await predict(fresh)).toEqual(await predict(model));
  });
});
