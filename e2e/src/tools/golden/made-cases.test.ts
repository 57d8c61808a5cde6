import * as tf from '@tensorflow/tfjs-core';
import {useBackend} from './backend.js';
import type {Golden, GoldenCase} from './format.js';
import {runCase} from './run.js';

// Forms of which the stored data have no case: here they are computed by their equations in stock ops.

beforeAll(() => useBackend('cpu'));

type Named = Record<string, tf.Tensor>;
type Formula = (params: Named, x: tf.Tensor) => tf.Tensor;

const goldenOf = (tensor: tf.Tensor): Golden => ({
  shape: tensor.shape,
  data: tensor.dataSync() as Float32Array | Int32Array,
});

let seed = 0;
const normal = (shape: number[], size = 0.5) => tf.randomNormal(shape, 0, size, 'float32', ++seed);

/** The tensors of a case: parameters, an input, and what the formula gives for them, with all gradients. */
function tensorsOf(
  params: Named,
  {x, given = {}, frozen = []}: {x: tf.Tensor; given?: Named; frozen?: string[]},
  formula: Formula,
): Map<string, Golden> {
  const names = Object.keys(params).filter((name) => !frozen.includes(name));
  const isLookup = x.dtype === 'int32';
  const inputs = [...names.map((name) => params[name]!), ...(isLookup ? [] : [x])];
  const run = (...tensors: tf.Tensor[]) => {
    const trained = Object.fromEntries(names.map((name, i) => [name, tensors[i]!]));
    return formula({...params, ...trained}, isLookup ? x : tensors.at(-1)!);
  };
  const y = run(...inputs);
  const cotangent = normal(y.shape, 1);
  const grads = tf.grads((...tensors) => tf.sum(tf.mul(run(...tensors), cotangent)))(inputs);
  const stored: Named = {
    [isLookup ? 'in.ids' : 'in.x']: x,
    ...Object.fromEntries(Object.entries(given).map(([name, value]) => [`in.${name}`, value])),
    ...Object.fromEntries(Object.entries(params).map(([name, value]) => [`param.${name}`, value])),
    ...Object.fromEntries(names.map((name, i) => [`grad.${name}`, grads[i]!])),
    ...(isLookup ? {} : {'grad.x': grads.at(-1)!}),
    'out.y': y,
    'cot.y': cotangent,
  };
  return new Map(Object.entries(stored).map(([name, value]) => [name, goldenOf(value)]));
}

async function expectPass(golden: Partial<GoldenCase>, tensors: Map<string, Golden>): Promise<void> {
  const given = {
    id: 'made',
    file: '',
    folder: '',
    peft: false,
    tolerance: {forward: 1e-5, grad: 1e-4},
    ...golden,
  };
  const result = await runCase(given as GoldenCase, () => tensors);
  expect(result).toMatchObject({ok: true, why: ''});
  // What the case computes matters: another output is not taken for it.
  const [name] = [...tensors.keys()].filter((key) => key.startsWith('param.'));
  const param = tensors.get(name!)!;
  const moved = new Map(tensors).set(name!, {
    ...param,
    data: param.data.map((value) => value + 0.1) as Float32Array,
  });
  expect(await runCase(given as GoldenCase, () => moved)).toMatchObject({ok: false});
}

const matMul = (x: tf.Tensor, w: tf.Tensor): tf.Tensor =>
  tf.reshape(tf.matMul(tf.reshape(x, [-1, w.shape[0]!]), w as tf.Tensor2D), [
    ...x.shape.slice(0, -1),
    w.shape[1]!,
  ]);

