import '@tensorflow/tfjs-backend-cpu';
import type {GraphModel} from '@tensorflow/tfjs-converter';
import * as tfl from '@tensorflow/tfjs-layers';
import {ConfigError} from '@tfjs-peft/kernels';
import {GraphBuilder} from '../../graph-model/testing/builder.js';
import {inspect, loadPeft, type UpgradeConfig, upgrade} from '../../index.js';

const LORA: UpgradeConfig<GraphModel> = {adapter: {type: 'lora', rank: 1}};

function layersModel(): tfl.Sequential {
  return tfl.sequential({layers: [tfl.layers.dense({units: 2, inputShape: [3], name: 'only'})]});
}

function graphModel(): Promise<GraphModel> {
  const graph = new GraphBuilder();
  const x = graph.input('x', [-1, 3]);
  graph.output(graph.node('MatMul', 'site', [x, graph.weight('w', [3, 2])]));
  return graph.load();
}

describe('without the entry point /graph', () => {
  test('a GraphModel is refused by an error that says what to import', async () => {
    const model = await graphModel();
    const wanted = /^The model is a GraphModel.*'@tfjs-peft\/layers\/graph'/;
    await expect(upgrade(model, LORA)).rejects.toThrow(wanted);
    await expect(upgrade(model, LORA)).rejects.toThrow(ConfigError);
    await expect(loadPeft(model, 'nowhere')).rejects.toThrow(wanted);
    expect(() => inspect(model)).toThrow(wanted);
  });

  test.each([
    ['undefined', undefined],
    ['null', null],
    ['a text', 'model.json'],
    ['a layer', tfl.layers.dense({units: 2})],
    ['an object', {predict: () => {}}],
  ])('%s is refused as no model', async (_, model) => {
    const wanted = /Pass a LayersModel from .*, or a GraphModel from tf\.loadGraphModel/;
    await expect(upgrade(model as never, LORA as never)).rejects.toThrow(wanted);
    expect(() => inspect(model as never)).toThrow(ConfigError);
  });
});

test('once /graph was imported, the same functions take both kinds, and what only the other kind can do is refused', async () => {
  await import('../../graph.js');
  const graph = await upgrade(await graphModel(), LORA);
  expect(graph.report().sites.map(({status}) => status)).toEqual(['adapted']);
  const layers = await upgrade(layersModel(), LORA);
  // Callers without types.
  const anyOf = (peft: unknown) => peft as Record<'contextFrom' | 'saveModel' | 'merge', () => unknown>;
  expect(() => anyOf(graph).contextFrom()).toThrow(
    /contextFrom works only for a LayersModel.*call setContext/,
  );
  await expect(anyOf(layers).saveModel()).rejects.toThrow(/call model\.save/);
  await expect(anyOf(graph).merge()).rejects.toThrow(/exportPlain\(peft, to\)/);
  const alsoTrain = {...LORA, alsoTrain: ['site']} as UpgradeConfig<GraphModel>;
  await expect(upgrade(await graphModel(), alsoTrain)).rejects.toThrow(
    /alsoTrain works only for a LayersModel/,
  );
});
