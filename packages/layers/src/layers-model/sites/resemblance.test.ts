import '@tfjs-peft/kernels/auto';
import * as tf from '@tensorflow/tfjs';
import {memory} from '../../graph-model/testing/run.js';
import {type AdapterConfig, loadPeft, PeftLayer, PeftWrapper, registerSite, upgrade} from '../../index.js';
import {ResetAfterGRUCell} from '../../repair.js';
import {disturb, normal, reloaded} from '../../testing/sites.js';

beforeAll(async () => {
  await tf.setBackend('cpu');
  registerSite('Shifted', {
    kind: 'shifted',
    operation: (layer) => ({
      get dims() {
        const [inputDim, outputDim] = (layer as Shifted).kernel.shape as [number, number];
        return {inputDim, outputDim};
      },
      get frozen() {
        return {kernel: (layer as Shifted).kernel.read() as tf.Tensor2D};
      },
    }),
    finish: (y, {layer}) => (layer as Shifted).finish(y),
  });
});

const seeded = {
  kernelInitializer: tf.initializers.randomNormal({stddev: 0.4, seed: 3}),
  recurrentInitializer: tf.initializers.randomNormal({stddev: 0.4, seed: 4}),
  biasInitializer: tf.initializers.randomNormal({stddev: 0.4, seed: 5}),
};

type Maker = (args: object) => tf.layers.Layer;

/** Layers that take states to start from, and how many. */
const DECODERS: Record<string, {make: Maker; states: number}> = {
  gru: {make: (args) => tf.layers.gru({units: 4, ...seeded, ...args} as never), states: 1},
  lstm: {make: (args) => tf.layers.lstm({units: 4, ...seeded, ...args} as never), states: 2},
  simpleRNN: {make: (args) => tf.layers.simpleRNN({units: 4, ...seeded, ...args} as never), states: 1},
  'rnn of a cell of ours': {
    make: (args) =>
      tf.layers.rnn({cell: new ResetAfterGRUCell({units: 4, ...seeded} as never) as never, ...args}),
    states: 1,
  },
};

const ADAPTERS: AdapterConfig[] = [
  {type: 'lora', rank: 2},
  {type: 'ia3'},
  {type: 'molora', experts: 2, rank: 2},
];

function close(got: tf.Tensor | tf.Tensor[], want: tf.Tensor | tf.Tensor[], tolerance = 1e-6): void {
  const [a, b] = [[got].flat(), [want].flat()];
  expect(a.map(({shape}) => shape)).toEqual(b.map(({shape}) => shape));
  a.forEach((tensor, i) => {
    expect(tf.max(tf.abs(tf.sub(tensor, b[i]!))).dataSync()[0]).toBeLessThanOrEqual(tolerance);
  });
}

