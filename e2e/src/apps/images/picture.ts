import {readFileSync} from 'node:fs';
import {decode as decodeJpegFile} from 'jpeg-js';
import {PNG} from 'pngjs';
import {InputError, reasonOf} from '../../data/input-error.js';
import {orientationOf, upright} from './orientation.js';

/** Colours from 0 to 255, three a pixel, row by row. */
export interface Picture {
  width: number;
  height: number;
  colours: Uint8Array;
}

/**
 * Longest side that is kept: more than the model looks at, so that a picture can be
 * moved and turned without a loss.
 */
const LONGEST = 128;
/** What is larger would take gigabytes to decode. */
const MOST_PIXELS = 1e8;

interface Decoded {
  width: number;
  height: number;
  /** Four a pixel; the fourth says how opaque it is. */
  data: Uint8Array;
}

/** What the first bytes say that a file is, whatever its name says. */
function formatOf(bytes: Uint8Array): 'png' | 'jpeg' | undefined {
  if (bytes.length > 24 && bytes[0] === 0x89 && bytes[1] === 0x50 && bytes[2] === 0x4e && bytes[3] === 0x47)
    return 'png';
  return bytes[0] === 0xff && bytes[1] === 0xd8 && bytes[2] === 0xff ? 'jpeg' : undefined;
}

function decodePng(bytes: Buffer): Decoded {
  // Width and height stand in the header: nothing is allocated for a picture that is too large.
  const pixels = bytes.readUInt32BE(16) * bytes.readUInt32BE(20);
  if (pixels > MOST_PIXELS) throw new Error(`${pixels} pixels, and ${MOST_PIXELS} is the most`);
  return PNG.sync.read(bytes);
}

function decodeJpeg(bytes: Buffer): Decoded {
  const decoded = decodeJpegFile(bytes, {
    useTArray: true,
    formatAsRGBA: true,
    tolerantDecoding: false,
    maxResolutionInMP: MOST_PIXELS / 1e6,
    maxMemoryUsageInMB: 2048,
  });
  return upright(decoded, orientationOf(bytes));
}

/**
 * Lays a picture on white, and shrinks what is longer than {@link LONGEST} to it, each side by itself: every
 * pixel counts by its area.
 */
function reduced({width, height, data}: Decoded): Picture {
  const across = Math.min(width, LONGEST);
  const down = Math.min(height, LONGEST);
  const sums = new Float64Array(across * down * 3);
  const areas = new Float64Array(across * down);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const at = 4 * (y * width + x);
      const opaque = data[at + 3]! / 255;
      // Large pictures lose nothing by giving a pixel to the one that its middle falls into.
      const to = Math.floor(((y + 0.5) * down) / height) * across + Math.floor(((x + 0.5) * across) / width);
      areas[to]!++;
      for (let c = 0; c < 3; c++) sums[3 * to + c]! += data[at + c]! * opaque + 255 * (1 - opaque);
    }
  }
  const colours = Uint8Array.from(sums, (sum, i) => Math.round(sum / areas[Math.floor(i / 3)]!));
  return {width: across, height: down, colours};
}

/**
 * Reads a PNG or JPEG file of any size and kind: grey, with a palette, with 16 bits, transparent (on white),
 * progressive, turned by a camera.
 *
 * @throws InputError that names the file if it cannot be read or decoded.
 */
export function readPicture(path: string): Picture {
  let bytes: Buffer;
  try {
    bytes = readFileSync(path);
  } catch (error) {
    throw new InputError(`${path}: cannot be read (${reasonOf(error)})`);
  }
  const format = formatOf(bytes);
  if (format === undefined)
    throw new InputError(`${path}: neither PNG nor JPEG, whatever its name says; convert it or remove it`);
  try {
    const decoded = format === 'png' ? decodePng(bytes) : decodeJpeg(bytes);
    if (!(decoded.width > 0 && decoded.height > 0)) throw new Error('it has no pixels');
    return reduced(decoded);
  } catch (error) {
    throw new InputError(
      `${path}: cannot be decoded as ${format.toUpperCase()} (${(error as Error).message}); mend it or remove it`,
    );
  }
}
