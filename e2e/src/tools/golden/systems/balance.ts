import * as tf from '@tensorflow/tfjs-core';
import * as tfl from '@tensorflow/tfjs-layers';
import {balanceCallback, balanceScale, type PeftDense, upgrade} from '@tfjs-peft/layers';
import {importanceLoss, usageDivergence} from '@tfjs-peft/routers';
import {type Deviations, deviation, Worst} from '../compare.js';
import {type Golden, type GoldenCase, tensorOf} from '../format.js';
import {limeCase} from './expert-configs.js';
import {LAYER_NAMES, tensorFrom} from './expert-weights.js';

type Tensors = Map<string, Golden>;

interface BalanceData {
  layers: [number, number][];
  balance_coef: number;
  importance_coef: number;
  kl_coef: number;
  balance_every: number;
  calls: number;
  warmup_steps: number;
}

/**
 * A case of layers that LiME balances together: the losses of several calls of a model whose routers add
 * theirs by a schedule, and the gradients of the first call.
 */
export async function runBalance(golden: GoldenCase, tensors: Tensors): Promise<Deviations> {
  const config = golden.config as unknown as BalanceData;
  const {config: adapter} = limeCase(golden, tensors);
  const {balance_coef: coefficient, warmup_steps: warmupSteps} = config;
  const router = {
    ...(adapter as {router: object}).router,
    importance: config.importance_coef,
    divergence: config.kl_coef,
  };
  const model = tfl.sequential({
    layers: config.layers.map(([inputDim, units], i) =>
      tfl.layers.dense({units, useBias: false, name: `layer${i + 1}`, inputShape: [null, inputDim]}),
    ),
  });
  const peft = await upgrade(model, {adapter: {...adapter, router} as typeof adapter});
  const variables = new Map<string, tf.Variable>();
  for (const layer of model.layers as PeftDense[]) {
    const weights = layer.adapterWeights('default');
    for (const [stored, value] of tensors) {
      if (!stored.startsWith(`param.${layer.name}.`)) continue;
      const name = stored.slice(`param.${layer.name}.`.length);
      const variable = name === 'base_weight' ? layer.base[0]! : weights.get(LAYER_NAMES[name] ?? '');
      if (!variable) throw new Error(`the layer has no weight for ${stored}`);
      const tensor = tensorFrom(value);
      variable.write(tensor);
      tensor.dispose();
      if (name !== 'base_weight') variables.set(`grad.${layer.name}.${name}`, variable.read() as tf.Variable);
    }
  }
  const x = tf.tidy(() => tf.variable(tensorFrom(tensorOf(tensors, 'in.x'))));
  variables.set('grad.x', x);
  const cotangent = tensorFrom(tensorOf(tensors, 'cot.y'));
  const task = () => tf.mean(tf.mul(model.apply(x, {training: true}) as tf.Tensor, cotangent)) as tf.Scalar;
  const withLosses = () => {
    const own = task();
    return model.calculateLosses().reduce((sum, loss) => tf.add(sum, loss), own);
  };
  const [forward, grad] = [new Worst(), new Worst()];
  const expectTensor = (name: string, got: ArrayLike<number>) =>
    forward.add(name, deviation(name, got, tensorOf(tensors, name)));
  try {
    const schedule = {coefficient, every: config.balance_every, average: true};
    const callback = balanceCallback(peft, schedule);
    await callback.onTrainBegin!();
    peft.trackUsage();
    const losses: number[] = [];
    for (let call = 0; call < config.calls; call++) {
      await callback.onBatchBegin!(call);
      const {value, grads} = tf.variableGrads(withLosses, [...variables.values()]);
      losses.push((await value.data())[0]!);
      if (call === 0) {
        for (const [name, variable] of variables) {
          grad.add(name, deviation(name, await grads[variable.name]!.data(), tensorOf(tensors, name)));
        }
      }
      tf.dispose([value, grads]);
    }
    const taskLoss = tf.tidy(task);
    expectTensor('out.task_loss', await taskLoss.data());
    expectTensor('out.loss_per_call', losses);
    const shares = (await peft.usage()).map(({share}) => tf.tensor1d(share));
    const mean = async (loss: (usage: tf.Tensor1D) => tf.Tensor) => {
      const averaged = tf.tidy(() => tf.div(tf.addN(shares.map(loss)), shares.length));
      const value = (await averaged.data())[0]!;
      averaged.dispose();
      return value;
    };
    const [importance, divergence] = [await mean(importanceLoss), await mean(usageDivergence)];
    expectTensor('aux.importance_mean', [importance]);
    expectTensor('aux.kl_mean', [divergence]);
    expectTensor('aux.balance_weighted', [
      coefficient * (config.importance_coef * importance + config.kl_coef * divergence),
    ]);
    for (const warmup of ['constant', 'linear', 'cosine'] as const) {
      const name = `out.balance_coef_${warmup}`;
      if (!tensors.has(name)) continue;
      const steps = tensorOf(tensors, name).data.length;
      expectTensor(
        name,
        Array.from({length: steps}, (_, step) => balanceScale({coefficient, warmup, warmupSteps}, step)),
      );
    }
    tf.dispose([taskLoss, ...shares]);
  } finally {
    peft.stopTrackingUsage();
    peft.detach();
    model.dispose();
    tf.dispose([x, cotangent]);
  }
  return {forward, grad};
}
