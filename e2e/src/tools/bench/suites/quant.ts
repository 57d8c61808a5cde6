import * as tf from '@tensorflow/tfjs-core';
import {type LayersModel, layers, sequential} from '@tensorflow/tfjs-layers';
import {combine, disposePacked, type PackedMatrix, packedBytes, packMatrix} from '@tfjs-peft/kernels';
import {upgrade} from '@tfjs-peft/layers';
import {quantizeModel} from '@tfjs-peft/layers/quantize';
import {type FormatConfig, quantize} from '@tfjs-peft/quant';
import {buildUseLite} from '../../../data/models/use-lite.js';
import {FORMATS, GRID_FORMATS, groupedFormat} from '../../formats.js';
import {time} from '../measure.js';
import {type Row, row} from '../report.js';
import {stepOf} from '../step.js';
import {kernelsFor} from '../stock.js';
import {isGpu, roundsOf, type Suite, type SuiteOptions} from '../suite.js';
import {fileBytes, type Quantised, quantised, quantizersWith} from './quant-cases.js';
import {meanCosine, readSentences, vectorsOf} from './sentences.js';

const STEP = 'molora-8x4/int4';
/** Tries of the quantisers that search: few, so that the suite ends in minutes. `--tasks` has more. */
const TRIES = 5;

/** Rows of the larger batch, and width of the layer; smaller on a GPU, which may be one that a CPU plays. */
const sizeOf = ({size, backend}: SuiteOptions): [number, number] =>
  size ?? (isGpu(backend) ? [16, 256] : [256, 2048]);

type Add = (fields: Omit<Row, 'ratio'>) => void;
type Wanted = (name: string) => boolean;

/** The numbers of a layer [width, width]. */
function layerOf(width: number): {kernel: tf.Tensor2D; bias: tf.Tensor1D} {
  const kernel = tf.tidy(() =>
    tf.randomNormal([width, width], 0, width ** -0.5, 'float32', 1),
  ) as tf.Tensor2D;
  return {kernel, bias: tf.zeros([width])};
}

/** A model of one Dense layer of these numbers. */
function denseModel({kernel, bias}: ReturnType<typeof layerOf>): LayersModel {
  const [inputDim, units] = kernel.shape;
  const model = sequential({layers: [layers.dense({name: 'dense', units, inputShape: [inputDim]})]});
  model.setWeights([kernel, bias]);
  return model;
}

/** The bytes of a packed kernel in a model's file. */
async function kernelFileBytes(layer: ReturnType<typeof layerOf>, format: FormatConfig): Promise<number> {
  const model = denseModel(layer);
  await quantizeModel(model, {format});
  const bytes = await fileBytes(model);
  model.dispose();
  return bytes - 4 * layer.bias.size;
}

/** `f32/batch-1`, and each format's layer against the stock one and ours. */
async function measureLayers(options: SuiteOptions, wanted: Wanted, add: Add): Promise<void> {
  const rounds = roundsOf(options);
  const [stock, same] = [kernelsFor(options.backend), kernelsFor('none')];
  const [largest, width] = sizeOf(options);
  const layer = layerOf(width);
  const {kernel, bias} = layer;
  const inputs = [1, largest].map((batch) => {
    const x = tf.randomNormal([batch, width], 0, 1, 'float32', 2) as tf.Tensor2D;
    return [`batch-${batch}`, x] as const;
  });
  const run = (x: tf.Tensor2D, own: tf.Tensor2D | PackedMatrix) => () => combine({x, kernel: own, bias});
  const against = async (name: string, x: tf.Tensor2D, own: tf.Tensor2D | PackedMatrix) => {
    const baseline = () => tf.fused.matMul({a: x, b: kernel, bias});
    const figures = await time({ours: run(x, own), baseline}, rounds, stock);
    add({case: name, metric: 'forward', ...figures, baselineName: 'float32, stock', unit: 'ms'});
  };
  for (const [batch, x] of inputs) if (wanted(`f32/${batch}`)) await against(`f32/${batch}`, x, kernel);
  for (const type of FORMATS) {
    if (!inputs.some(([batch]) => wanted(`${type}/${batch}`))) continue;
    const format = groupedFormat(type);
    const {codes, ...attributes} = quantize(await kernel.data(), kernel.shape, format);
    const packed = packMatrix(codes, attributes);
    const bytes = {'tensor-bytes': packedBytes(packed), 'disk-bytes': await kernelFileBytes(layer, format)};
    for (const [batch, x] of inputs) {
      const name = `${type}/${batch}`;
      if (!wanted(name)) continue;
      await against(name, x, packed);
      const figures = await time({ours: run(x, packed), baseline: run(x, kernel)}, rounds, same);
      add({case: name, metric: 'forward-vs-ours', ...figures, baselineName: 'float32, ours', unit: 'ms'});
      for (const [metric, ours] of Object.entries(bytes))
        add({case: name, metric, ours, baseline: 4 * kernel.size, baselineName: 'float32', unit: 'bytes'});
    }
    disposePacked(packed);
  }
  tf.dispose([kernel, bias, ...inputs.map(([, x]) => x)]);
}

