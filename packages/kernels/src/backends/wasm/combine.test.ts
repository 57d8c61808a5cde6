import * as tf from '@tensorflow/tfjs-core';
import '@tensorflow/tfjs-backend-wasm';
import '../../wasm.js';
import {deviation} from '@tfjs-peft/testing/compare';
import {runPeftKernel} from '../../ops/kernels.js';
import {combineReference} from '../../reference/combine.js';
import {type CombineCase, combineCases, headCases} from '../../testing/combine-cases.js';
import {caseTensors} from '../../testing/combine-run.js';

beforeAll(async () => {
  await tf.setBackend('wasm');
});

interface Saves {
  saveZ?: boolean;
  saveU?: boolean;
}

/** The kernel itself on flat inputs, without the op's own choice of what to save. */
function runKernel(
  tensors: Record<string, tf.Tensor>,
  options: CombineCase['options'],
  {saveZ = false, saveU = false}: Saves = {},
): tf.Tensor[] {
  const rows = (t: tf.Tensor): number => t.shape.slice(0, t.rank - 1).reduce((a, b) => a * b, 1);
  const base = rows((tensors.x ?? tensors.z)!);
  const flat = Object.fromEntries(
    Object.entries(tensors).map(([name, t]) => [name, t.rank > 2 ? tf.reshape(t, [base, t.size / base]) : t]),
  );
  return runPeftKernel('PeftCombine', flat, {...options, saveZ, saveU});
}

test.each([...combineCases(160), ...headCases()].map((c) => [c.name, c] as const))(
  'saves z and u beside y: %s',
  (_, testCase) => {
    tf.tidy(() => {
      const {inputs, options} = testCase;
      const [y, z, u] = runKernel(caseTensors(testCase), options, {saveZ: true, saveU: true});
      const bare = {x: inputs.x, kernel: inputs.kernel, bias: inputs.bias, z: inputs.z, pre: inputs.pre};
      const {heads} = options;
      const base = combineReference({...bare, preGates: inputs.preGates, preTable: inputs.preTable}, {heads});
      const {post: _post, postGates: _gates, postTable: _table, ...inner} = inputs;
      const before = combineReference(inner, {...options, activation: 'linear'});
      expect(deviation(z!.dataSync(), base.data)).toBeLessThan(2e-6);
      expect(deviation(u!.dataSync(), before.data)).toBeLessThan(4e-6);
      expect(deviation(y!.dataSync(), combineReference(inputs, options).data)).toBeLessThan(4e-6);
    });
  },
);

test('the bits of y do not depend on what is saved beside it', () => {
  tf.tidy(() => {
    for (const testCase of combineCases(80)) {
      const tensors = caseTensors(testCase);
      const {options} = testCase;
      // With alpha or beta the tail is a sum of its own whether z is saved or not.
      const separate = ['alpha', 'alphaGates', 'beta', 'betaGates', 'z'].some(
        (name) => tensors[name] !== undefined,
      );
      const [bare] = runKernel(tensors, options);
      const [saved] = runKernel(tensors, options, {saveU: true, saveZ: separate || tensors.h === undefined});
      expect(bare!.dataSync()).toEqual(saved!.dataSync());
    }
  });
});

test('a tail whose B is zero leaves the bits of the base expression', () => {
  tf.tidy(() => {
    let compared = 0;
    for (const testCase of combineCases(160)) {
      const {h, b, gates, beta, betaGates, betaTable, ...base} = caseTensors(testCase);
      if (h === undefined) continue;
      compared++;
      const {options} = testCase;
      const adapted = {...base, h, b: tf.zerosLike(b!), gates, beta, betaGates, betaTable};
      const present = Object.entries(adapted).filter(([, t]) => t !== undefined);
      const [with0] = runKernel(Object.fromEntries(present) as Record<string, tf.Tensor>, options);
      const [without] = runKernel(base, {...options, mix: 'none'});
      expect(with0!.dataSync()).toEqual(without!.dataSync());
    }
    expect(compared).toBeGreaterThan(80);
  });
});

test('empty batches, inner sizes of 0 and experts of rank 0', () => {
  tf.tidy(() => {
    const options = {scale: 1, mix: 'none', activation: 'linear'} as const;
    const kernel = tf.ones([3, 9]);
    expect(runKernel({x: tf.zeros([0, 3]), kernel}, options)[0]!.shape).toEqual([0, 9]);
    const bias = tf.range(0, 9);
    const [y] = runKernel({x: tf.zeros([2, 0]), kernel: tf.zeros([0, 9]), bias}, options);
    expect([...y!.dataSync()]).toEqual([...bias.dataSync(), ...bias.dataSync()]);
    const tail = {h: tf.zeros([2, 0]), b: tf.zeros([0, 9])};
    const [z] = runKernel({x: tf.ones([2, 3]), kernel, ...tail}, options);
    expect([...z!.dataSync()]).toEqual(new Array(18).fill(3));
  });
});
