import '@tensorflow/tfjs';
import '@tensorflow/tfjs-backend-wasm';
import '@tfjs-peft/kernels/gradients';
import '@tfjs-peft/kernels/wasm-training';
import * as tf from '@tensorflow/tfjs-core';
import {trainer, upgrade} from '../../graph.js';
import {fill} from '../testing/run.js';
import {slopes} from '../testing/slopes.js';
import {IMAGE, WHOLE_GRAPHS} from '../testing/whole-graphs.js';

const CONVOLUTIONS = [{op: '_FusedConv2D'}];
const images = () => tf.randomUniform([2, ...IMAGE], -1, 1, 'float32', 5);

async function trained(build: (typeof WHOLE_GRAPHS)[string]) {
  const model = await build().load();
  const peft = await upgrade(model, {
    adapter: {type: 'lora', rank: 2, alpha: 2},
    targets: CONVOLUTIONS,
    seed: 1,
  });
  return {peft, training: trainer(model, {loss: 'meanSquaredError', optimizer: tf.train.adam(0.01)})};
}

describe.each(['cpu', 'wasm'])('a whole graph on %s', (backend) => {
  beforeAll(() => tf.setBackend(backend));

  it.each(Object.entries(WHOLE_GRAPHS))(
    '%s: its gradients are what central differences say',
    async (_, build) => {
      const {peft, training} = await trained(build);
      expect(training.preflight()).toEqual([]);
      fill(peft);
      const x = images();
      const measured = await slopes(training, x);
      // The first convolution's A and B among them: every node of the graph lies behind them.
      expect(measured.length).toBe(peft.trainableVariables().length + 1);
      expect(measured.filter(({apart}) => !(apart < 1e-2))).toEqual([]);
      training.dispose();
      x.dispose();
    },
  );

  it.each(Object.entries(WHOLE_GRAPHS))('%s: learns', async (_, build) => {
    const {training} = await trained(build);
    const xs = images();
    const before = [await training.predict(xs)].flat();
    const ys = before.map((out) => tf.add(out, tf.randomUniform(out.shape, 0.1, 0.3, 'float32', 9)));
    const {history} = await training.fit(
      {xs, ys: ys.length === 1 ? ys[0]! : ys},
      {epochs: 4, batchSize: 2, verbose: 0},
    );
    expect(history.loss!.at(-1)).toBeLessThan(history.loss![0] as number);
    training.dispose();
    tf.dispose([xs, before, ys]);
  });
});
