interface Pixels {
  width: number;
  height: number;
  data: Uint8Array;
}

/** The Exif tag of how a camera was held. */
const ORIENTATION = 0x0112;

/** Exif's orientation of a JPEG file, 1 (upright) to 8; 1 where it says nothing, or nonsense. */
export function orientationOf(bytes: Uint8Array): number {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  try {
    for (let at = 2; view.getUint8(at) === 0xff && view.getUint8(at + 1) !== 0xda; ) {
      const isExif = view.getUint16(at) === 0xffe1 && view.getUint32(at + 4) === 0x45786966;
      if (isExif) return tiffOrientation(view, at + 10);
      at += 2 + view.getUint16(at + 2);
    }
  } catch {
    // A header that ends early says nothing.
  }
  return 1;
}

function tiffOrientation(view: DataView, start: number): number {
  const little = view.getUint16(start) === 0x4949;
  const folder = start + view.getUint32(start + 4, little);
  const count = view.getUint16(folder, little);
  for (let i = 0; i < count; i++) {
    const entry = folder + 2 + 12 * i;
    if (view.getUint16(entry, little) !== ORIENTATION) continue;
    const value = view.getUint16(entry + 8, little);
    return value >= 1 && value <= 8 ? value : 1;
  }
  return 1;
}

/** Turns and mirrors pixels so that the picture is upright. */
export function upright({width, height, data}: Pixels, orientation: number): Pixels {
  if (orientation === 1) return {width, height, data};
  const turned = orientation > 4;
  const [across, down] = turned ? [height, width] : [width, height];
  const result = new Uint8Array(data.length);
  for (let y = 0; y < down; y++) {
    for (let x = 0; x < across; x++) {
      let [sx, sy] = turned ? [y, x] : [x, y];
      if ([2, 3, 7, 8].includes(orientation)) sx = width - 1 - sx;
      if ([3, 4, 6, 7].includes(orientation)) sy = height - 1 - sy;
      const from = 4 * (sy * width + sx);
      result.set(data.subarray(from, from + 4), 4 * (y * across + x));
    }
  }
  return {width: across, height: down, data: result};
}