describe('an MLP', () => {
  const [wide, hidden, experts, rank] = [6, 5, 3, 2];
  const config = {site: 'mlp-block', experts, temperature: 1, topK: null, rank, alpha: 4};
  const weights = (names: string[]): Named =>
    Object.fromEntries(names.map((name) => [name, normal(name === 'wo' ? [hidden, wide] : [wide, hidden])]));
  const x = () => normal([2, 4, wide], 1);

  test('without a gate, of MoV in the form of the code', async () => {
    const params = {
      ...weights(['wi', 'wo']),
      router: normal([hidden, experts]),
      scaling: normal([experts, hidden]),
    };
    const tensors = tensorsOf(params, {x: x(), frozen: ['wi', 'wo']}, ({wi, wo, router, scaling}, x) => {
      const v = tf.relu(matMul(x, wi!));
      return matMul(tf.mul(v, matMul(tf.softmax(matMul(v, router!)), scaling!)), wo!);
    });
    const golden = {system: 'mov', form: 'code', config: {...config, gated: false, activations: ['relu']}};
    await expectPass(golden, tensors);
  });

  test.each(['ffn', 'mlp-block'])('with a gate, of MoV in the form of the paper, site %s', async (site) => {
    const params = {
      ...weights(['wi_0', 'wi_1', 'wo']),
      router: normal([wide, experts]),
      scaling: normal([experts, hidden]),
    };
    const frozen = ['wi_0', 'wi_1', 'wo'];
    const tensors = tensorsOf(params, {x: x(), frozen}, ({wi_0, wi_1, wo, router, scaling}, x) => {
      const v = tf.mul(tf.tanh(matMul(x, wi_0!)), matMul(tf.softmax(matMul(x, router!)), scaling!));
      return matMul(tf.mul(v, matMul(x, wi_1!)), wo!);
    });
    const golden = {system: 'mov', form: 'paper', config: {...config, site, gated: true, activation: 'tanh'}};
    await expectPass(golden, tensors);
  });

  test('without a gate, of MoLoRA', async () => {
    const params: Named = weights(['wi', 'wo']);
    for (const [at, from, to] of [
      ['wi', wide, hidden],
      ['wo', hidden, wide],
    ] as const) {
      params[`${at}.A`] = normal([experts, from, rank]);
      params[`${at}.B`] = normal([experts, rank, to]);
      params[`${at}.router`] = normal([from, experts]);
    }
    const adapted = (params: Named, at: string, x: tf.Tensor) => {
      const gates = tf.softmax(matMul(x, params[`${at}.router`]!));
      const each = Array.from({length: experts}, (_, e) => {
        const [a, b] = ['A', 'B'].map((f) => tf.squeeze(tf.gather(params[`${at}.${f}`]!, [e]), [0]));
        const gate = tf.gather(gates, [e], 2);
        return tf.mul(matMul(matMul(x, a!), b!), tf.mul(gate, 4 / rank));
      });
      return tf.addN([matMul(x, params[at]!), ...each]);
    };
    const tensors = tensorsOf(params, {x: x(), frozen: ['wi', 'wo']}, (given, x) =>
      adapted(given, 'wo', tf.relu(adapted(given, 'wi', x))),
    );
    const golden = {system: 'molora', form: 'code', config: {...config, gated: false, activations: ['relu']}};
    await expectPass(golden, tensors);
  });
});

