import '@tensorflow/tfjs-backend-cpu';
import '@tfjs-peft/kernels/cpu';
import '@tfjs-peft/kernels/gradients';
import type {GraphModel} from '@tensorflow/tfjs-converter';
import * as tf from '@tensorflow/tfjs-core';
import * as tfd from '@tensorflow/tfjs-data';
import {PeftError} from '@tfjs-peft/kernels';
import {type GraphBatch, type GraphData, type GraphTrainer, trainer, upgrade} from '../../graph.js';
import {GraphBuilder} from '../testing/builder.js';

const [SAMPLES, BATCH] = [12, 4];

/** x [-1, 8] to y [-1, 3]. */
async function upgraded(): Promise<GraphModel> {
  const graph = new GraphBuilder();
  graph.input('x', [-1, 8]);
  graph.weight('w', [8, 3]);
  graph.node('MatMul', 'y', ['x', 'w'], {transpose_a: false, transpose_b: false});
  const model = await graph.output('y').load();
  await upgrade(model, {targets: 'all-projections', adapter: {type: 'lora', rank: 2}, seed: 1});
  return model;
}

async function made(learningRate = 0.1): Promise<GraphTrainer> {
  return trainer(await upgraded(), {loss: 'meanSquaredError', optimizer: tf.train.sgd(learningRate)});
}

const X = () => tf.randomUniform([SAMPLES, 8], -1, 1, 'float32', 7) as tf.Tensor2D;
const Y = () => tf.randomUniform([SAMPLES, 3], -1, 1, 'float32', 8) as tf.Tensor2D;

function batchAt(i: number) {
  const rows = <T extends tf.Tensor>(all: T) => tf.tidy(() => tf.slice(all, [i * BATCH], [BATCH]) as T);
  const [x, y] = [X(), Y()];
  const batch = {xs: rows(x), ys: rows(y)};
  tf.dispose([x, y]);
  return batch;
}

function* generate() {
  for (let i = 0; i < SAMPLES / BATCH; i++) yield batchAt(i);
}

async function* generateLater() {
  for (const batch of generate()) yield batch;
}

/** Each kind of data that can be run as often as one likes. */
const KINDS: Record<string, () => GraphData> = {
  'all samples': () => ({xs: X(), ys: Y()}),
  'a pair of all samples': () => [X(), Y()],
  'an array of batches': () => [...generate()],
  'a generator function': () => generate,
  'an async generator function': () => generateLater,
  'a function that gives an array': () => () => [...generate()],
  'a function that promises a dataset': () => async () => ({[Symbol.iterator]: generate}),
  'an iterable': () => ({[Symbol.iterator]: generate}),
  'an async iterable': () => ({[Symbol.asyncIterator]: generateLater}),
  'tf.data.zip and batch': () =>
    tfd.zip({xs: tfd.array(X().arraySync()), ys: tfd.array(Y().arraySync())}).batch(BATCH),
  'tf.data.generator': () => tfd.generator(generate),
  'tf.data.array and map': () => tfd.array([0, 1, 2]).map((i) => ({...batchAt(i as number)})),
  'tf.data with prefetch': () => tfd.generator(generate).prefetch(2),
  'a function that gives a tf.data.Dataset': () => () => tfd.generator(generate),
};

/** Batches that each epoch has trained on. */
function counting() {
  const counts: number[] = [];
  const callbacks = {
    onEpochBegin: async () => void counts.push(0),
    onBatchEnd: async () => void counts[counts.length - 1]!++,
  };
  return {counts, callbacks};
}

