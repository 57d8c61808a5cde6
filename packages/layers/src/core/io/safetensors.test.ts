import {SafetensorsError} from '@tfjs-peft/kernels';
import fc from 'fast-check';
import {readSafetensors} from './safetensors.js';
import {writeSafetensors} from './safetensors-writer.js';

/** A file with this header and so many bytes of data. */
function file(header: string | Uint8Array, data: number | Uint8Array = 0, claimed?: bigint): Uint8Array {
  const text = typeof header === 'string' ? new TextEncoder().encode(header) : header;
  const body = typeof data === 'number' ? new Uint8Array(data) : data;
  const bytes = new Uint8Array(8 + text.length + body.length);
  new DataView(bytes.buffer).setBigUint64(0, claimed ?? BigInt(text.length), true);
  bytes.set(text, 8);
  bytes.set(body, 8 + text.length);
  return bytes;
}

const entry = (shape: unknown, offsets: unknown, dtype: unknown = 'F32') =>
  JSON.stringify({dtype, shape, data_offsets: offsets});

describe('sound files', () => {
  test('are read as they were written, whatever the names', () => {
    const tensors = new Map([
      ['b.lora_A', {shape: [2, 2], values: Float32Array.of(1, -2, 3.5, Number.NaN)}],
      ['__proto__', {shape: [1], values: Float32Array.of(7)}],
      ['constructor', {shape: [], values: Float32Array.of(-0)}],
      ['1', {shape: [0, 3], values: new Float32Array()}],
      ['a "quoted" näme/\n\ud800', {shape: [1, 1], values: Float32Array.of(1e-45)}],
    ]);
    const bytes = writeSafetensors(tensors, new Map([['__proto__', 'x']]));
    const read = readSafetensors(bytes);
    expect([...read.tensors.keys()].sort()).toEqual([...tensors.keys()].sort());
    for (const [name, {shape, values}] of tensors) {
      expect(read.tensors.get(name)).toEqual({dtype: 'float32', shape, values});
    }
    expect([...read.metadata]).toEqual([['__proto__', 'x']]);
  });

  test('are read from a Node Buffer, whose slices are no copies', () => {
    const tensors = new Map([
      ['a', {shape: [2], values: Float32Array.of(1, 2)}],
      ['b', {shape: [1], values: Float32Array.of(3)}],
    ]);
    const read = readSafetensors(Buffer.from(writeSafetensors(tensors)));
    expect(read.tensors.get('a')!.values).toEqual(Float32Array.of(1, 2));
    expect(read.tensors.get('b')!.values).toEqual(Float32Array.of(3));
  });

  test('have data aligned to 8 bytes', () => {
    for (const name of ['a', 'ab', 'abc', 'abcd', 'abcde', 'abcdef', 'abcdefg', 'abcdefgh']) {
      const bytes = writeSafetensors(new Map([[name, {shape: [1], values: Float32Array.of(1)}]]));
      expect(Number(new DataView(bytes.buffer).getBigUint64(0, true)) % 8).toBe(0);
    }
  });

  test('may have data that is not aligned, inside a larger buffer', () => {
    const bytes = file(`{"t":${entry([1], [0, 4])}} `, new Uint8Array(Float32Array.of(2.5).buffer));
    for (const shift of [0, 1, 2, 3]) {
      const buffer = new Uint8Array(bytes.length + 8);
      buffer.set(bytes, shift);
      const {tensors} = readSafetensors(buffer.subarray(shift, shift + bytes.length));
      expect(tensors.get('t')!.values).toEqual(Float32Array.of(2.5));
    }
  });

  test.each<[string, number[], string, number[]]>([
    ['F16', [0x00, 0x3c, 0x01, 0x00, 0xff, 0xfb, 0x00, 0x7c], 'float32', [1, 2 ** -24, -65504, Infinity]],
    ['BF16', [0x80, 0x3f, 0x49, 0xc0], 'float32', [1, -3.140625]],
    ['F64', [...new Uint8Array(Float64Array.of(0.1).buffer)], 'float32', [Math.fround(0.1)]],
    ['I32', [0xff, 0xff, 0xff, 0xff], 'int32', [-1]],
    ['I16', [0xfe, 0xff], 'int32', [-2]],
    ['U16', [0xfe, 0xff], 'int32', [65534]],
    ['I8', [0x80, 0x7f], 'int32', [-128, 127]],
    ['U8', [0x80, 0x7f], 'int32', [128, 127]],
    ['BOOL', [0, 1, 2], 'bool', [0, 1, 1]],
  ])('of %s are read', (dtype, data, expected, values) => {
    const bytes = file(`{"t":${entry([values.length], [0, data.length], dtype)}}`, Uint8Array.from(data));
    const tensor = readSafetensors(bytes).tensors.get('t')!;
    expect(tensor.dtype).toBe(expected);
    expect([...tensor.values]).toEqual(values);
  });
});

