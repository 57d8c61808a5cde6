// node e2e/dist/tests/saving/versions/write.js FOLDER: writes the files of the present
// version that later versions must load.
import {existsSync, writeFileSync} from 'node:fs';
import {join} from 'node:path';
import * as tf from '@tensorflow/tfjs';
import '@tfjs-peft/kernels/auto';
import {type Peft, type UpgradeConfig, upgrade} from '@tfjs-peft/layers/graph';
import {
  contextOfBatch,
  folderSaver,
  graphBase,
  graphInputs,
  layersBase,
  layersInputs,
  numbers,
} from './bases.js';
import {graphCases, layersCases, type SavedCase} from './cases.js';

const folder = process.argv[2];
if (folder === undefined || existsSync(folder))
  throw new Error('usage: write.js FOLDER, which must not exist yet');

function randomize(peft: Peft<tf.LayersModel> | Peft<tf.GraphModel>): void {
  peft.trainableVariables().forEach((variable, i) => {
    variable.assign(tf.add(variable, numbers(variable.shape, 0.3, 100 + i)) as tf.Tensor);
  });
}

function store(path: string, output: tf.Tensor, {targets, alsoTrain}: SavedCase): void {
  const expected = {
    targets,
    ...(alsoTrain && {alsoTrain}),
    shape: output.shape,
    data: [...output.dataSync()],
  };
  writeFileSync(join(path, 'expected.json'), `${JSON.stringify(expected)}\n`);
}

const configOf = ({adapter, targets, alsoTrain}: SavedCase): UpgradeConfig => ({
  adapter,
  targets,
  ...(alsoTrain && {alsoTrain}),
  name: 'saved',
  seed: 1,
});

await tf.setBackend('cpu');
await layersBase().save(folderSaver(join(folder, 'layers-base')));
for (const [name, saved] of Object.entries(layersCases())) {
  const model = layersBase();
  const peft = await upgrade(model, configOf(saved));
  randomize(peft);
  peft.setContext(contextOfBatch());
  const to = join(folder, 'layers', name);
  await peft.save(to);
  store(to, model.predict(layersInputs()) as tf.Tensor, saved);
  if (name !== 'molora') continue;
  const whole = join(folder, 'layers-whole');
  await model.save(folderSaver(whole));
  store(whole, model.predict(layersInputs()) as tf.Tensor, saved);
}

const base = graphBase();
const loadGraph = () => tf.loadGraphModel(tf.io.fromMemory(structuredClone(base)));
await (await loadGraph()).save(folderSaver(join(folder, 'graph-base')));
for (const [name, saved] of Object.entries(graphCases())) {
  const model = await loadGraph();
  const peft = await upgrade(model, configOf(saved));
  randomize(peft);
  peft.setContext(contextOfBatch());
  const to = join(folder, 'graph', name);
  await peft.save(to);
  store(to, model.execute(graphInputs()) as tf.Tensor, saved);
  if (name !== 'molora') continue;
  const whole = join(folder, 'graph-whole');
  await peft.saveModel(whole);
  store(whole, model.execute(graphInputs()) as tf.Tensor, saved);
}
