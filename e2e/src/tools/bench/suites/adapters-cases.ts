import * as tf from '@tensorflow/tfjs-core';
import type {layers} from '@tensorflow/tfjs-layers';
import {
  type AdapterConfig,
  type AdapterDefinition,
  adapterDefinitions,
  PeftDense,
  upgrade,
} from '@tfjs-peft/layers';
import {buildUseLite} from '../../../data/models/use-lite.js';
import type {UseLiteWeights} from '../../../data/models/use-lite-weights.js';
import {type Composed, lime, moloraLoop} from '../baselines.js';
import type {Side} from '../step.js';
import {composedModel} from './model-cases.js';

const [EXPERTS, RANK, ALPHA] = [8, 4, 16];

/** What the sizes are to adapters that have no options of the same names. */
const SIZED: Record<string, object> = {
  mor1e: {r1: RANK, r2: EXPERTS},
  lime: {experts: EXPERTS, over: {type: 'lora', rank: RANK, alpha: ALPHA}},
};

function sized({type, options = []}: AdapterDefinition): AdapterConfig {
  const sizes = Object.entries({experts: EXPERTS, rank: RANK, alpha: ALPHA});
  const own = Object.fromEntries(sizes.filter(([option]) => options.includes(option)));
  return {type, ...(SIZED[type] ?? own)} as AdapterConfig;
}

/** Every adapter at 8 experts and rank 4; MoR1E has as many down and up vectors, and so 32 experts. */
export const ADAPTERS: Record<string, AdapterConfig> = Object.fromEntries(
  adapterDefinitions().map((definition) => [definition.type, sized(definition)]),
);

/** A side with a model of its own. */
export interface OwnedSide extends Side {
  dispose(): void;
}

/** What is used of a stock Dense layer. */
type Dense = layers.Layer & {
  kernel: {read(): tf.Tensor2D; shape: [number, number]};
  bias: {read(): tf.Tensor1D};
  activation: {getClassName(): string};
};

/** USE-lite with an adapter whose weights are a little away from where they start, of which some are zero. */
async function upgraded(adapter: AdapterConfig, texts: number, useLite?: UseLiteWeights) {
  const model = buildUseLite(useLite);
  const bases = model.layers.filter((layer) => layer.getClassName() === 'Dense') as Dense[];
  const peft = await upgrade(model, {targets: 'all-dense', adapter, seed: 1});
  const trained = peft.trainableVariables();
  trained.forEach((variable, i) => {
    tf.tidy(() =>
      variable.assign(tf.add(variable, tf.randomNormal(variable.shape, 0, 0.02, 'float32', i + 1))),
    );
  });
  if (adapter.type === 'mor1e') {
    const scores = tf.randomUniform([texts, EXPERTS * RANK], 0, 1, 'float32', 3);
    peft.setContext({intuition: scores});
    scores.dispose();
  }
  const side: OwnedSide = {
    trained,
    forward: (ids, training) => model.apply(ids, {training}) as tf.Tensor,
    dispose() {
      peft.detach();
      model.dispose();
    },
  };
  const detach = () => {
    peft.detach();
    side.dispose = () => model.dispose();
  };
  const adapted = model.layers.filter((layer) => layer instanceof PeftDense);
  return {side, detach, sites: adapted.map((layer, i) => ({layer, base: bases[i]!}))};
}

/** USE-lite with one of {@link ADAPTERS}. */
export async function adapterSide(name: string, texts: number, useLite?: UseLiteWeights): Promise<OwnedSide> {
  return (await upgraded(ADAPTERS[name]!, texts, useLite)).side;
}

/** The experts of a packed MoLoRA as variables of their own. */
function unpacked(layer: PeftDense): Record<string, tf.Variable> {
  const weights: Record<string, tf.Variable> = {};
  for (const [name, weight] of layer.adapterWeights(layer.activeAdapter!)) {
    tf.tidy(() => {
      if (name === 'router') weights[name] = tf.variable(weight.read());
      else {
        tf.split(weight.read(), EXPERTS, name === 'lora_A' ? 1 : 0).forEach((own, expert) => {
          weights[`${name}_${expert}`] = tf.variable(own);
        });
      }
    });
  }
  return weights;
}

/**
 * A composed MoLoRA, and what the same model gives without it: in the upgraded one, our
 * own MoLoRA with the same values.
 */
export interface LoopSide extends OwnedSide {
  without(ids: tf.Tensor): tf.Tensor;
}

/**
 * MoLoRA composed with a loop over experts.
 *
 * @param model `upgraded`: inside the upgraded model, so that nothing but the mixture differs from ours;
 * `stock`: in the model as it was.
 */
export async function loopSide(
  model: 'upgraded' | 'stock',
  texts: number,
  useLite?: UseLiteWeights,
): Promise<LoopSide> {
  const {side, sites, detach} = await upgraded(ADAPTERS.molora!, texts, useLite);
  const looped = moloraLoop(EXPERTS, RANK, ALPHA);
  let recording = false;
  const composed = sites.map(({layer, base}) => {
    const weights = unpacked(layer);
    const [inputDim, outputDim] = base.kernel.shape;
    const activation = base.activation.getClassName() as Composed['activation'];
    const call: Dense['call'] = (inputs) =>
      tf.tidy(() => {
        const x = Array.isArray(inputs) ? inputs[0]! : inputs;
        const rows = tf.reshape(x, [-1, inputDim]) as tf.Tensor2D;
        const site = {kernel: base.kernel.read(), bias: base.bias.read(), weights, activation};
        return tf.reshape(looped(rows, site, recording), [...x.shape.slice(0, -1), outputDim]);
      });
    return {layer: model === 'stock' ? base : layer, weights, call};
  });
  if (model === 'stock') detach();
  const install = () => {
    for (const {layer, call} of composed) layer.call = call;
  };
  install();
  return {
    trained: composed.flatMap(({weights}) => Object.values(weights)),
    forward(ids, training) {
      recording = training;
      return side.forward(ids, training);
    },
    without(ids) {
      // Without an own property the class's method shows again.
      for (const {layer} of composed) delete (layer as {call?: unknown}).call;
      try {
        return side.forward(ids, false);
      } finally {
        install();
      }
    },
    dispose() {
      tf.dispose(composed.map(({weights}) => weights));
      side.dispose();
    },
  };
}

/** LiME composed from stock ops on the stock model. */
export function composedLime(useLite?: UseLiteWeights): Side {
  return composedModel({adapter: ADAPTERS.lime!, baseline: lime(EXPERTS, RANK, ALPHA)}, useLite);
}
