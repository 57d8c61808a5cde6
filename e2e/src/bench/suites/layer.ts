import * as tf from '@tensorflow/tfjs-core';
import {plain} from '../baselines.js';
import {jaxStep} from '../jax-baseline.js';
import {profile, time} from '../measure.js';
import {type Row, row} from '../report.js';
import {kernelsFor, type Side} from '../stock.js';
import {roundsOf, type Suite, type SuiteOptions} from '../suite.js';
import {type Forward, LAYER_CASES, type Sides, sidesOf, WIDTH} from './layer-cases.js';

const ROWS = 256;
const SIDES: Side[] = ['baseline', 'ours'];

/** A ratio of two different computations says nothing: both sides have to give the same outputs. */
function checkSame(name: string, {forward}: Sides, x: tf.Tensor2D): void {
  const off = tf.tidy(() => {
    const want = forward.baseline(x, false);
    const difference = tf.max(tf.abs(tf.sub(forward.ours(x, false), want)));
    return tf.div(difference, tf.max(tf.abs(want))).dataSync()[0]!;
  });
  if (!(off <= 1e-5))
    throw new Error(`${name}: ours and the baseline differ by ${off} of the largest output`);
}

/** One training step on mean((y - target)²) with Adam; with `scale`, x is a function of a trained vector and needs a gradient. */
function stepOf(
  forward: Forward,
  trained: tf.Variable[],
  x: tf.Tensor2D,
  target: tf.Tensor,
  scale?: tf.Variable,
) {
  const variables = scale ? [...trained, scale] : trained;
  const optimizer: tf.Optimizer = tf.train.adam(1e-3, 0.9, 0.999, 1e-7);
  const step = () => {
    const {value, grads} = tf.variableGrads(() => {
      const input = scale ? (tf.mul(x, scale) as tf.Tensor2D) : x;
      return tf.mean(tf.square(tf.sub(forward(input, true), target))) as tf.Scalar;
    }, variables);
    optimizer.applyGradients(grads);
    tf.dispose(grads);
    return value;
  };
  return {step, dispose: () => optimizer.dispose()};
}

/** Measures one case: `forward`, `forward-vs-bare`, `step`, `step-dx`, and the launches and peak bytes of `step-dx`. */
async function measureCase(
  name: string,
  sides: Sides,
  x: tf.Tensor2D,
  options: SuiteOptions,
): Promise<Row[]> {
  const rounds = roundsOf(options);
  const {sameKernels} = LAYER_CASES[name]!;
  const stock = kernelsFor(options.backend);
  const enter = sameKernels ? kernelsFor('none') : stock;
  const rows: Row[] = [];
  const add = (
    metric: string,
    unit: string,
    figures: Pick<Row, Side | 'rounds'>,
    against = sameKernels ? 'all experts, ours' : 'composed, stock',
  ) => {
    rows.push(row({case: name, metric, ...figures, baselineName: against, unit}));
    options.onRow?.(rows.at(-1)!);
  };

  const forward = (side: Side) => () => tf.tidy(() => sides.forward[side](x, false));
  add('forward', 'ms', time({ours: forward('ours'), baseline: forward('baseline')}, rounds, enter));
  const bare = () => tf.tidy(() => plain(x, {...sides.site, weights: {}}, false));
  add(
    'forward-vs-bare',
    'ms',
    time({ours: forward('ours'), baseline: bare}, rounds, stock),
    'bare Dense, stock',
  );

  const target = tf.randomNormal([ROWS, WIDTH], 0, 1, 'float32', 12);
  if (sides.trained.ours.length > 0) {
    const [ours, baseline] = (['ours', 'baseline'] as const).map((side) =>
      stepOf(sides.forward[side], sides.trained[side], x, target),
    );
    add('step', 'ms', time({ours: ours!.step, baseline: baseline!.step}, rounds, enter));
    ours!.dispose();
    baseline!.dispose();
  }
  const [ours, baseline] = (['ours', 'baseline'] as const).map((side) => {
    const scale = tf.tidy(() => tf.variable(tf.ones([WIDTH])));
    const {step, dispose} = stepOf(sides.forward[side], sides.trained[side], x, target, scale);
    return {step, dispose: () => tf.dispose([dispose(), scale])};
  });
  const dx = {ours: ours!.step, baseline: baseline!.step};
  add('step-dx', 'ms', time(dx, rounds, enter));
  const profiles = {} as Record<Side, {launches: number; peakBytes: number}>;
  for (const side of SIDES) {
    enter(side);
    profiles[side] = await profile(dx[side]);
  }
  add('launches', 'calls', {ours: profiles.ours.launches, baseline: profiles.baseline.launches});
  add('peak-bytes', 'bytes', {ours: profiles.ours.peakBytes, baseline: profiles.baseline.peakBytes});
  ours!.dispose();
  baseline!.dispose();
  target.dispose();
  enter('ours');
  return rows;
}

