import * as tf from '@tensorflow/tfjs-core';
import {type Deviations, deviation, Worst} from '../compare.js';
import {type Golden, type GoldenCase, tensorOf} from '../format.js';
import {type Form, formOf} from './forms.js';
import {runRouterLosses} from './routing.js';

async function checkForward(form: Form, inputs: {x: tf.Tensor; kv: tf.Tensor}, tensors: Map<string, Golden>) {
  const observed: Record<string, tf.Tensor> = {};
  const outputs: Record<string, tf.Tensor> = tf.tidy(() => {
    const y = form.forward(inputs, observed);
    return {...observed, y};
  });
  const worst = new Worst();
  for (const [name, want] of tensors) {
    if (!name.startsWith('out.')) continue;
    const got = outputs[name.slice('out.'.length)];
    if (!got) throw new Error(`nothing computed for ${name}`);
    worst.add(name, deviation(name, await got.data(), want));
  }
  tf.dispose(outputs);
  return worst;
}

async function checkGradients(
  form: Form,
  inputs: {x: tf.Variable; kv: tf.Variable},
  tensors: Map<string, Golden>,
) {
  const trained = form.sites.flatMap((site) => site.trained);
  const wanted = new Map(trained.map(({name, variable, want}) => [name, {variable, want}]));
  for (const [name, variable] of Object.entries(inputs)) {
    const want = tensors.get(`grad.${name}`);
    if (want) wanted.set(`grad.${name}`, {variable, want});
  }
  for (const name of tensors.keys()) {
    if (name.startsWith('grad.') && !wanted.has(name)) throw new Error(`nothing computed for ${name}`);
  }
  const cotangent = tensorOf(tensors, 'cot.y');
  const {value, grads} = tf.variableGrads(
    () => tf.sum(tf.mul(form.forward(inputs), tf.tensor(cotangent.data, cotangent.shape))) as tf.Scalar,
    [...wanted.values()].map(({variable}) => variable),
  );
  const worst = new Worst();
  for (const [name, {variable, want}] of wanted) {
    worst.add(name, deviation(name, await grads[variable.name]!.data(), want));
  }
  tf.dispose([value, grads]);
  return worst;
}

/**
 * A case of lora, ia3, mov or molora: outputs, gates and gradients of the inputs and of every trained weight.
 */
export async function runAdapter(golden: GoldenCase, tensors: Map<string, Golden>): Promise<Deviations> {
  if (golden.config.site === 'router-losses') return runRouterLosses(golden, tensors);
  const form = formOf(golden, tensors);
  const variable = ({data, shape}: Golden) => tf.tidy(() => tf.variable(tf.tensor(data, shape)));
  const x = variable(tensorOf(tensors, 'in.x'));
  const inputs = {x, kv: tensors.has('in.kv') ? variable(tensorOf(tensors, 'in.kv')) : x};
  try {
    return {
      forward: await checkForward(form, inputs, tensors),
      grad: await checkGradients(form, inputs, tensors),
    };
  } finally {
    tf.dispose([inputs.x, inputs.kv]);
    for (const site of form.sites) site.dispose();
  }
}
