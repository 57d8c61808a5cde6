import * as tf from '@tensorflow/tfjs-core';
import * as tfl from '@tensorflow/tfjs-layers';
import {AdaptedSite, PeftDense, type PeftLayer, PeftWrapper} from '@tfjs-peft/layers';
import {type Golden, type GoldenCase, tensorOf} from '../format.js';
import {isLookup} from './expert-configs.js';
import {tensorFrom} from './expert-weights.js';

type Tensors = Map<string, Golden>;

/** The frozen thing that a case's adapter acts on. */
export interface ExpertPlace {
  site: AdaptedSite;
  /** Name of the input under `in.`. */
  input: 'x' | 'ids';
  forward(x: tf.Tensor, training: boolean): tf.Tensor;
  /** The mask that the case's own numbers say, where it stores none. */
  mask?(x: tf.Tensor): tf.Tensor;
  dispose(): void;
}

/** Names of the tensors that hold frozen weights of the place, not weights of the adapter. */
export const FROZEN = ['base_weight', 'base_bias', 'frozen_weight', 'embedding_table', 'frozen_table'];

function disposeAll({base, site}: PeftLayer): void {
  for (const weight of [...base, ...site.weights]) weight.dispose();
}

function densePlace(tensors: Tensors): ExpertPlace {
  const [kernel, bias] = tf.tidy(() => {
    const frozen = tensors.get('param.base_weight');
    const stored = tensors.get('param.base_bias') ?? tensors.get('param.bias');
    const parts = ['slice_weight', 'frozen_weight'];
    const kernel = frozen
      ? tensorFrom(frozen)
      : tf.concat(
          parts.map((name) => tensorFrom(tensorOf(tensors, `param.${name}`))),
          1,
        );
    return [kernel, stored && tensorFrom(stored)];
  }) as [tf.Tensor2D, tf.Tensor1D | undefined];
  const dense = tfl.layers.dense({units: kernel.shape[1], useBias: bias !== undefined});
  dense.build([null, kernel.shape[0]]);
  dense.setWeights(bias ? [kernel, bias] : [kernel]);
  tf.dispose([kernel, bias]);
  const layer = PeftDense.fromDense(dense);
  return {
    site: layer.site,
    input: 'x',
    forward: (x, training) => layer.call(x, {training}) as tf.Tensor,
    dispose: () => disposeAll(layer),
  };
}

/** The whole table; a slice of it is apart from what passes. */
function tableOf(tensors: Tensors): tf.Tensor2D {
  const stored = tensors.get('param.embedding_table');
  if (stored) return tensorFrom(stored) as tf.Tensor2D;
  return tf.tidy(() => {
    const parts = ['slice_table', 'frozen_table'].map((name) =>
      tensorFrom(tensorOf(tensors, `param.${name}`)),
    );
    return tf.concat(parts, 1) as tf.Tensor2D;
  });
}

function embeddingPlace({config}: GoldenCase, tensors: Tensors): ExpertPlace {
  const values = tableOf(tensors);
  const [inputDim, outputDim] = values.shape;
  const stock = tfl.layers.embedding({inputDim, outputDim});
  stock.build([null, null]);
  stock.setWeights([values]);
  values.dispose();
  const layer = PeftWrapper.standIn(stock);
  // Over DoRA and a slice, token 0 is padding even where the config is silent.
  const padding = config.pad_token_id === undefined ? 0 : (config.pad_token_id as number | null);
  return {
    site: layer.site,
    input: 'ids',
    forward: (ids, training) => layer.call(ids, {training}) as tf.Tensor,
    ...(padding !== null && {
      mask: (ids: tf.Tensor) => tf.cast(tf.notEqual(ids, tf.scalar(padding, 'int32')), 'float32'),
    }),
    dispose: () => disposeAll(layer),
  };
}

/** The case begins where tokens are embedded already; only the tokens that come before them are looked at. */
function promptPlace({config}: GoldenCase): ExpertPlace {
  const {d_model: width, virtual_tokens: tokens} = config as {d_model: number; virtual_tokens: number};
  const identity = tf.eye(width);
  const site = new AdaptedSite(
    {
      dims: {inputDim: width, outputDim: width, kind: 'lookup'},
      frozen: {kernel: identity},
      base: (x) => x,
    },
    () => 'The prompt',
  );
  site.build({prefix: 'prompt/', entered: false});
  return {
    site,
    input: 'x',
    forward: (x, training) => {
      const prompted = site.apply(x, {training});
      return tf.slice(prompted, [0, 0, 0], [x.shape[0]!, tokens, width]);
    },
    dispose: () => {
      for (const weight of site.weights) weight.dispose();
      identity.dispose();
    },
  };
}

export function placeOf(golden: GoldenCase, tensors: Tensors): ExpertPlace {
  if (golden.config.peft === 'prompt') return promptPlace(golden);
  return isLookup(tensors) ? embeddingPlace(golden, tensors) : densePlace(tensors);
}