describe.each(Object.keys(KINDS))('%s', (kind) => {
  it('is run in full for each epoch, and gives what all samples give', async () => {
    const reference = await made();
    const args = {epochs: 3, batchSize: BATCH, shuffle: false, verbose: 0} as const;
    const all = {xs: X(), ys: Y()};
    const wanted = await reference.fit(all, {...args, validationData: all});
    const own = await made();
    const {counts, callbacks} = counting();
    const found = await own.fit(KINDS[kind]!(), {...args, callbacks, validationData: KINDS[kind]!()});
    expect(counts).toEqual([3, 3, 3]);
    expect(found.history).toEqual(wanted.history);
    expect(await own.evaluate(KINDS[kind]!(), {batchSize: BATCH})).toEqual(
      await reference.evaluate(all, {batchSize: BATCH}),
    );
  });

  it('leaves the tensors of the caller, and no others', async () => {
    const own = await made();
    const data = KINDS[kind]!();
    await own.fit(data, {epochs: 1, batchSize: BATCH, verbose: 0});
    const {numTensors} = tf.memory();
    await own.fit(data, {
      epochs: 2,
      batchSize: BATCH,
      verbose: 0,
      validationData: data,
      validationBatches: 1,
    });
    await own.fit(data, {epochs: 2, batchSize: BATCH, verbose: 0, batchesPerEpoch: 1});
    await own.evaluate(data, {batches: 1});
    // What tf.data has fetched ahead is its own.
    const ahead = kind === 'tf.data with prefetch' ? 100 : 0;
    expect(tf.memory().numTensors - numTensors).toBeLessThanOrEqual(ahead);
  });
});

describe('an iterator', () => {
  it.each([
    ['a generator object', generate],
    ['an async generator object', generateLater],
    ['an iterator that cannot be iterated', () => ({next: generate().next.bind(generate())})],
  ] as [string, () => GraphData][])('that is %s can be run once', async (_, make) => {
    const own = await made();
    const data = make();
    const {counts, callbacks} = counting();
    await own.fit(data, {verbose: 0, callbacks});
    expect(counts).toEqual([3]);
    await expect(own.fit(data, {verbose: 0})).rejects.toThrow(/The iterator was used before/);
    await expect(own.evaluate(data)).rejects.toThrow(/The iterator was used before/);
    await expect(own.fit(() => data as never, {verbose: 0})).rejects.toThrow(/used before/);
    expect(Number.isFinite((await own.evaluate(make())).loss)).toBe(true);
  });

  it('is refused for two epochs before it is asked for a batch', async () => {
    const own = await made();
    let asked = 0;
    function* counted() {
      asked++;
      yield* generate();
    }
    const several = {epochs: 2, verbose: 0} as const;
    await expect(own.fit(counted(), several)).rejects.toThrow(/cannot be used again for a second epoch/);
    const validated = own.fit(generate, {...several, validationData: counted()});
    await expect(validated).rejects.toThrow(/validationData is an iterator/);
    expect(asked).toBe(0);
    await own.fit(generate, {verbose: 0, validationData: counted()});
    expect(asked).toBe(1);
  });

  it('serves several epochs of so many batches', async () => {
    const own = await made();
    const {counts, callbacks} = counting();
    await own.fit(generate(), {epochs: 3, batchesPerEpoch: 1, verbose: 0, callbacks});
    expect(counts).toEqual([1, 1, 1]);
  });

  it('that hides in an iterable is told from data that can be run again', async () => {
    const own = await made();
    const once = generate();
    const hidden = {[Symbol.iterator]: () => ({next: () => once.next()})};
    await expect(own.fit(hidden as never, {epochs: 2, verbose: 0})).rejects.toThrow(
      /no batches left for pass 2/,
    );
  });
});

