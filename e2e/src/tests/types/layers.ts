/** What the public types of layers promise. Never run: tsc checks it, with `npm run check`. */
import type {GraphModel} from '@tensorflow/tfjs-converter';
import type {LayersModel} from '@tensorflow/tfjs-layers';
import {
  type AdapterConfig,
  type AdapterConfigs,
  type DropIn,
  inspect,
  type LoraConfig,
  loadPeft,
  loraDense,
  type MoloraConfig,
  moloraDense,
  type Peft,
  type PeftDense,
  type Report,
  type Targets,
  trainer,
  type UpgradableModel,
  type UpgradeConfig,
  upgrade,
} from '@tfjs-peft/layers/graph';
import {expectTypeOf} from 'expect-type';

declare const layersModel: LayersModel;
declare const graphModel: GraphModel;

// The config of an adapter is told by its type, which says what the other options are.
expectTypeOf<AdapterConfigs['lora']>().toEqualTypeOf<LoraConfig>();
expectTypeOf<Omit<Extract<AdapterConfig, {type: 'molora'}>, 'dropout'>>().toEqualTypeOf<
  Omit<MoloraConfig, never>
>();
// Every adapter has dropout.
expectTypeOf<{type: 'ia3'; dropout: number}>().toExtend<AdapterConfig>();
expectTypeOf<{type: 'ia3'; dropout: string}>().not.toExtend<AdapterConfig>();
loraDense({units: 3, rank: 2, dropout: 0.1});
expectTypeOf<{type: 'ia3'}>().toExtend<AdapterConfig>();
expectTypeOf<{type: 'lora'; rank: number; alpha: number}>().toExtend<AdapterConfig>();
expectTypeOf<{type: 'lora'; rank: string}>().not.toExtend<AdapterConfig>();
expectTypeOf<{type: 'no-such-adapter'}>().not.toExtend<AdapterConfig>();
// @ts-expect-error (IA)³ has no rank.
expectTypeOf<AdapterConfig>({type: 'ia3', rank: 4});
// @ts-expect-error An adapter says how many experts there are; its router does not.
expectTypeOf<AdapterConfig>({type: 'molora', router: {type: 'softmax', experts: '4'}});

// A drop-in layer takes a stock Dense's arguments and its adapter's options.
expectTypeOf(loraDense).returns.toEqualTypeOf<PeftDense>();
expectTypeOf<DropIn<'lora'>>().toHaveProperty('units');
expectTypeOf<DropIn<'lora'>>().toHaveProperty('rank');
expectTypeOf<DropIn<'lora'>>().toHaveProperty('seed');
expectTypeOf<DropIn<'lora'>>().not.toHaveProperty('type');
expectTypeOf<DropIn<'lora'>>().not.toHaveProperty('experts');
moloraDense({units: 3, experts: 4, rank: 4, activation: 'relu'});
// @ts-expect-error A Dense has units.
moloraDense({experts: 4});
// @ts-expect-error LoRA has no experts.
loraDense({units: 3, experts: 4});

// Targets: two words, a list, or a predicate.
expectTypeOf<'all-dense' | 'all-projections'>().toExtend<Targets>();
expectTypeOf<(string | RegExp | {op: string} | {weightShape: number[]})[]>().toExtend<Targets>();
expectTypeOf<(site: {name: string; kind: string}) => boolean>().toExtend<Targets>();
expectTypeOf<'all-denes'>().not.toExtend<Targets>();
expectTypeOf<string>().not.toExtend<Targets>();

// An upgrade needs an adapter, and nothing else.
expectTypeOf<{adapter: {type: 'lora'}}>().toExtend<UpgradeConfig>();
expectTypeOf<{targets: 'all-dense'}>().not.toExtend<UpgradeConfig>();

// Each kind of model has what it can do, and nothing else.
export async function kinds(either: UpgradableModel): Promise<void> {
  const adapter: AdapterConfig = {type: 'lora'};
  const ofLayers = await upgrade(layersModel, {adapter, alsoTrain: ['head']});
  const ofGraph = await upgrade(graphModel, {adapter});
  const ofEither = await upgrade(either, {adapter});
  expectTypeOf(ofLayers).toEqualTypeOf<Peft<LayersModel>>();
  expectTypeOf(ofLayers).toEqualTypeOf<Peft>();
  expectTypeOf(ofGraph).toEqualTypeOf<Peft<GraphModel>>();
  expectTypeOf(await loadPeft(graphModel, 'folder')).toEqualTypeOf<Peft<GraphModel>>();
  expectTypeOf(ofLayers.model).toEqualTypeOf<LayersModel>();
  expectTypeOf(ofGraph.model).toEqualTypeOf<GraphModel>();
  expectTypeOf(ofLayers).toExtend<Peft<UpgradableModel>>();
  expectTypeOf(ofGraph).toExtend<Peft<UpgradableModel>>();
  for (const name of ['report', 'save', 'enable', 'disable', 'detach', 'setContext'] as const) {
    expectTypeOf(ofEither[name]).toBeFunction();
  }

  expectTypeOf(ofLayers).toHaveProperty('contextFrom');
  expectTypeOf(ofGraph).not.toHaveProperty('contextFrom');
  expectTypeOf(ofEither).not.toHaveProperty('contextFrom');
  expectTypeOf(ofGraph).toHaveProperty('saveModel');
  expectTypeOf(ofLayers).not.toHaveProperty('saveModel');
  expectTypeOf(ofEither).not.toHaveProperty('saveModel');
  // @ts-expect-error A GraphModel has no layers to train in full.
  await upgrade(graphModel, {adapter, alsoTrain: ['head']});

  // How a model is kept is no part of the types.
  expectTypeOf(ofLayers).not.toHaveProperty('state');
  expectTypeOf<typeof Peft>().not.toHaveProperty('stateOf');
}

expectTypeOf(inspect).returns.toEqualTypeOf<Report>();
expectTypeOf(trainer).parameter(0).toEqualTypeOf<GraphModel>();
// @ts-expect-error A LayersModel is trained by its own fit.
trainer(layersModel, {loss: 'meanSquaredError', optimizer: 'adam'});