describe.each(Object.keys(DECODERS))('a decoder that starts from given states, of kind %s', (kind) => {
  const {make, states} = DECODERS[kind]!;
  /** The states come from an encoder, as in seq2seq; or from inputs, as where one decodes step by step. */
  const build = (args: object, fromInputs = false): {model: tf.LayersModel; inputs: tf.Tensor[]} => {
    const [a, b] = [tf.input({shape: [5, 3]}), tf.input({shape: [4, 3]})];
    const given = Array.from({length: states}, () => tf.input({shape: [4]}));
    const encoded = make({returnState: true, name: 'encoder'}).apply(a) as tf.SymbolicTensor[];
    const initialState = fromInputs ? given : encoded.slice(1);
    const outputs = make({name: 'decoder', ...args}).apply(b, {initialState}) as tf.SymbolicTensor;
    const model = tf.model({inputs: fromInputs ? [b, ...given] : [a, b], outputs});
    const values = fromInputs
      ? [[2, 4, 3], ...given.map(() => [2, 4])]
      : [
          [2, 5, 3],
          [2, 4, 3],
        ];
    return {model, inputs: values.map((shape, i) => normal(shape, i + 1))};
  };

  test.each([
    [{returnSequences: true}, false],
    [{returnSequences: true, returnState: true}, false],
    [{goBackwards: true}, false],
    [{returnSequences: true, returnState: true}, true],
  ])(
    'with %j gives what it gave, trains, is saved and comes back (states from inputs: %s)',
    async (args, fromInputs) => {
      const {model, inputs} = build(args, fromInputs);
      const before = model.predict(inputs) as tf.Tensor | tf.Tensor[];
      for (const adapter of ADAPTERS) {
        const peft = await upgrade(model, {targets: ['decoder'], adapter, seed: 1});
        close(model.predict(inputs) as tf.Tensor, before);
        const targets = [before].flat().map((tensor, i) => normal(tensor.shape, i + 7));
        model.compile({optimizer: tf.train.adam(0.05), loss: tf.losses.meanSquaredError as never});
        const {history} = await model.fit(inputs, targets, {epochs: 8, verbose: 0});
        expect((history.loss as number[]).at(-1)).toBeLessThan((history.loss as number[])[0]!);
        const trained = model.predict(inputs) as tf.Tensor | tf.Tensor[];
        const {copy} = await reloaded(model, (handler) => tf.loadLayersModel(handler));
        close(copy.predict(inputs) as tf.Tensor, trained, 0);
        const place = memory();
        await peft.save(place);
        peft.disable();
        close(model.predict(inputs) as tf.Tensor, before, 0);
        peft.detach();
        close(model.predict(inputs) as tf.Tensor, before, 0);
        const again = await loadPeft(model, place);
        close(model.predict(inputs) as tf.Tensor, trained, 0);
        again.detach();
      }
    },
  );

  test('is a layer of one’s own too', async () => {
    const wrapper = new PeftWrapper({layer: make({returnSequences: true})});
    const stock = make({returnSequences: true});
    wrapper.addAdapter('default', {type: 'lora', rank: 2}, 1);
    const x = normal([2, 4, 3], 1);
    const initialState = Array.from({length: states}, (_, i) => normal([2, 4], i + 2));
    for (const layer of [wrapper, stock]) layer.apply(x);
    wrapper.stock.setWeights(stock.getWeights());
    for (const active of [null, 'default']) {
      wrapper.activate(active);
      const want = stock.apply(x, {initialState}) as tf.Tensor;
      close(wrapper.apply(x, {initialState}) as tf.Tensor, want);
      close(wrapper.apply([x, ...initialState]) as tf.Tensor, want);
      expect(() => close(wrapper.apply(x) as tf.Tensor, want)).toThrow();
    }
    const given = initialState.map(() => tf.input({shape: [4]}));
    const input = tf.input({shape: [4, 3]});
    const fresh = new PeftWrapper({layer: make({returnSequences: true})});
    fresh.addAdapter('default', {type: 'lora', rank: 2}, 1);
    fresh.activate('default');
    const outputs = fresh.apply(input, {initialState: given}) as tf.SymbolicTensor;
    const model = tf.model({inputs: [input, ...given], outputs});
    fresh.stock.setWeights(stock.getWeights());
    close(model.predict([x, ...initialState]) as tf.Tensor, stock.apply(x, {initialState}) as tf.Tensor);
    disturb(fresh, 'default');
    const {copy} = await reloaded(model, (handler) => tf.loadLayersModel(handler));
    close(
      copy.predict([x, ...initialState]) as tf.Tensor,
      model.predict([x, ...initialState]) as tf.Tensor,
      0,
    );
  });
});

test('a Bidirectional hands on states, given and taken', async () => {
  const gru = (args: object) =>
    tf.layers.bidirectional({
      layer: tf.layers.gru({units: 4, ...seeded, ...args} as never) as never,
      ...args,
    } as never);
  const [a, b] = [tf.input({shape: [5, 3]}), tf.input({shape: [4, 3]})];
  const [, ...states] = gru({returnState: true, name: 'encoder'}).apply(a) as tf.SymbolicTensor[];
  const outputs = gru({returnSequences: true, name: 'decoder'}).apply(b, {
    initialState: states,
  }) as tf.SymbolicTensor;
  const model = tf.model({inputs: [a, b], outputs});
  const x = [normal([2, 5, 3], 1), normal([2, 4, 3], 2)];
  const before = model.predict(x) as tf.Tensor;
  const peft = await upgrade(model, {targets: 'all-projections', adapter: {type: 'lora', rank: 2}, seed: 1});
  expect(peft.report().sites.filter(({status}) => status === 'adapted')).toHaveLength(4);
  close(model.predict(x) as tf.Tensor, before);
  model.compile({optimizer: tf.train.adam(0.05), loss: 'meanSquaredError'});
  await model.fit(x, normal(before.shape, 3), {epochs: 2, verbose: 0});
  const trained = model.predict(x) as tf.Tensor;
  expect(() => close(trained, before)).toThrow();
  const {copy} = await reloaded(model, (handler) => tf.loadLayersModel(handler));
  close(copy.predict(x) as tf.Tensor, trained, 0);
  peft.detach();
  close(model.predict(x) as tf.Tensor, before, 0);
});

