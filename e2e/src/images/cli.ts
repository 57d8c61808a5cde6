// Digits by a GraphModel: node e2e/dist/images/cli.js [images of a class to train on] [to test on] [epochs] [seed]
import {useBackend} from '../main/backend.js';
import {finetuneDigits} from './finetune.js';

const [train = 30, test = 40, epochs = 12, seed = 1] = process.argv.slice(2).map(Number);
await useBackend('wasm');
const result = await finetuneDigits({
  train,
  test,
  probeEpochs: 60,
  epochs,
  batchSize: 10,
  learningRate: 1e-3,
  seed,
  onNote: (note) => console.error(note),
});
console.log(JSON.stringify({train: 10 * train, test: 10 * test, epochs, seed, ...result}));
