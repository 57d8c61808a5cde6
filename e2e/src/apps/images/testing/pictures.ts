import {mkdirSync, writeFileSync} from 'node:fs';
import {join} from 'node:path';
import {encode} from 'jpeg-js';
import {PNG} from 'pngjs';

type Colour = readonly [number, number, number];

/** Pixels of two halves, left and right. */
export function halves(width: number, height: number, left: Colour, right: Colour, opaque = 255) {
  const data = Buffer.alloc(4 * width * height);
  for (let i = 0; i < width * height; i++) {
    data.set([...(i % width < width / 2 ? left : right), opaque], 4 * i);
  }
  return {width, height, data};
}

export const asPng = (picture: ReturnType<typeof halves>, options?: object) =>
  PNG.sync.write(picture, options);
export const asJpeg = (picture: ReturnType<typeof halves>) => encode(picture, 95).data;

/** A JPEG file with an Exif header that says how the camera was held. */
export function turned(jpeg: Buffer, orientation: number, little = false): Buffer {
  const tiff = Buffer.alloc(26);
  const short = (value: number, at: number) =>
    little ? tiff.writeUInt16LE(value, at) : tiff.writeUInt16BE(value, at);
  const long = (value: number, at: number) =>
    little ? tiff.writeUInt32LE(value, at) : tiff.writeUInt32BE(value, at);
  tiff.write(little ? 'II' : 'MM', 'latin1');
  short(42, 2);
  long(8, 4);
  short(1, 8);
  short(0x0112, 10);
  short(3, 12);
  long(1, 14);
  short(orientation, 18);
  const body = Buffer.concat([Buffer.from('Exif\0\0', 'latin1'), tiff]);
  const header = Buffer.alloc(4);
  header.writeUInt16BE(0xffe1, 0);
  header.writeUInt16BE(body.length + 2, 2);
  return Buffer.concat([jpeg.subarray(0, 2), header, body, jpeg.subarray(2)]);
}

/** Two labels of pictures of many sizes and kinds, red against blue, none like another. */
export function writePictures(directory: string, count: number): void {
  const labels: [string, Colour][] = [
    ['rote Äpfel', [220, 30, 30]],
    ['blue', [30, 30, 220]],
  ];
  for (const [label, colour] of labels) {
    mkdirSync(join(directory, label), {recursive: true});
    for (let i = 0; i < count; i++) {
      const picture = halves(12 + 7 * i, 40 + i, colour, [10 * i, 200, 10 * i]);
      const [name, bytes] = i % 2 === 0 ? [`${i} ü.PNG`, asPng(picture)] : [`${i}.jpg`, asJpeg(picture)];
      writeFileSync(join(directory, label, name), bytes);
    }
  }
}