test('a decoder is trained beside others that start from states, adapted or not', async () => {
  const rnn = (name: string) =>
    tf.layers.gru({units: 4, returnSequences: true, returnState: true, name, ...seeded} as never);
  const [a, given] = [tf.input({shape: [4, 3]}), tf.input({shape: [4]})];
  const both = tf.layers.bidirectional({
    layer: tf.layers.gru({units: 4, returnSequences: true}) as never,
    name: 'both',
  } as never);
  let x = a;
  for (const name of ['first', 'second', 'third']) {
    [x] = rnn(name).apply(x, {initialState: [given]}) as [tf.SymbolicTensor];
  }
  const last = both.apply(x, {initialState: [given, given]}) as tf.SymbolicTensor;
  const outputs = tf.layers.gru({units: 2, name: 'last'}).apply(last) as tf.SymbolicTensor;
  const model = tf.model({inputs: [a, given], outputs});
  const inputs = [normal([2, 4, 3], 1), normal([2, 4], 2)];
  const before = model.predict(inputs) as tf.Tensor;
  const peft = await upgrade(model, {targets: ['second'], adapter: {type: 'lora', rank: 2}, seed: 1});
  close(model.predict(inputs) as tf.Tensor, before);
  model.compile({optimizer: tf.train.adam(0.05), loss: 'meanSquaredError'});
  const {history} = await model.fit(inputs, normal(before.shape, 3), {epochs: 6, verbose: 0});
  expect((history.loss as number[]).at(-1)).toBeLessThan((history.loss as number[])[0]!);
  peft.detach();
  close(model.predict(inputs) as tf.Tensor, before, 0);
  expect(model.layers.filter((layer) => Object.hasOwn(layer, 'apply'))).toEqual([]);
});

test('an RNN that is called several times takes each call’s own states, or none', async () => {
  const layer = tf.layers.lstm({units: 4, returnState: true, name: 'shared', ...seeded} as never);
  const [a, b] = [tf.input({shape: [4, 3]}), tf.input({shape: [4, 3]})];
  const first = layer.apply(a) as tf.SymbolicTensor[];
  const second = layer.apply(b, {initialState: first.slice(1)}) as tf.SymbolicTensor[];
  const third = layer.apply(a, {initialState: second.slice(1)}) as tf.SymbolicTensor[];
  const model = tf.model({inputs: [a, b], outputs: [...first, ...second, ...third]});
  const x = [normal([2, 4, 3], 1), normal([2, 4, 3], 2)];
  const before = model.predict(x) as tf.Tensor[];
  const peft = await upgrade(model, {targets: ['shared'], adapter: {type: 'lora', rank: 2}, seed: 1});
  close(model.predict(x) as tf.Tensor[], before);
  model.compile({optimizer: tf.train.sgd(0.1), loss: tf.losses.meanSquaredError as never});
  await model.fit(
    x,
    before.map(({shape}, i) => normal(shape, i)),
    {epochs: 1, verbose: 0},
  );
  expect(() => close(model.predict(x) as tf.Tensor[], before)).toThrow();
  peft.detach();
  close(model.predict(x) as tf.Tensor[], before, 0);
});

test('a decoder takes the mask of its input, not of its states', async () => {
  const [ids, given] = [tf.input({shape: [4], dtype: 'int32'}), tf.input({shape: [4]})];
  const embedded = tf.layers.embedding({inputDim: 6, outputDim: 3, maskZero: true, name: 'ids'}).apply(ids);
  const decoder = tf.layers.gru({units: 4, returnSequences: true, name: 'decoder', ...seeded} as never);
  const outputs = decoder.apply(embedded as tf.SymbolicTensor, {initialState: [given]}) as tf.SymbolicTensor;
  const model = tf.model({inputs: [ids, given], outputs});
  const x = [
    tf.tensor2d(
      [
        [1, 2, 0, 0],
        [3, 4, 5, 0],
      ],
      [2, 4],
      'int32',
    ),
    normal([2, 4], 2),
  ];
  const before = model.predict(x) as tf.Tensor;
  const peft = await upgrade(model, {
    targets: ['decoder', 'ids'],
    adapter: {type: 'molora', experts: 2, rank: 2},
    seed: 1,
  });
  close(model.predict(x) as tf.Tensor, before);
  peft.detach();
});

test('a stateful decoder keeps its states, and forgets them with the model', async () => {
  const make = () =>
    tf.layers.gru({
      units: 4,
      stateful: true,
      name: 'decoder',
      batchInputShape: [2, 4, 3],
      ...seeded,
    } as never);
  const model = tf.sequential({layers: [make()]});
  const stock = tf.sequential({layers: [make()]});
  stock.setWeights(model.getWeights());
  const peft = await upgrade(model, {targets: ['decoder'], adapter: {type: 'lora', rank: 2}, seed: 1});
  const x = normal([2, 4, 3], 1);
  for (const reset of [false, false, true, false]) {
    if (reset) for (const each of [model, stock]) each.resetStates();
    close(model.predict(x, {batchSize: 2}) as tf.Tensor, stock.predict(x, {batchSize: 2}) as tf.Tensor);
  }
  const states = (layer: unknown) => (layer as {states: tf.Tensor[]}).states;
  close(states(model.layers[0]), states(stock.layers[0]));
  peft.detach();
});