/** A step of MoLoRA on a base of 4 bits against one on a base of float32; x needs a gradient. */
async function measureStep(options: SuiteOptions, add: Add): Promise<void> {
  const [batch, width] = sizeOf(options);
  const layer = layerOf(width);
  const [x, target] = [3, 4].map((seed) => tf.randomNormal([batch, width], 0, 1, 'float32', seed));
  const models: LayersModel[] = [];
  const stepOn = async (format?: FormatConfig) => {
    const model = denseModel(layer);
    models.push(model);
    if (format !== undefined) await quantizeModel(model, {format});
    const adapter = {type: 'molora', experts: 8, rank: 4, alpha: 16} as const;
    const peft = await upgrade(model, {targets: 'all-dense', adapter, seed: 1});
    const scale = tf.tidy(() => tf.variable(tf.ones([width])));
    const side = {
      trained: [...peft.trainableVariables(), scale],
      forward: (input: tf.Tensor, training: boolean) =>
        model.apply(tf.mul(input, scale), {training}) as tf.Tensor,
    };
    return stepOf(side, x!, target!);
  };
  const [ours, baseline] = [await stepOn(groupedFormat('int4')), await stepOn()];
  const figures = await time({ours, baseline}, roundsOf(options), kernelsFor('none'));
  add({case: STEP, metric: 'step-dx', ...figures, baselineName: 'float32 base, ours', unit: 'ms'});
  for (const model of models) model.dispose();
  // The scales, and the optimizers' moments.
  tf.disposeVariables();
  tf.dispose([layer.kernel, layer.bias, x!, target!]);
}

/** USE-lite in each format by each quantiser, the best of them, and its table of embeddings. */
async function measureModel(options: SuiteOptions, wanted: Wanted, add: Add): Promise<void> {
  const quantizers = quantizersWith(TRIES);
  const casesOf = (type: string) => (GRID_FORMATS.includes(type) ? Object.keys(quantizers) : ['nearest']);
  const names = FORMATS.flatMap((type) => [
    `use-lite/${type}`,
    `use-lite/${type}/embedding`,
    ...casesOf(type).map((quantizer) => `use-lite/${type}/${quantizer}`),
  ]);
  if (!names.some(wanted)) return;
  const {calibration, compared} = options.sentences ?? readSentences();
  const {useLite} = options;
  const plain = buildUseLite(useLite);
  const vectors = await vectorsOf(plain, compared);
  const plainFile = await fileBytes(plain);
  plain.dispose();
  const measure = async (made: Quantised): Promise<Record<string, number>> => {
    const {model, report} = made;
    const figures = {
      cosine: meanCosine(vectors, await vectorsOf(model, compared)),
      'tensor-bytes': report.bytesAfter,
      'disk-bytes': (await fileBytes(model)) - (plainFile - report.bytesBefore),
      before: report.bytesBefore,
    };
    model.dispose();
    return figures;
  };
  const addAll = (name: string, {before, ...figures}: Record<string, number>, by: string) => {
    if (!wanted(name)) return;
    for (const [metric, ours] of Object.entries(figures)) {
      const [baseline, unit] = metric === 'cosine' ? [1, 'cosine'] : [before!, 'bytes'];
      add({case: name, metric, ours, baseline, baselineName: `float32; by ${by}`, unit});
    }
  };
  for (const type of FORMATS) {
    const format = groupedFormat(type);
    let best: {figures: Record<string, number>; quantizer: string} | undefined;
    for (const quantizer of casesOf(type)) {
      const name = `use-lite/${type}/${quantizer}`;
      if (!wanted(name) && !wanted(`use-lite/${type}`)) continue;
      const figures = await measure(
        await quantised('dense', {format, quantizer: quantizers[quantizer]!, calibration, useLite}),
      );
      addAll(name, figures, quantizer);
      if (best === undefined || figures.cosine! > best.figures.cosine!) best = {figures, quantizer};
    }
    if (best !== undefined) addAll(`use-lite/${type}`, best.figures, best.quantizer);
    const table = `use-lite/${type}/embedding`;
    if (!wanted(table)) continue;
    const how = {format, quantizer: quantizers.nearest!, calibration, useLite};
    addAll(table, await measure(await quantised('embedding', how)), 'nearest');
  }
}

/**
 * Quantised weights. W [2048, 2048] in every format, for one row and for 256: `forward` against stock float32
 * and `forward-vs-ours`, `tensor-bytes` and `disk-bytes`, and a training step on a base of 4 bits. USE-lite
 * in every format, in groups of 32, by every quantiser: the mean `cosine` of sentence vectors of real texts
 * to those in float32, and the bytes of its Dense kernels; the table of embeddings in rows of its own.
 */
export const quantSuite: Suite = async (options) => {
  if (options.tasks) return (await import('./quant-tasks.js')).quantTasks(options);
  const rows: Row[] = [];
  const wanted = (name: string) => options.cases?.test(name) ?? true;
  const add: Add = (fields) => {
    rows.push(row(fields));
    options.onRow?.(rows.at(-1)!);
  };
  await measureLayers(options, wanted, add);
  if (wanted(STEP)) await measureStep(options, add);
  await measureModel(options, wanted, add);
  return rows;
};
