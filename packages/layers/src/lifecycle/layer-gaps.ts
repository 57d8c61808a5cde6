import * as tf from '@tensorflow/tfjs-core';
import {NoGradientError} from '@tfjs-peft/kernels';
import {gradientBy, hasRightGradient} from '../graph/training/faults.js';
import {registerAgain} from '../graph/training/preflight.js';
import {listNames, own} from '../names.js';
import type {Container, Layer} from '../upgrade/internals.js';
import {internals} from '../upgrade/internals.js';

/** A layer behind what is trained through which no right gradient flows now. */
export interface LayerGap {
  /** Path of the layer. */
  layer: string;
  className: string;
  /** The kernel of tfjs that has no right gradient. */
  kernel: string;
  /** What to import; null where nobody has a right one. */
  by: string | null;
}

interface Named {
  path: string;
  layer: Layer;
}

type Config = Record<string, unknown>;

const sizes = (value: unknown): number[] => [value ?? 1].flat() as number[];
const isPadded = ({padding, poolSize}: Config): boolean =>
  padding === 'same' && sizes(poolSize).some((size) => size > 1);
const isDilated = ({dilationRate}: Config): boolean => sizes(dilationRate).some((size) => size > 1);

/** Kernels whose stock gradient is wrong or missing for some settings of a layer. */
const FAULTS: Readonly<Record<string, [kernel: string, when: (config: Config) => boolean]>> = {
  AveragePooling1D: ['AvgPool', isPadded],
  AveragePooling2D: ['AvgPool', isPadded],
  AveragePooling3D: ['AvgPool3D', isPadded],
  Conv1D: ['Conv2D', isDilated],
  Conv2D: ['Conv2D', isDilated],
  SeparableConv2D: ['DepthwiseConv2dNative', isDilated],
  DepthwiseConv2D: ['DepthwiseConv2dNative', isDilated],
  Conv3D: ['Conv3D', (config) => isDilated(config) || tf.getBackend() === 'wasm'],
  UpSampling2D: [
    'ResizeBilinear',
    ({interpolation}) => interpolation === 'bilinear' && tf.getBackend() === 'cpu',
  ],
  ThresholdedReLU: ['Greater', () => true],
};

/** Layers, and models around them, that come behind some. */
function behind(sources: readonly Layer[], containers: readonly Container[]): Set<Layer> {
  const found = new Set<Layer>();
  const queue = [...sources];
  for (const layer of queue) {
    const around = containers.filter(({layers}) => layers.includes(layer));
    const next = [
      ...(internals(layer).outboundNodes ?? []).map(({outboundLayer}) => outboundLayer),
      ...around,
    ];
    for (const follower of next) {
      if (found.has(follower)) continue;
      found.add(follower);
      queue.push(follower);
      // A model that is behind a layer is so with all that is in it; one around it is not.
      const inside = (follower as unknown as Partial<Container>).layers;
      if (inside !== undefined && !around.includes(follower as Container)) queue.push(...inside);
      if (inside !== undefined && !around.includes(follower as Container))
        for (const part of inside) found.add(part);
    }
  }
  return found;
}

/** The layers behind what is trained of whose class and settings it is known that no right gradient flows through them now. */
export function findLayerGaps(
  layers: readonly Named[],
  trained: readonly Layer[],
  containers: readonly Container[],
): LayerGap[] {
  registerAgain();
  const after = behind(trained, containers);
  return layers.flatMap(({path, layer}) => {
    const className = layer.getClassName();
    const [kernel, when] = own(FAULTS, className) ?? [];
    if (kernel === undefined || !after.has(layer) || hasRightGradient(kernel)) return [];
    return when!(layer.getConfig()) ? [{layer: path, className, kernel, by: gradientBy(kernel)}] : [];
  });
}

/** What a gap is, and what to do, in one line. */
export function describeGap({layer, className, kernel, by}: LayerGap): string {
  const help =
    by === null
      ? 'nobody supplies it: adapt no layer before this one, or register a gradient with tf.registerGradient'
      : `import '${by}'`;
  return `No right gradient flows through '${layer}' (${className}): tfjs has none of ${kernel}; ${help}.`;
}

interface Trained {
  makeTrainFunction(): (data: tf.Tensor[]) => tf.Tensor[];
}

/** The layers that run a kernel in a step. Only asked when the step has failed. */
function layersRunning(kernel: string, layers: readonly Named[], step: () => unknown): string[] {
  const engine = tf.engine() as unknown as {addTapeNode(name: string, ...rest: unknown[]): void};
  const found = new Set<string>();
  const around: string[] = [];
  const restores = layers.map(({path, layer}) => {
    const owned = Object.hasOwn(layer, 'call');
    const call = layer.call;
    layer.call = (...args) => {
      around.push(path);
      try {
        return call.apply(layer, args);
      } finally {
        around.pop();
      }
    };
    return () => {
      if (owned) layer.call = call;
      else delete (layer as {call?: unknown}).call;
    };
  });
  const stock = engine.addTapeNode;
  engine.addTapeNode = function (name, ...rest) {
    const last = around.at(-1);
    if (name === kernel && last !== undefined) found.add(last);
    stock.call(this, name, ...rest);
  };
  try {
    tf.tidy(() => void step());
  } catch {
    // It has failed before.
  } finally {
    engine.addTapeNode = stock;
    for (const restore of restores) restore();
  }
  return [...found];
}

/** Checks gradients when a model begins to train: what is known beforehand, and what tfjs says in a step, with the layers that it is about. */
export class TrainingCheck {
  private readonly models = new Set<Trained>();

  /**
   * @param model What runs: of a Sequential, the model inside it.
   * @param gaps Asked before each `fit`, `fitDataset` and `trainOnBatch`.
   * @param layers Asked if a step fails.
   */
  watch(model: Container, {gaps, layers}: {gaps(): LayerGap[]; layers(): readonly Named[]}): void {
    const running = model as unknown as Trained;
    if (this.models.has(running) || Object.hasOwn(running, 'makeTrainFunction')) return;
    const stock = running.makeTrainFunction;
    running.makeTrainFunction = () => {
      const known = gaps();
      if (known.length > 0) throw new NoGradientError(known.slice(0, 8).map(describeGap).join('\n'));
      const step = stock.call(running);
      return (data) => {
        try {
          return step(data);
        } catch (error) {
          throw explain(error, layers(), () => step(data));
        }
      };
    };
    this.models.add(running);
  }

  restore(): void {
    for (const model of this.models) delete (model as Partial<Trained>).makeTrainFunction;
    this.models.clear();
  }
}

function explain(error: unknown, layers: readonly Named[], step: () => unknown): unknown {
  const [, kernel] = /gradient function not found for (\w+)/.exec((error as Error)?.message) ?? [];
  if (kernel === undefined) return error;
  const by = gradientBy(kernel);
  const names = layersRunning(kernel, layers, step);
  const where = names.length > 0 ? `layer ${listNames(names)}` : 'the loss or a metric';
  return new NoGradientError(
    `tfjs has no gradient of ${kernel}, which is what ${where} runs. ` +
      (by === null
        ? 'Adapt no layer before it, or register a gradient with tf.registerGradient.'
        : `Import '${by}' before training.`),
    {cause: error},
  );
}