describe('a layer that stands in for another', () => {
  test.each<[string, () => tf.layers.Layer, number[], string[]]>([
    [
      'Dense',
      () => tf.layers.dense({units: 4, activation: 'relu'}),
      [3],
      ['units', 'activation', 'kernel', 'bias', 'useBias'],
    ],
    [
      'Conv2D',
      () => tf.layers.conv2d({filters: 4, kernelSize: 3}),
      [5, 5, 2],
      ['filters', 'kernelSize', 'strides', 'padding', 'kernel'],
    ],
    [
      'Embedding',
      () => tf.layers.embedding({inputDim: 4, outputDim: 3, maskZero: true}),
      [3],
      ['inputDim', 'outputDim', 'maskZero', 'embeddings'],
    ],
    [
      'LSTM',
      () => tf.layers.lstm({units: 4, returnState: true}),
      [4, 3],
      ['cell', 'states', 'returnState', 'goBackwards', 'stateSpec'],
    ],
  ])('has what the %s has', async (_, make, inputShape, names) => {
    const layer = make();
    const input = tf.input({shape: inputShape});
    const outputs = layer.apply(input) as tf.SymbolicTensor;
    const model = tf.model({inputs: input, outputs});
    const want = names.map((name) => (layer as unknown as Record<string, unknown>)[name]);
    const peft = await upgrade(model, {adapter: {type: 'ia3'}, targets: [layer.name]});
    const place = model.layers[1]! as unknown as Record<string, unknown>;
    expect(place).toBeInstanceOf(PeftLayer);
    expect(names.filter((name) => !(name in layer))).toEqual([]);
    names.forEach((name, i) => {
      if (typeof want[i] === 'object') expect(place[name]).toEqual(want[i]);
      else expect(place[name]).toBe(want[i]);
    });
    expect(Object.keys(place).filter((key) => names.includes(key))).toEqual([]);
    expect(place.inputSpec).toBe(layer.inputSpec);
    expect(place.name).toBe(layer.name);
    peft.detach();
  });

  test('runs its class’s own apply, fields that it leaves included', async () => {
    const make = () => new Shifted({units: 2, name: 'shifted'});
    const input = tf.input({shape: [3]});
    const layer = make();
    const outputs = layer.apply(input, {shift: 4}) as tf.SymbolicTensor;
    const model = tf.model({inputs: input, outputs});
    const x = normal([2, 3], 1);
    const shifted = layer.apply(x, {shift: 4}) as tf.Tensor;
    const before = layer.apply(x) as tf.Tensor;
    const peft = await upgrade(model, {targets: ['shifted'], adapter: {type: 'lora', rank: 1}, seed: 1});
    const standIn = model.layers[1]!;
    close(standIn.apply(x, {shift: 4}) as tf.Tensor, shifted);
    close(standIn.apply(x) as tf.Tensor, before);
    expect((standIn as unknown as {twice(): number}).twice()).toBe(4);
    peft.disable();
    close(standIn.apply(x, {shift: 4}) as tf.Tensor, shifted, 0);
    peft.detach();
  });
});

/** A layer of one's own whose `apply` takes more than tfjs's, and keeps it until `call`. */
class Shifted extends tf.layers.Layer {
  static readonly className = 'Shifted';
  declare shift: number;
  readonly #factor = 2;
  kernel!: ReturnType<tf.layers.Layer['addWeight']>;

  constructor(private readonly args: {units: number; name?: string}) {
    super(args);
  }
  override build(shape: number[]): void {
    const init = tf.initializers.randomNormal({seed: 1});
    this.kernel = this.addWeight('kernel', [shape.at(-1)!, this.args.units], 'float32', init);
    this.built = true;
  }
  override apply(
    inputs: tf.Tensor | tf.SymbolicTensor,
    kwargs?: {shift?: number},
  ): tf.Tensor | tf.SymbolicTensor {
    this.shift = kwargs?.shift ?? 0;
    return super.apply(inputs as tf.Tensor) as tf.Tensor;
  }
  override call(inputs: tf.Tensor | tf.Tensor[]): tf.Tensor {
    return tf.tidy(() =>
      this.finish(tf.matMul([inputs].flat()[0] as tf.Tensor2D, this.kernel.read() as tf.Tensor2D)),
    );
  }
  finish(y: tf.Tensor): tf.Tensor {
    return tf.add(y, this.shift);
  }
  twice(): number {
    return this.#factor * this.args.units;
  }
  override computeOutputShape([batch]: number[]): number[] {
    return [batch!, this.args.units];
  }
}