describe('LiME', () => {
  const [vocab, width, rank, experts] = [7, 6, 3, 3];
  const config = {
    num_experts: experts,
    rank,
    alpha: 6,
    temperature: 0.5,
    gamma_routing: 0.7,
    topk_mode: 'all',
    normaliser: 'token',
    use_shared_modulator: true,
  };
  const shared = (): Named => ({
    modulators: normal([experts, width]),
    shared_modulator: normal([width]),
    gamma: normal([1]),
  });
  const first = (t: tf.Tensor, size: number) => tf.slice(t, [0, 0, 0], [-1, -1, size]);
  const largest = (t: tf.Tensor) => tf.maximum(tf.max(tf.abs(t), -1, true), 1e-6);
  const gatesOf = (base: tf.Tensor, delta: tf.Tensor, gamma: number) => {
    const [z, d] = [first(base, experts), first(delta, experts)].map((t) => tf.div(t, largest(t)));
    return tf.softmax(tf.div(tf.add(tf.mul(z!, 1 - gamma), tf.mul(d!, gamma)), config.temperature));
  };
  const factor = (gates: tf.Tensor, {modulators, shared_modulator: s, gamma}: Named) =>
    tf.add(matMul(gates, modulators!), tf.mul(s!, gamma!));
  const ids = () => tf.tensor2d([1, 0, 2, 3, 4, 5, 6, 0], [2, 4], 'int32');
  const real = (ids: tf.Tensor) =>
    tf.expandDims(tf.cast(tf.notEqual(ids, tf.scalar(0, 'int32')), 'float32'), -1);

  test.each([0, undefined])('over DoRA at an Embedding, pad_token_id %s', async (pad) => {
    const params = {
      embedding_table: normal([vocab, width]),
      lora_a: normal([rank, width]),
      lora_b: normal([vocab, rank]),
      magnitude: normal([width], 1),
      ...shared(),
    };
    const tensors = tensorsOf(params, {x: ids(), frozen: ['embedding_table']}, (given, ids) => {
      const update = tf.mul(matMul(given.lora_b!, given.lora_a!), 2);
      const c = tf.div(given.magnitude!, tf.norm(tf.add(given.embedding_table!, update), 2, 0));
      const [z, d] = [given.embedding_table!, update].map((table) => tf.mul(tf.gather(table, ids), c));
      const gates = gatesOf(tf.add(z!, d!), d!, config.gamma_routing);
      return tf.add(z!, tf.mul(tf.mul(d!, factor(gates, given)), real(ids)));
    });
    const streams = {routing_streams: 'base+delta,delta'};
    const golden = {system: 'lime', form: 'paper'};
    const own = {...config, ...streams, peft: 'dora_embedding', ...(pad === 0 && {pad_token_id: 0})};
    await expectPass({...golden, config: own}, tensors);
  });

  test('over a slice at an Embedding', async () => {
    const params = {
      slice_table: normal([vocab, rank]),
      frozen_table: normal([vocab, width - rank]),
      ...shared(),
    };
    const tensors = tensorsOf(params, {x: ids(), frozen: ['frozen_table']}, (given, ids) => {
      const [z, passing] = [given.slice_table!, given.frozen_table!].map((table) => tf.gather(table, ids));
      const gates = gatesOf(tf.concat([z!, passing!], -1), tf.concat([z!, passing!], -1), 0);
      const mixed = tf.mul(z!, first(factor(gates, given), rank));
      return tf.concat([tf.where(tf.cast(real(ids), 'bool'), mixed, z!), passing!], -1);
    });
    const own = {...config, peft: 'slice_embedding', routing_streams: 'base_only'};
    await expectPass({system: 'lime', form: 'code', config: own}, tensors);
  });

  test.each(['lora', 'dora'] as const)('over %s with dropout', async (peft) => {
    const [dIn, rate] = [5, 0.25];
    const kept = tf.cast(tf.greater(tf.randomUniform([2, 4, dIn], 0, 1, 'float32', 3), rate), 'float32');
    const dropout_scale = tf.div(kept, 1 - rate);
    const params: Named = {
      base_weight: normal([dIn, width]),
      base_bias: normal([width]),
      lora_a: normal([dIn, rank]),
      lora_b: normal([rank, width]),
      ...(peft === 'dora' && {magnitude: normal([width], 1)}),
      ...shared(),
    };
    const given = {x: normal([2, 4, dIn], 1), given: {dropout_scale}, frozen: ['base_weight', 'base_bias']};
    const tensors = tensorsOf(params, given, (given, x) => {
      const dropped = tf.mul(x, dropout_scale);
      const {base_weight: w, base_bias: b, lora_a: lower, lora_b: upper, magnitude} = given;
      const frozen = tf.add(matMul(magnitude ? dropped : x, w!), b!);
      const change = tf.mul(matMul(matMul(dropped, lower!), upper!), 2);
      const whole = tf.add(w!, tf.mul(matMul(lower!, upper!), 2));
      const c = magnitude ? tf.div(magnitude, tf.norm(whole, 2, 0)) : tf.scalar(1);
      const [z, d] = [frozen, change].map((t) => tf.mul(t, c));
      return tf.add(z!, tf.mul(d!, factor(gatesOf(z!, d!, config.gamma_routing), given)));
    });
    const own = {...config, peft, dropout: rate, training: true, routing_streams: 'base,delta'};
    await expectPass({system: 'lime', form: 'paper', config: own}, tensors);
  });
});

test('MoR1E with dropout: lora_a gets the dropped input, the router all of it', async () => {
  const [dIn, dOut, r, rate] = [5, 6, 3, 0.5];
  const kept = tf.cast(tf.greater(tf.randomUniform([2, 4, dIn], 0, 1, 'float32', 5), rate), 'float32');
  const dropout_scale = tf.div(kept, 1 - rate);
  const params = {
    base_weight: normal([dIn, dOut]),
    lora_a: normal([dIn, r]),
    lora_b: normal([r, dOut]),
    router: normal([dIn, r]),
    omega_logit: normal([1], 0.004),
    gate_logit: normal([1], 0.004),
  };
  const given = {x: normal([2, 4, dIn], 1), given: {dropout_scale}, frozen: ['base_weight']};
  const tensors = tensorsOf(params, given, (given, x) => {
    const [omega, gate] = [given.omega_logit!, given.gate_logit!].map((t) => tf.sigmoid(tf.mul(t, 100)));
    const gates = tf.mul(tf.softmax(matMul(x, given.router!)), tf.mul(tf.mul(omega!, gate!), 32));
    const mixed = tf.mul(matMul(tf.mul(x, dropout_scale), given.lora_a!), gates);
    return tf.add(matMul(x, given.base_weight!), matMul(mixed, given.lora_b!));
  });
  const config = {
    mode: 'rank1',
    r,
    num_experts: r,
    use_router: true,
    use_intuition: false,
    use_mapper: false,
    token_coefficient: 32,
    intuition_coefficient: 4,
    dropout: rate,
    training: true,
  };
  await expectPass({system: 'mor1e', form: 'code', config}, tensors);
});