describe('malformed files', () => {
  const one = entry([1], [0, 4]);
  const deep = '['.repeat(20_000) + ']'.repeat(20_000);
  test.each<[string, Uint8Array, RegExp]>([
    ['empty', new Uint8Array(), /0 bytes, too few/],
    ['shorter than the length', new Uint8Array(7), /too few/],
    ['truncated in the header', file(`{"t":${one}}`).subarray(0, 20), /truncated/],
    [
      'truncated in the data',
      file(`{"t":${one}}`, 3),
      /'t': its data ends at byte 4, but the file has only 3/,
    ],
    ['a header of more than 10 MB', file('{}', 0, 10_000_001n), /10000001 bytes; more than 10000000/],
    ['a header length beyond 2^53', file('{}', 0, 2n ** 63n), /is not allowed/],
    ['not UTF-8', file(Uint8Array.of(0x7b, 0xff, 0x7d)), /not UTF-8/],
    ['a byte order mark', file('\ufeff{}'), /not JSON/],
    ['not JSON', file('{"t":'), /not JSON/],
    ['an array', file('[]'), /not a JSON object/],
    ['white space in front', file(' {}'), /starts with its first byte/],
    ['one name twice', file(`{"t":${one},"t":${one}}`, 4), /the key 't' twice/],
    ['one name twice, once escaped', file(`{"t":${one},"\\u0074":${one}}`, 4), /the key 't' twice/],
    ['a key of an entry twice', file('{"t":{"dtype":"F32","dtype":"I32"}}'), /the key 'dtype' twice/],
    ['__proto__ twice', file(`{"__proto__":${one},"__proto__":${one}}`, 4), /'__proto__' twice/],
    ['overlap', file(`{"s":${entry([2], [0, 8])},"t":${entry([1], [4, 8])}}`, 8), /'t': its bytes overlap/],
    ['the same bytes twice', file(`{"s":${one},"t":${one}}`, 4), /overlap/],
    ['a gap', file(`{"s":${one},"t":${entry([1], [8, 12])}}`, 12), /'t': there is a gap of 4 bytes/],
    ['a gap in front', file(`{"t":${entry([1], [4, 8])}}`, 8), /a gap of 4/],
    ['bytes behind', file(`{"t":${one}}`, 5), /1 bytes after the last/],
    ['bytes without tensors', file('{}', 1), /1 bytes after/],
    [
      'an empty tensor inside another',
      file(`{"s":${one},"t":${entry([0], [2, 2])}}`, 4),
      /'t': its bytes overlap/,
    ],
    [
      'too few bytes for the shape',
      file(`{"t":${entry([2], [0, 4])}}`, 4),
      /span 4 bytes, but F32 \[2\] takes 8/,
    ],
    ['offsets that run backwards', file(`{"t":${entry([1], [4, 0])}}`, 4), /end before they begin/],
    ['a negative axis', file(`{"t":${entry([-1], [0, 4])}}`, 4), /shape \[-1\] is not/],
    ['a fractional axis', file(`{"t":${entry([0.5], [0, 2])}}`, 2), /shape \[0.5\] is not/],
    ['a shape that is no list', file(`{"t":${entry(4, [0, 4])}}`, 4), /shape 4 is not/],
    ['a shape that overflows', file(`{"t":${entry([2 ** 40, 2 ** 40], [0, 4])}}`, 4), /too large/],
    ['a negative offset', file(`{"t":${entry([1], [-4, 0])}}`, 4), /data_offsets \[-4,0\] is not/],
    ['an offset beyond 2^53', file(`{"t":${entry([1], [0, 2 ** 60])}}`, 4), /is not a pair of integers/],
    ['an offset beyond the file', file(`{"t":${entry([2 ** 30], [0, 2 ** 32])}}`, 4), /only 4 bytes of data/],
    ['three offsets', file(`{"t":${entry([1], [0, 4, 4])}}`, 4), /is not a pair/],
    ['an unknown dtype', file(`{"t":${entry([1], [0, 1], 'F8_E4M3')}}`, 1), /dtype 'F8_E4M3' cannot be read/],
    ['dtype __proto__', file(`{"t":${entry([1], [0, 4], '__proto__')}}`, 4), /cannot be read/],
    ['no dtype', file('{"t":{"shape":[1],"data_offsets":[0,4]}}', 4), /dtype undefined/],
    [
      'an unknown key',
      file('{"t":{"dtype":"F32","shape":[],"data_offsets":[0,4],"x":1}}', 4),
      /unknown key 'x'/,
    ],
    ['an entry that is no object', file('{"t":3}'), /'t': its entry is 3/],
    ['metadata that is no text', file('{"__metadata__":{"a":1}}'), /'a' is 1, but must be a string/],
    ['metadata that is no object', file('{"__metadata__":"a"}'), /not an object/],
    ['deep nesting', file(`{"t":${deep}}`), /nested deeper than 32/],
  ])('%s', (_what, bytes, message) => {
    const read = () => readSafetensors(bytes);
    expect(read).toThrow(SafetensorsError);
    expect(read).toThrow(message);
  });

  test('cannot be written', () => {
    const write = (name: string, shape: number[]) => () =>
      writeSafetensors(new Map([[name, {shape, values: Float32Array.of(1)}]]));
    expect(write('__metadata__', [1])).toThrow(SafetensorsError);
    expect(write('t', [2])).toThrow(/Tensor 't': shape \[2\] does not fit/);
  });
});

