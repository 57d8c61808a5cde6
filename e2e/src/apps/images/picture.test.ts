import {mkdtempSync, rmSync, writeFileSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {InputError} from '../../data/input-error.js';
import {readPicture} from './picture.js';
import {asJpeg, asPng, halves, turned} from './testing/pictures.js';

const RED = [255, 0, 0] as const;
const BLUE = [0, 0, 255] as const;
let folder: string;
let count = 0;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'pictures-'));
});
afterAll(() => rmSync(folder, {recursive: true, force: true}));

const file = (bytes: Buffer) => {
  const path = join(folder, `${count++}.png`);
  writeFileSync(path, bytes);
  return path;
};
/** Size and the colours of the corners, row by row. */
function look(bytes: Buffer) {
  const {width, height, colours} = readPicture(file(bytes));
  const at = (x: number, y: number) => [...colours.slice(3 * (y * width + x), 3 * (y * width + x) + 3)];
  return {
    size: [width, height],
    corners: [at(0, 0), at(width - 1, 0), at(0, height - 1), at(width - 1, height - 1)],
  };
}
const close = (actual: number[][], expected: readonly (readonly number[])[], tolerance: number) => {
  actual.forEach((colour, i) => {
    colour.forEach((value, c) => {
      expect(Math.abs(value - expected[i]![c]!)).toBeLessThanOrEqual(tolerance);
    });
  });
};

describe('readPicture', () => {
  const picture = halves(32, 16, RED, BLUE);

  it('reads PNG and JPEG whatever the name says', () => {
    const png = look(asPng(picture));
    expect(png).toEqual({size: [32, 16], corners: [RED, BLUE, RED, BLUE].map((own) => [...own])});
    const jpeg = look(asJpeg(picture));
    expect(jpeg.size).toEqual([32, 16]);
    close(jpeg.corners, [RED, BLUE, RED, BLUE], 6);
  });

  it('reads grey and 16 bits', () => {
    const grey = look(asPng(halves(4, 4, [90, 90, 90], [200, 200, 200]), {colorType: 0}));
    expect(grey.corners.slice(0, 2)).toEqual([
      [90, 90, 90],
      [200, 200, 200],
    ]);
    const deep = look(
      asPng(
        {
          width: 2,
          height: 1,
          data: Buffer.from(Uint16Array.of(65535, 0, 0, 65535, 0, 0, 65535, 65535).buffer),
        },
        {bitDepth: 16},
      ),
    );
    expect(deep.corners.slice(0, 2)).toEqual([
      [255, 0, 0],
      [0, 0, 255],
    ]);
  });

  it('lays what is transparent on white', () => {
    const {corners} = look(asPng(halves(4, 2, RED, [0, 0, 0], 0)));
    expect(corners).toEqual([
      [255, 255, 255],
      [255, 255, 255],
      [255, 255, 255],
      [255, 255, 255],
    ]);
    expect(look(asPng(halves(4, 2, [0, 0, 0], [0, 0, 0], 51))).corners[0]).toEqual([204, 204, 204]);
  });

  it('shrinks what is large, every pixel counting', () => {
    // Columns of black and white by turns are grey from afar.
    const stripes = halves(256, 4, RED, RED);
    for (let i = 0; i < 256 * 4; i++) stripes.data.set(i % 2 ? [255, 255, 255] : [0, 0, 0], 4 * i);
    expect(look(asPng(stripes))).toEqual({size: [128, 4], corners: Array(4).fill([128, 128, 128])});
  });

  it.each([
    [1, [RED, BLUE, RED, BLUE]],
    [2, [BLUE, RED, BLUE, RED]],
    [3, [BLUE, RED, BLUE, RED]],
    [4, [RED, BLUE, RED, BLUE]],
    [5, [RED, RED, BLUE, BLUE]],
    [6, [RED, RED, BLUE, BLUE]],
    [7, [BLUE, BLUE, RED, RED]],
    [8, [BLUE, BLUE, RED, RED]],
    [99, [RED, BLUE, RED, BLUE]],
  ])('turns a picture upright that a camera marked with %i', (orientation, corners) => {
    for (const little of [false, true]) {
      const seen = look(turned(asJpeg(picture), orientation, little));
      expect(seen.size).toEqual(orientation >= 5 && orientation <= 8 ? [16, 32] : [32, 16]);
      close(seen.corners, corners, 6);
    }
  });

  const png = asPng(picture);
  const vast = Buffer.from(png);
  vast.writeUInt32BE(100_000, 16);
  vast.writeUInt32BE(100_000, 20);
  it.each([
    ['a text', Buffer.from('no picture'), /neither PNG nor JPEG/],
    ['nothing', Buffer.alloc(0), /neither PNG nor JPEG/],
    ['a PNG that is cut short', png.subarray(0, 50), /cannot be decoded as PNG \(/],
    ['a JPEG that is cut short', asJpeg(picture).subarray(0, 300), /cannot be decoded as JPEG \(/],
    [
      'a PNG that would take gigabytes',
      vast,
      /cannot be decoded as PNG \(10000000000 pixels, and 100000000 is the most\)/,
    ],
  ])('names the file of %s', (_, bytes, why) => {
    const path = file(bytes);
    expect(() => readPicture(path)).toThrow(InputError);
    expect(() => readPicture(path)).toThrow(why);
    expect(() => readPicture(path)).toThrow(path);
  });
});
