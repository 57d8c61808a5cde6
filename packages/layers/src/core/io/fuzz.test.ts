import '@tensorflow/tfjs-backend-cpu';
import '@tfjs-peft/kernels/cpu';
import * as tf from '@tensorflow/tfjs-core';
import {PeftError, SafetensorsError} from '@tfjs-peft/kernels';
import {createRouter} from '@tfjs-peft/routers';
import fc from 'fast-check';
import {
  adapterShapes,
  createAdapter,
  loadPeft,
  readSafetensors,
  upgrade,
  writeSafetensors,
} from '../../index.js';
import {expectUnchanged, fingerprint, sequential} from '../../testing/models.js';
import type {StoredFile} from './adapter-file.js';
import {toArtifacts} from './artifacts.js';
import {parseConfig} from './config-file.js';
import {whatIs} from './file-signatures.js';
import {isOurCard} from './model-card.js';

/** Seconds for each parser; `TFJS_PEFT_FUZZ_SECONDS` gives all of them together. */
const PARSERS = 6;
const SECONDS = Number(process.env.TFJS_PEFT_FUZZ_SECONDS ?? 6) / PARSERS;
const LIMIT = (SECONDS + 60) * 1000;
const budget = {
  numRuns: Number.MAX_SAFE_INTEGER,
  interruptAfterTimeLimit: SECONDS * 1000,
  markInterruptAsFailure: false,
};

/** Runs a parser; what it throws must be a typed error, and a short one. */
function typed<T>(run: () => T, type: typeof PeftError = PeftError): T | undefined {
  try {
    return run();
  } catch (error) {
    expect(error).toBeInstanceOf(type);
    expect((error as Error).message.length).toBeLessThan(4000);
    return undefined;
  }
}

const ODD = fc.oneof(
  {
    weight: 3,
    arbitrary: fc.constantFrom<unknown>(
      0,
      -1,
      0.5,
      1,
      2,
      3,
      1e9,
      2 ** 53,
      1e308,
      null,
      true,
      '',
      '3',
      [],
      {},
    ),
  },
  {weight: 1, arbitrary: fc.jsonValue({maxDepth: 3})},
);

/** JSON with some of its values, at any depth, replaced, removed or doubled. */
function spoiled<T>(sound: T): fc.Arbitrary<T> {
  const change = fc.record({at: fc.nat(), how: fc.constantFrom('set', 'remove', 'repeat'), value: ODD});
  return fc.array(change, {minLength: 1, maxLength: 3}).map((changes) => {
    const copy = JSON.parse(JSON.stringify(sound)) as T;
    for (const {at, how, value} of changes) {
      const places = placesOf(copy);
      if (places.length === 0) break;
      const [parent, key] = places[at % places.length]!;
      if (how === 'set') parent[key] = value;
      else if (how === 'remove') delete parent[key];
      else if (Array.isArray(parent)) parent.push(parent[Number(key)]);
    }
    return copy;
  });
}

type Parent = Record<string, unknown>;

function placesOf(value: unknown): [Parent, string][] {
  if (typeof value !== 'object' || value === null) return [];
  return Object.keys(value).flatMap((key): [Parent, string][] => [
    [value as Parent, key],
    ...placesOf((value as Parent)[key]),
  ]);
}

/** Bytes with some changed, put in, or cut off. */
function damaged(sound: Uint8Array): fc.Arbitrary<Uint8Array> {
  const change = fc.record({
    at: fc.nat(),
    how: fc.constantFrom('set', 'insert', 'cut'),
    byte: fc.integer({min: 0, max: 255}),
  });
  return fc.array(change, {minLength: 1, maxLength: 4}).map((changes) => {
    let bytes = [...sound];
    for (const {at, how, byte} of changes) {
      const place = at % (bytes.length + 1);
      if (how === 'set') bytes[place] = byte;
      else if (how === 'insert') bytes.splice(place, 0, byte);
      else bytes = bytes.slice(0, place);
    }
    return Uint8Array.from(bytes);
  });
}

const ADAPTERS = [
  {type: 'lora', rank: 2, alpha: 1},
  {type: 'dora', rank: 2},
  {type: 'molora', experts: 2, rank: 2, router: {type: 'softmax', topK: 1, jitter: 0.1}},
  {
    type: 'mov',
    experts: 2,
    form: 'code',
    heads: 2,
    router: {type: 'composite', routers: [{type: 'softmax'}, {type: 'fixed'}]},
  },
  {type: 'mor1e', r1: 2, r2: 2, clusters: 3},
  {type: 'lime', experts: 2, over: {type: 'lora', rank: 2}, router: {type: 'zero', nGram: 2, theta: 0.5}},
  {type: 'lime', experts: 2, over: {type: 'prompt', virtualTokens: 2}},
];

let stored: StoredFile;

beforeAll(async () => {
  await tf.setBackend('cpu');
  const peft = await upgrade(sequential(), {
    adapter: {type: 'molora', experts: 2, rank: 2},
    targets: ['dense_1', 'dense_100'],
    alsoTrain: ['dense_10'],
  });
  await peft.save({
    async save({modelTopology, weightSpecs, weightData}) {
      const weights = new Map<string, {shape: number[]; values: Float32Array}>();
      let at = 0;
      for (const {name, shape} of weightSpecs!) {
        const end = at + 4 * tf.util.sizeFromShape(shape);
        weights.set(name, {shape, values: new Float32Array((weightData as ArrayBuffer).slice(at, end))});
        at = end;
      }
      stored = {file: modelTopology as StoredFile['file'], weights};
      return {modelArtifactsInfo: {dateSaved: new Date(), modelTopologyType: 'JSON'}};
    },
  });
});

