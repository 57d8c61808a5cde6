import * as tf from '@tensorflow/tfjs-core';
import {reapplyPatches} from '@tfjs-peft/kernels';
import {own} from '../../core/io/json.js';
import type {LayerGap} from '../../core/lifecycle/layer-gap.js';
import {gradientBy, hasRightGradient} from '../../core/tfjs/gradient-faults.js';
import {type Container, inside, internals, type Layer} from '../../core/tfjs/internals.js';

/** A layer and its path. */
export interface Named {
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

/** Layers that follow some layers, and the models around them. */
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
      // If a model follows a layer, so does everything in it; a model around the layer does not.
      const contents = inside<Partial<Container>>(follower).layers;
      if (contents === undefined || around.includes(follower as Container)) continue;
      queue.push(...contents);
      for (const part of contents) found.add(part);
    }
  }
  return found;
}

/**
 * The layers after what is trained whose class and settings show that no correct gradient flows through them
 * now.
 */
export function findLayerGaps(
  layers: readonly Named[],
  trained: readonly Layer[],
  containers: readonly Container[],
): LayerGap[] {
  reapplyPatches();
  const after = behind(trained, containers);
  return layers.flatMap(({path, layer}) => {
    const className = layer.getClassName();
    const [kernel, when] = own(FAULTS, className) ?? [];
    if (kernel === undefined || !after.has(layer) || hasRightGradient(kernel)) return [];
    return when!(layer.getConfig()) ? [{layer: path, className, kernel, by: gradientBy(kernel)}] : [];
  });
}
