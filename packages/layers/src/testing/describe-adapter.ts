import '@tensorflow/tfjs-backend-wasm';
import '@tfjs-peft/kernels/auto';
import * as tf from '@tensorflow/tfjs';
import type {LayerVariable} from '@tensorflow/tfjs-layers';
import {wave} from '@tfjs-peft/testing/numbers';
import {type AdapterConfig, type DenseArgs, PeftDense} from '../index.js';
import {ACTIVATIONS, addRow, type Matrix, matrix, product} from './double.js';

const INPUT_DIM = 5;
const UNITS = 7;

/** A site in double precision, for the formula of an adapter under test. */
export interface DoubleSite {
  x: Matrix;
  /** x W + b. */
  z: Matrix;
  act(u: Matrix): Matrix;
  /** How many rows make a sequence. */
  length: number;
  /** A weight of the adapter, or `kernel` or `bias`; a vector is one row. */
  weight(name: string): Matrix;
  /** A weight that the adapter has in common with other sites. */
  shared(name: string): Matrix;
  /** The same as `weight` before any finite difference: for what counts as a constant in the gradient. */
  constant(name: string): Matrix;
}

function build(config: AdapterConfig, args: Partial<DenseArgs>, shape: number[]): PeftDense {
  const layer = new PeftDense({units: UNITS, ...args});
  layer.addAdapter('default', config);
  layer.activate('default');
  layer.build(shape);
  return layer;
}

/**
 * Gives every weight of the layer, base and adapter, a repeatable value around its initial
 * kind, and returns them in doubles.
 */
function fill(layer: PeftDense): Map<string, {variable: LayerVariable; values: Float64Array}> {
  const named: [string, LayerVariable][] = [
    ...layer.base.map((variable, i): [string, LayerVariable] => [['kernel', 'bias'][i]!, variable]),
    ...layer.adapterWeights('default'),
  ];
  return new Map(
    named.map(([name, variable], i) => {
      const offset = name === 'scaling' || name === 'modulators' ? 1 : 0;
      // The two scalars of MoR1E are the hundredth part of a logit.
      const size = name === 'omega' || name === 'gate' ? 0.006 : 0.6;
      const values = Float32Array.from(
        wave(tf.util.sizeFromShape(variable.shape as number[]), i, size),
        (v) => v + offset,
      );
      const value = tf.tensor(values, variable.shape as number[]);
      variable.write(value);
      value.dispose();
      return [name, {variable, values: Float64Array.from(values)}];
    }),
  );
}

function expectClose(got: ArrayLike<number>, want: ArrayLike<number>, tolerance: number): void {
  const size = Math.max(1, ...Array.from(want, Math.abs));
  expect(got.length).toBe(want.length);
  const worst = Math.max(...Array.from(want, (value, i) => Math.abs(got[i]! - value)));
  expect(worst).toBeLessThanOrEqual(tolerance * size);
}

/**
 * Compares a layer that has this adapter with the adapter's formula in double precision: outputs, and the
 * gradients of the input and of every weight of the adapter with central differences of the formula.
 */
export function describeAdapter(config: AdapterConfig, formula: (site: DoubleSite) => Matrix): void {
  describe.each(['cpu', 'wasm'])(`${JSON.stringify(config)} on %s`, (backend) => {
    beforeAll(async () => {
      expect(await tf.setBackend(backend)).toBe(true);
    });

    it.each([
      {activation: 'linear', useBias: true, shape: [4, INPUT_DIM]},
      {activation: 'relu', useBias: true, shape: [2, 3, INPUT_DIM]},
      {activation: 'gelu', useBias: false, shape: [3, INPUT_DIM]},
      {activation: 'swish', useBias: true, shape: [2, 1, 2, INPUT_DIM]},
      {activation: 'softplus', useBias: true, shape: [2, 2, INPUT_DIM]},
      {activation: 'softmax', useBias: true, shape: [4, INPUT_DIM]},
    ] as const)(
      'follows its formula, $activation, bias $useBias, input [$shape]',
      async ({activation, useBias, shape}) => {
        const layer = build(config, {activation, useBias}, [...shape]);
        const filled = fill(layer);
        const shared = layer.site.sharedOf('default');
        const x0 = Float64Array.from(Float32Array.from(wave(tf.util.sizeFromShape([...shape]), 9)));
        const evaluate = (name?: string, changed?: Float64Array): number[] => {
          const valuesOf = (weight: string) => (weight === name ? changed! : filled.get(weight)!.values);
          const x = matrix(name === 'x' ? changed! : x0, INPUT_DIM);
          const raw = product(x, matrix(valuesOf('kernel'), UNITS));
          return formula({
            x,
            z: useBias ? addRow(raw, [...valuesOf('bias')]) : raw,
            act: (u) => u.map(ACTIVATIONS[activation]!),
            length: shape.length > 2 ? shape.at(-2)! : 1,
            weight: (weight) => matrix(valuesOf(weight), filled.get(weight)!.variable.shape.at(-1)!),
            shared: (weight) =>
              matrix(shared.get(weight)!.read().dataSync(), shared.get(weight)!.shape.at(-1)!),
            constant: (weight) =>
              matrix(filled.get(weight)!.values, filled.get(weight)!.variable.shape.at(-1)!),
          }).flat();
        };

        const x = tf.variable(tf.tensor(Float32Array.from(x0), [...shape]));
        const want = evaluate();
        const cotangent = wave(want.length, 4);
        const adapterWeights = [...layer.adapterWeights('default')].filter(([, {trainable}]) => trainable);
        const outputShape = [...shape.slice(0, -1), UNITS];
        const {value, grads} = tf.variableGrads(() => {
          const y = layer.call(x, {training: true}) as tf.Tensor;
          expect(y.shape).toEqual(outputShape);
          return tf.sum(tf.mul(y, tf.tensor(cotangent, outputShape))) as tf.Scalar;
        }, [x, ...adapterWeights.map(([, variable]) => variable.read() as tf.Variable)]);
        const y = layer.call(x, {}) as tf.Tensor;
        expectClose(await y.data(), want, 2e-6);
        expectClose(await value.data(), [dot(want, cotangent)], 2e-6);

        const step = 1e-5;
        const derivative = (name: string, base: Float64Array) =>
          Array.from(base, (_, i) => {
            const moved = (by: number) =>
              dot(
                evaluate(
                  name,
                  base.map((v, j) => (j === i ? v + by : v)),
                ),
                cotangent,
              );
            return (moved(step) - moved(-step)) / (2 * step);
          });
        expectClose(await grads[x.name]!.data(), derivative('x', x0), 5e-6);
        for (const [name, variable] of adapterWeights) {
          expectClose(await grads[variable.name]!.data(), derivative(name, filled.get(name)!.values), 5e-6);
        }
      },
    );
  });
}

function dot(a: number[], b: number[]): number {
  return a.reduce((sum, value, i) => sum + value * b[i]!, 0);
}