test(
  'safetensors: a damaged file is read soundly, or refused',
  () => {
    const sound = writeSafetensors(stored.weights, new Map([['format', 'tfjs-peft']]));
    fc.assert(
      fc.property(fc.oneof(damaged(sound), fc.uint8Array({maxLength: 200})), (bytes) => {
        const read = typed(() => readSafetensors(bytes), SafetensorsError);
        for (const {shape, values} of read?.tensors.values() ?? []) {
          expect(values.length).toBe(shape.reduce((size, axis) => size * axis, 1));
        }
        whatIs(bytes);
      }),
      budget,
    );
  },
  LIMIT,
);

test(
  'safetensors: any header is read soundly, or refused',
  () => {
    const header = {
      a: {dtype: 'F32', shape: [2, 1], data_offsets: [0, 8]},
      b: {dtype: 'BOOL', shape: [1], data_offsets: [8, 9]},
      __metadata__: {c: 'd'},
    };
    fc.assert(
      fc.property(spoiled(header), (spoilt) => {
        const text = new TextEncoder().encode(JSON.stringify(spoilt));
        const bytes = new Uint8Array(8 + text.length + 9);
        new DataView(bytes.buffer).setBigUint64(0, BigInt(text.length), true);
        bytes.set(text, 8);
        typed(() => readSafetensors(bytes), SafetensorsError);
      }),
      budget,
    );
  },
  LIMIT,
);

test(
  'safetensors: what is written is read back, and what is not written is refused',
  () => {
    const name = fc.oneof(
      fc.string({unit: 'binary'}),
      fc.constantFrom<unknown>('__proto__', '0', '', '__metadata__', 3, null),
    );
    const shape = fc.oneof(fc.array(fc.integer({min: -1, max: 3}), {maxLength: 3}), ODD);
    const values = fc.oneof(
      fc.array(fc.float({noNaN: true}), {maxLength: 9}).map((list) => Float32Array.from(list)),
      fc.constantFrom<unknown>(Float64Array.of(1), Int32Array.of(1), [1], undefined),
    );
    const tensor = fc.oneof(fc.record({shape, values}), ODD);
    const fitting = fc.array(fc.integer({min: 0, max: 3}), {maxLength: 3}).map((axes) => ({
      shape: axes,
      values: new Float32Array(axes.reduce((size, axis) => size * axis, 1)).fill(1.5),
    }));
    const entries = fc.array(fc.tuple(name, fc.oneof(tensor, fitting)), {maxLength: 3});
    const metadata = fc.array(fc.tuple(name, fc.oneof(fc.string({unit: 'binary'}), ODD)), {maxLength: 2});
    fc.assert(
      fc.property(entries, metadata, (tensors, texts) => {
        const given = new Map(tensors as [string, {shape: number[]; values: Float32Array}][]);
        const bytes = typed(
          () => writeSafetensors(given, new Map(texts as [string, string][])),
          SafetensorsError,
        );
        if (bytes === undefined) return;
        const read = readSafetensors(bytes);
        expect(new Map([...read.tensors].sort())).toEqual(
          new Map(
            [...given]
              .map(([key, {shape, values}]) => [key, {dtype: 'float32', shape, values}] as const)
              .sort(),
          ),
        );
        expect(read.metadata).toEqual(new Map(texts as [string, string][]));
      }),
      budget,
    );
  },
  LIMIT,
);

test(
  'configs of adapters and routers: made, or refused',
  () => {
    const config = fc.oneof(...ADAPTERS.map(spoiled), fc.object({maxDepth: 4}));
    fc.assert(
      fc.property(config, (given) => {
        const made = typed(() => createAdapter(given as never));
        typed(() => adapterShapes(given as never, {inputDim: 8, outputDim: 4}));
        typed(() => createRouter({experts: 2, ...(given as {router?: object}).router} as never));
        if (made !== undefined) expect(createAdapter(made.getConfig()).getConfig()).toEqual(made.getConfig());
      }),
      budget,
    );
  },
  LIMIT,
);

test(
  'adapter_config.json: a damaged text is read soundly, or refused',
  () => {
    const sound = new TextEncoder().encode(JSON.stringify(stored.file));
    const spoiltFields = spoiled(stored.file).map((file) => new TextEncoder().encode(JSON.stringify(file)));
    fc.assert(
      fc.property(fc.oneof(damaged(sound), spoiltFields), (bytes) => {
        const file = typed(() => parseConfig(bytes, 'adapter_config.json'));
        if (file !== undefined) void isOurCard('', file);
      }),
      budget,
    );
  },
  LIMIT,
);

test(
  'a spoiled file is loaded as it was, or refused and the model left alone',
  async () => {
    const sound = toArtifacts(stored);
    const {weightData, ...rest} = sound;
    const model = sequential();
    const before = fingerprint(model);
    await fc.assert(
      fc.asyncProperty(spoiled(rest), async (artifacts) => {
        try {
          const handler = {load: async () => ({...artifacts, weightData: weightData!})};
          (await loadPeft(model, handler as tf.io.IOHandler)).detach();
        } catch (error) {
          expect(error).toBeInstanceOf(PeftError);
        }
        expectUnchanged(model, before);
      }),
      budget,
    );
  },
  LIMIT,
);
