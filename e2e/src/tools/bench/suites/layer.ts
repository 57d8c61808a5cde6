import * as tf from '@tensorflow/tfjs-core';
import {plain} from '../baselines.js';
import {jaxStep} from '../jax-baseline.js';
import {type Profile, profile, time} from '../measure.js';
import {multiplyAddPeak} from '../peak.js';
import {type Row, row} from '../report.js';
import {kernelsFor, type Side} from '../stock.js';
import {isGpu, roundsOf, type Suite, type SuiteOptions} from '../suite.js';
import {type Forward, LAYER_CASES, type Sides, sidesOf} from './layer-cases.js';

/** The GPU here may be one that a CPU plays. */
const sizeOf = ({size, backend}: SuiteOptions): [number, number] =>
  size ?? (isGpu(backend) ? [64, 128] : [256, 768]);
const SIDES: Side[] = ['baseline', 'ours'];

/** A ratio of two different computations says nothing: both sides have to give the same outputs. */
async function checkSame(name: string, {forward}: Sides, x: tf.Tensor2D): Promise<void> {
  const ratio = tf.tidy(() => {
    const want = forward.baseline(x, false);
    const difference = tf.max(tf.abs(tf.sub(forward.ours(x, false), want)));
    return tf.div(difference, tf.max(tf.abs(want)));
  });
  const off = (await ratio.data())[0]!;
  ratio.dispose();
  if (!(off <= (isGpu(tf.getBackend()) ? 1e-4 : 1e-5)))
    throw new Error(`${name}: ours and the baseline differ by ${off} of the largest output`);
}

/** What each row of x is multiplied by: the kernel, and the adapter's own matrices, router included. */
function multiplyAdds({site, weights}: Sides, rows: number): number {
  const matrices = [site.kernel, ...Object.values(weights)].filter(({rank}) => rank >= 2);
  return rows * matrices.reduce((sum, {size}) => sum + size, 0);
}

/**
 * One training step on mean((y - target)²) with Adam; with `scale`, x is a function of a
 * trained vector and needs a gradient.
 */
function stepOf(
  forward: Forward,
  trained: tf.Variable[],
  x: tf.Tensor2D,
  target: tf.Tensor,
  scale?: tf.Variable,
) {
  const variables = scale ? [...trained, scale] : trained;
  const optimizer: tf.Optimizer = tf.train.adam(1e-3, 0.9, 0.999, 1e-7);
  const input = () => (scale ? (tf.mul(x, scale) as tf.Tensor2D) : x);
  const step = () => {
    const loss = () => tf.mean(tf.square(tf.sub(forward(input(), true), target))) as tf.Scalar;
    const {value, grads} = tf.variableGrads(loss, variables);
    optimizer.applyGradients(grads);
    tf.dispose(grads);
    return value;
  };
  /** Forward and backward of the layer alone: without an optimizer, and with the least loss there is. */
  const gradients = () => {
    const {value, grads} = tf.variableGrads(() => tf.sum(forward(input(), true)) as tf.Scalar, variables);
    tf.dispose(grads);
    return value;
  };
  return {step, gradients, dispose: () => optimizer.dispose()};
}

/**
 * Measures one case: `forward`, on wasm `of-peak` (our rate of all multiply-adds against the machine's peak),
 * `forward-vs-bare`, `step`, `step-dx`, and the launches and peak bytes of
 * `step-dx`, of which the launches also without the optimizer's, which are the same on both sides
 * (`launches-gradients`), and of the forward alone.
 */