describe('properties', () => {
  const tensor = fc.array(fc.integer({min: 0, max: 4}), {maxLength: 3}).chain((shape) => {
    const size = shape.reduce((product, axis) => product * axis, 1);
    return fc
      .float32Array({minLength: size, maxLength: size})
      .map((values) => ({shape, values: Float32Array.from(values)}));
  });
  const files = fc
    .array(fc.tuple(fc.oneof(fc.string({unit: 'binary'}), fc.constantFrom('__proto__', '0', '')), tensor), {
      maxLength: 5,
    })
    .map((tensors) => new Map(tensors.filter(([name]) => name !== '__metadata__')));

  test('what is written is read back', () => {
    fc.assert(
      fc.property(files, (tensors) => {
        const read = readSafetensors(writeSafetensors(tensors)).tensors;
        expect(read.size).toBe(tensors.size);
        for (const [name, {shape, values}] of tensors) {
          expect(read.get(name)).toEqual({dtype: 'float32', shape, values});
        }
      }),
    );
  });

  test('a damaged file gives a sound result or a SafetensorsError', () => {
    const damage = fc.array(fc.tuple(fc.nat(), fc.integer({min: 0, max: 255})), {minLength: 1, maxLength: 4});
    fc.assert(
      fc.property(files, damage, fc.integer({min: -9, max: 9}), (tensors, changes, growth) => {
        const sound = writeSafetensors(tensors);
        const bytes = new Uint8Array(Math.max(0, sound.length + growth));
        bytes.set(sound.subarray(0, bytes.length));
        for (const [at, value] of changes) if (bytes.length > 0) bytes[at % bytes.length] = value;
        try {
          for (const {shape, values} of readSafetensors(bytes).tensors.values()) {
            expect(values.length).toBe(shape.reduce((product, axis) => product * axis, 1));
          }
        } catch (error) {
          expect(error).toBeInstanceOf(SafetensorsError);
        }
      }),
      {numRuns: 500},
    );
  });
});
