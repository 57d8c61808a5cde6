import {useBackend} from '../../apps/common/backend.js';
import {finetuneDigits} from './nsfw-mobilenet.js';

// The figures of a run long enough to beat the probe are those of the images job: this one has a minute.
describe('nsfwjs on digits', () => {
  it('trains adapters at 1x1 convolutions and at the product, through depthwise convolutions, with a new head', async () => {
    await useBackend('wasm');
    const notes: string[] = [];
    const {sites, start, adapted} = await finetuneDigits({
      train: 2,
      test: 1,
      probeEpochs: 2,
      epochs: 5,
      batchSize: 10,
      learningRate: 3e-3,
      seed: 1,
      onNote: (note) => notes.push(note),
    });
    expect(sites).toEqual({_FusedConv2D: 5, _FusedMatMul: 1});
    expect(start.largestChange).toBeLessThan(1e-4);
    const losses = notes.flatMap((note) => /^epoch \d+: loss (.*)$/.exec(note)?.[1] ?? []).map(Number);
    expect(losses).toHaveLength(5);
    expect(losses[4]).toBeLessThan(0.5 * losses[0]!);
    expect(adapted.loss).toBeLessThan(start.loss);
  }, 300000);
});