async function measureCase(
  name: string,
  sides: Sides,
  x: tf.Tensor2D,
  options: SuiteOptions,
  peak?: number,
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
  const times = await time({ours: forward('ours'), baseline: forward('baseline')}, rounds, enter);
  add('forward', 'ms', times);
  if (peak !== undefined && !sameKernels) {
    const rate = (2 * multiplyAdds(sides, x.shape[0])) / times.ours / 1e6;
    add('of-peak', 'GFLOP/s', {ours: rate, baseline: peak, rounds: times.rounds}, 'peak, one thread');
  }
  const bare = () => tf.tidy(() => plain(x, {...sides.site, weights: {}}, false));
  add(
    'forward-vs-bare',
    'ms',
    await time({ours: forward('ours'), baseline: bare}, rounds, stock),
    'bare Dense, stock',
  );

  const target = tf.randomNormal(x.shape, 0, 1, 'float32', 12);
  if (sides.trained.ours.length > 0) {
    const [ours, baseline] = (['ours', 'baseline'] as const).map((side) =>
      stepOf(sides.forward[side], sides.trained[side], x, target),
    );
    add('step', 'ms', await time({ours: ours!.step, baseline: baseline!.step}, rounds, enter));
    ours!.dispose();
    baseline!.dispose();
  }
  const [ours, baseline] = (['ours', 'baseline'] as const).map((side) => {
    const scale = tf.tidy(() => tf.variable(tf.ones([x.shape[1]])));
    const {dispose, ...work} = stepOf(sides.forward[side], sides.trained[side], x, target, scale);
    return {...work, dispose: () => tf.dispose([dispose(), scale])};
  });
  const dx = {ours: ours!.step, baseline: baseline!.step};
  add('step-dx', 'ms', await time(dx, rounds, enter));
  const profiles = {} as Record<Side, Record<'forward' | 'gradients' | 'step', Profile>>;
  for (const side of SIDES) {
    enter(side);
    profiles[side] = {
      forward: await profile(forward(side)),
      gradients: await profile({ours, baseline}[side]!.gradients),
      step: await profile(dx[side]),
    };
  }
  const compare = (metric: string, unit: string, part: keyof (typeof profiles)['ours'], of: keyof Profile) =>
    add(metric, unit, {ours: profiles.ours[part][of], baseline: profiles.baseline[part][of]});
  compare('launches', 'calls', 'step', 'launches');
  compare('launches-forward', 'calls', 'forward', 'launches');
  compare('launches-gradients', 'calls', 'gradients', 'launches');
  compare('peak-bytes', 'bytes', 'step', 'peakBytes');
  ours!.dispose();
  baseline!.dispose();
  target.dispose();
  enter('ours');
  return rows;
}

/**
 * `step-dx/jax-js`: the same training step in jax-js, on one thread, from the same numbers. Undefined for the
 * cases that are not written for it.
 */
async function measureJax(name: string, x: tf.Tensor2D, options: SuiteOptions): Promise<Row | undefined> {
  const spec = LAYER_CASES[name]!;
  if (spec.full || spec.sameKernels || options.backend !== 'wasm') return undefined;
  const sides = sidesOf(spec, x.shape[1]);
  const target = tf.randomNormal(x.shape, 0, 1, 'float32', 12);
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
    const scale = tf.tidy(() => tf.variable(tf.ones([x.shape[1]])));
    const {step, dispose} = stepOf(sides.forward.ours, sides.trained.ours, x, target, scale);
    const [ours, theirs] = [tf.tidy(() => step().dataSync()[0]!), jax()];
    if (!(Math.abs(ours - theirs) <= 1e-4 * Math.abs(ours))) {
      throw new Error(`${name}: the first loss is ${ours}, and ${theirs} in jax-js`);
    }
    const baseline = () => {
      jax();
      return [];
    };
    const figures = await time({ours: step, baseline}, roundsOf(options), kernelsFor('none'));
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

/** x [256, 768] through one adapted Dense of 768 units, or [64, 128] and 128 on a GPU; see LAYER_CASES. */
export const layerSuite: Suite = async (options) => {
  const size = sizeOf(options);
  const x = tf.randomNormal(size, 0, 1, 'float32', 11) as tf.Tensor2D;
  const peak = options.backend === 'wasm' ? await multiplyAddPeak() : undefined;
  const rows: Row[] = [];
  for (const [name, spec] of Object.entries(LAYER_CASES)) {
    if (options.cases && !options.cases.test(name)) continue;
    const sides = sidesOf(spec, size[1]);
    await checkSame(name, sides, x);
    rows.push(...(await measureCase(name, sides, x, options, peak)));
    sides.dispose();
    const jax = await measureJax(name, x, options);
    if (jax) {
      rows.push(jax);
      options.onRow?.(jax);
    }
  }
  x.dispose();
  return rows;
};