describe('a pass that is left early', () => {
  /** How often passes have been started, and how often they were told that no more is wanted. */
  function watched() {
    const seen = {started: 0, returned: 0};
    function* data() {
      seen.started++;
      try {
        for (;;) yield batchAt(0);
      } finally {
        seen.returned++;
      }
    }
    return {seen, data};
  }
  const ways: Record<string, (own: GraphTrainer, data: () => Iterator<GraphBatch>) => Promise<unknown>> = {
    'stopTraining of the trainer': (own, data) =>
      own.fit(data, {
        verbose: 0,
        callbacks: {
          onBatchEnd: (batch) => {
            if (batch === 1) own.stopTraining = true;
          },
        },
      }),
    'stopTraining of the model': (own, data) =>
      own.fit(data, {
        epochs: 5,
        verbose: 0,
        callbacks: {
          onBatchEnd: (batch) => {
            if (batch === 1) (own.model as {stopTraining?: boolean}).stopTraining = true;
          },
        },
      }),
    batchesPerEpoch: (own, data) => own.fit(data, {epochs: 2, batchesPerEpoch: 2, verbose: 0}),
    validationBatches: (own, data) =>
      own.fit(generate, {epochs: 2, validationData: data, validationBatches: 2, verbose: 0}),
    'the batches of evaluate': (own, data) => own.evaluate(data, {batches: 2}),
    'an error in a callback': (own, data) => {
      const callbacks = {
        onBatchEnd: () => {
          throw new Error('mine');
        },
      };
      return expect(own.fit(data, {verbose: 0, callbacks})).rejects.toThrow('mine');
    },
    'a batch that does not fit': async (own, data) => {
      const wrong = function* () {
        yield* (function* () {
          const inner = data();
          yield inner.next().value as GraphBatch;
          inner.return!();
        })();
        yield {xs: tf.ones([4, 8]), ys: [tf.ones([4, 3]), tf.ones([4, 3])]};
      };
      await expect(own.fit(wrong, {verbose: 0})).rejects.toThrow(
        /ys: got a list of 2, but the number of outputs is 1/,
      );
    },
  };

  it.each(Object.keys(ways))('by %s is told so, and leaves no tensor', async (way) => {
    const own = await made();
    await own.fit(generate, {verbose: 0});
    const {seen, data} = watched();
    const {numTensors} = tf.memory();
    await ways[way]!(own, data);
    expect(seen.started).toBeGreaterThan(0);
    expect(seen.returned).toBe(seen.started);
    // The sum of losses of an epoch that an error ends is lost to tfjs-layers.
    const lost = ['an error in a callback', 'a batch that does not fit'].includes(way) ? 1 : 0;
    expect(tf.memory().numTensors - numTensors).toBe(lost);
    expect('stopTraining' in own.model).toBe(false);
  });

  it('stops where a LayersModel would, with the history so far', async () => {
    const own = await made();
    const {counts, callbacks} = counting();
    const onEpochEnd = async (epoch: number) => {
      if (epoch === 1) own.stopTraining = true;
    };
    const {history} = await own.fit(generate, {epochs: 9, verbose: 0, callbacks: {...callbacks, onEpochEnd}});
    expect(counts).toEqual([3, 3]);
    expect(history.loss).toHaveLength(2);
    expect((await own.fit(generate, {epochs: 2, verbose: 0})).history.loss).toHaveLength(2);
  });
});