/**
 * `step-dx/jax-js`: the same training step in jax-js, on one thread, from the same numbers. Undefined for the cases that
 * are not written for it.
 */
function measureJax(name: string, x: tf.Tensor2D, options: SuiteOptions): Row | undefined {
  const spec = LAYER_CASES[name]!;
  if (spec.full || spec.sameKernels || options.backend !== 'wasm') return undefined;
  const sides = sidesOf(spec);
  const target = tf.randomNormal([ROWS, WIDTH], 0, 1, 'float32', 12);
  const raw = (tensor: tf.Tensor) => ({data: tensor.dataSync() as Float32Array, shape: tensor.shape});
  const {
    experts = 1,
    rank = 1,
    alpha = 1,
  } = (spec.adapter ?? {}) as {experts?: number; rank?: number; alpha?: number};
  const jax = jaxStep({
    adapter: spec.adapter?.type ?? 'none',
    options: {experts, rank, alpha},
    tensors: {x: raw(x), target: raw(target), kernel: raw(sides.site.kernel), bias: raw(sides.site.bias)},
    weights: Object.fromEntries(Object.entries(sides.weights).map(([key, weight]) => [key, raw(weight)])),
  });
  let result: Row | undefined;
  if (jax) {
    const scale = tf.tidy(() => tf.variable(tf.ones([WIDTH])));
    const {step, dispose} = stepOf(sides.forward.ours, sides.trained.ours, x, target, scale);
    const [ours, theirs] = [tf.tidy(() => step().dataSync()[0]!), jax()];
    if (!(Math.abs(ours - theirs) <= 1e-4 * Math.abs(ours))) {
      throw new Error(`${name}: the first loss is ${ours}, and ${theirs} in jax-js`);
    }
    const baseline = () => {
      jax();
      return [];
    };
    const figures = time({ours: step, baseline}, roundsOf(options), kernelsFor('none'));
    result = row({
      case: name,
      metric: 'step-dx/jax-js',
      ...figures,
      baselineName: 'jax-js, one thread',
      unit: 'ms',
    });
    dispose();
    scale.dispose();
  }
  sides.dispose();
  target.dispose();
  return result;
}

/** x [256, 768] through one adapted Dense of 768 units: `none`, `lora-r8`, `ia3`, `molora-8x4`, `mov-8`, `molora-64x16-top2`, `full`. */
export const layerSuite: Suite = async (options) => {
  const x = tf.randomNormal([ROWS, WIDTH], 0, 1, 'float32', 11) as tf.Tensor2D;
  const rows: Row[] = [];
  for (const [name, spec] of Object.entries(LAYER_CASES)) {
    if (options.cases && !options.cases.test(name)) continue;
    const sides = sidesOf(spec);
    checkSame(name, sides, x);
    rows.push(...(await measureCase(name, sides, x, options)));
    sides.dispose();
    const jax = measureJax(name, x, options);
    if (jax) {
      rows.push(jax);
      options.onRow?.(jax);
    }
  }
  x.dispose();
  return rows;
};