describe('data of which nothing can be had', () => {
  it.each(['a new trainer', 'a trainer that ran before'])('are told so by %s', async (which) => {
    const own = await made();
    if (which !== 'a new trainer') await own.fit(generate, {verbose: 0});
    const none: GraphData[] = [[], () => [], new Set<GraphBatch>(), tfd.array([]) as never];
    for (const data of none) {
      await expect(own.fit(data, {verbose: 0})).rejects.toThrow(/The dataset has no batches\./);
      await expect(own.evaluate(data)).rejects.toThrow(/The dataset has no batches\./);
    }
    const validated = own.fit(generate, {verbose: 0, validationData: []});
    await expect(validated).rejects.toThrow(/validationData has no batches\./);
  });

  it.each([
    [null, /The data must be/],
    ['text', /not text/],
    [tf.ones([2, 2]), /not a tensor/],
    [{x: 1}, /not an object with 'x'/],
    [[1, 2], /xs must be a tensor/],
    [[{xs: tf.ones([1, 8])}], /A batch must be \{xs, ys\}, not an object with 'xs'/],
    [() => ({xs: tf.ones([1, 8]), ys: tf.ones([1, 3])}), /A function passed as data must return a dataset/],
    [{xs: tf.ones([1, 8]), ys: tf.ones([2, 3])}, /one row per sample/],
    [{xs: tf.ones([1, 8]), ys: tf.ones([1, 3]), weights: tf.ones([1])}, /unknown option 'weights'/],
    [
      [{xs: tf.ones([1, 8]), ys: tf.ones([1, 3]), sampleWeight: tf.ones([1])}],
      /unknown option 'sampleWeight'/,
    ],
    [[{xs: tf.ones([1, 8]), ys: 3}], /ys must be a tensor/],
  ] as [unknown, RegExp][])('are refused: %#', async (data, message) => {
    const own = await made();
    for (const call of ['fit', 'evaluate'] as const) {
      const error = await own[call](data as GraphData).then(
        () => null,
        (thrown: unknown) => thrown,
      );
      expect(error).toBeInstanceOf(PeftError);
      expect(String(error)).toMatch(message);
    }
  });

  it('are told from batches that are disposed', async () => {
    const own = await made();
    const batches = new Set(generate());
    await own.fit(batches, {verbose: 0});
    await expect(own.fit(batches, {verbose: 0})).rejects.toThrow(/A batch has disposed tensors/);
  });

  it('unknown options are refused, and numbers out of range', async () => {
    const own = await made();
    const wrong: [object, RegExp][] = [
      [{epoch: 1}, /unknown option 'epoch'/],
      [{epochs: 0}, /epochs is 0/],
      [{batchesPerEpoch: 0}, /batchesPerEpoch is 0/],
      [{validationBatches: 0.5}, /validationBatches is 0.5/],
      [{validationSplit: 1}, /validationSplit is 1/],
      [{validationSplit: 0.5, validationData: generate}, /Set only one of them/],
    ];
    for (const [options, message] of wrong) {
      await expect(own.fit({xs: X(), ys: Y()}, {verbose: 0, ...options})).rejects.toThrow(message);
    }
    await expect(own.fit(generate, {validationSplit: 0.5})).rejects.toThrow(
      /With a dataset, set validationData/,
    );
    await expect(own.evaluate(generate, {batches: 0})).rejects.toThrow(/batches is 0/);
  });
});

describe('orders and parts of all samples', () => {
  it('are those of the seed, whatever ran before', async () => {
    const own = await made(0);
    const losses = async (seed?: number) => {
      const found: number[] = [];
      const onBatchEnd = async (_: number, logs?: {loss?: number}) => void found.push(logs!.loss!);
      await own.fit({xs: X(), ys: Y()}, {epochs: 2, seed, batchSize: 5, verbose: 0, callbacks: {onBatchEnd}});
      return found;
    };
    const first = await losses(1);
    expect(await losses(1)).toEqual(first);
    await own.evaluate({xs: X(), ys: Y()});
    expect(await losses(1)).toEqual(first);
    expect(await losses(2)).not.toEqual(first);
    expect(first.slice(0, 3)).not.toEqual(first.slice(3));
  });

  it('validationSplit keeps the last samples', async () => {
    const [own, other] = [await made(), await made()];
    const args = {epochs: 2, batchSize: 4, shuffle: false, verbose: 0} as const;
    const [x, y] = [X(), Y()];
    const split = await own.fit({xs: x, ys: y}, {...args, validationSplit: 0.25});
    const at = (tensor: tf.Tensor, from: number, size: number) => tf.slice(tensor, [from], [size]);
    const given = await other.fit(
      {xs: at(x, 0, 9), ys: at(y, 0, 9)},
      {...args, validationData: [at(x, 9, 3), at(y, 9, 3)]},
    );
    expect(split.history).toEqual(given.history);
  });
});

describe('sampleWeights', () => {
  const weights = () => tf.tensor1d(Array.from({length: SAMPLES}, (_, i) => (i % 3 === 0 ? 0 : 1.5)));
  const kept = (x: tf.Tensor) =>
    tf.gather(
      x,
      Array.from({length: SAMPLES}, (_, i) => i).filter((i) => i % 3 !== 0),
    );

  it('of 0 leave samples out, in training, validation and evaluation', async () => {
    const [own, other] = [await made(), await made()];
    const weighed = {xs: X(), ys: Y(), sampleWeights: weights()};
    const rest = {xs: kept(X()), ys: kept(Y())};
    const args = {epochs: 3, batchSize: SAMPLES, verbose: 0, shuffle: true} as const;
    const found = await own.fit(weighed, {
      ...args,
      validationData: [weighed.xs, weighed.ys, weighed.sampleWeights],
    });
    const wanted = await other.fit(rest, {...args, validationData: rest});
    for (const [name, values] of Object.entries(wanted.history)) {
      for (const [i, value] of values.entries())
        expect(found.history[name]![i]).toBeCloseTo(value as number, 5);
    }
    expect((await own.evaluate(weighed)).loss).toBeCloseTo((await other.evaluate(rest)).loss!, 5);
    expect((await own.evaluate({xs: X(), ys: Y()})).loss).not.toBeCloseTo(
      (await other.evaluate(rest)).loss!,
      3,
    );
  });

  it('follow their batches in datasets, and count beside the weights of classes', async () => {
    const model = await upgraded();
    const own = trainer(model, {loss: 'sparseCategoricalCrossentropy', optimizer: tf.train.sgd(0)});
    const classes = tf.tensor1d(Array.from({length: SAMPLES}, (_, i) => i % 2));
    const fit = async (data: GraphData, classWeight?: Record<number, number>) => {
      const {history} = await own.fit(data, {
        verbose: 0,
        batchSize: SAMPLES,
        ...(classWeight && {classWeight}),
      });
      return history.loss![0] as number;
    };
    const [even, odd] = [0, 1].map((own) =>
      tf.tensor1d(Array.from({length: SAMPLES}, (_, i) => (i % 2 === own ? 2 : 0))),
    );
    const evenLoss = await fit({xs: X(), ys: classes, sampleWeights: even});
    const oddLoss = await fit([{xs: X(), ys: classes, sampleWeights: odd}]);
    const plain = await fit({xs: X(), ys: classes});
    expect((evenLoss + oddLoss) / 2).toBeCloseTo(plain, 5);
    const both = await fit({xs: X(), ys: classes, sampleWeights: even}, {0: 3, 1: 5});
    expect(both).toBeCloseTo(3 * evenLoss, 5);
  });

  it('that do not fit are refused', async () => {
    const own = await made();
    const fit = (shape: number[]) =>
      own.fit([{xs: tf.ones([4, 8]), ys: tf.ones([4, 3]), sampleWeights: tf.ones(shape)}], {verbose: 0});
    await expect(fit([3])).rejects.toThrow(
      /sampleWeights have the shape \[3\], but the loss has the shape \[4\]/,
    );
    await expect(fit([4, 3])).rejects.toThrow(/sampleWeights have the shape \[4,3\]/);
    await fit([4, 1]);
  });
});

describe('what runs while a trainer trains', () => {
  it('is predict, evaluate and gradients, which change nothing of it', async () => {
    const alone = await made();
    const args = {epochs: 2, batchSize: BATCH, seed: 1, verbose: 0} as const;
    const wanted = await alone.fit({xs: X(), ys: Y()}, args);
    const own = await made();
    const y = (await own.predict(X())) as tf.Tensor;
    const before = await y.data();
    const others: Promise<unknown>[] = [];
    const onBatchBegin = async () => {
      others.push(own.predict(tf.ones([2, 8])), own.evaluate({xs: X(), ys: Y()}, {batchSize: 3}));
      others.push(own.gradients(tf.ones([1, 8]), (out) => tf.sum(out as tf.Tensor) as tf.Scalar));
      await others.at(-3);
    };
    const found = await own.fit({xs: X(), ys: Y()}, {...args, callbacks: {onBatchBegin}});
    await Promise.all(others);
    expect(found.history).toEqual(wanted.history);
    expect(await ((await alone.predict(X())) as tf.Tensor).data()).toEqual(
      await ((await own.predict(X())) as tf.Tensor).data(),
    );
    expect(before).toHaveLength(SAMPLES * 3);
  });

  it('is a fit beside an evaluation that is running', async () => {
    const own = await made();
    const both = await Promise.all([
      own.evaluate({xs: X(), ys: Y()}, {batchSize: 2}),
      own.fit({xs: X(), ys: Y()}, {batchSize: 3, verbose: 0}),
    ]);
    expect(Number.isFinite(both[0].loss)).toBe(true);
    expect(both[1].history.loss).toHaveLength(1);
  });
});
