import {decodeText} from './text-encoding.js';

/**
 * What files look like that are taken for an adapter's by mistake: their first bytes, or
 * the first letters of their text.
 */
const BYTES: [number[], string][] = [
  [[0x1f, 0x8b], 'compressed by gzip: unpack it first'],
  [[0x50, 0x4b, 0x03, 0x04], 'a zip archive, such as PyTorch writes (.bin, .pt): convert it to safetensors'],
  [[0x50, 0x4b, 0x05, 0x06], 'an empty zip archive'],
  [[0x80, 0x02], 'a Python pickle, such as PyTorch writes (.bin, .pt): convert it to safetensors'],
  [[0x80, 0x03], 'a Python pickle: convert it to safetensors'],
  [[0x80, 0x04], 'a Python pickle: convert it to safetensors'],
  [[0x80, 0x05], 'a Python pickle: convert it to safetensors'],
  [[0x89, 0x48, 0x44, 0x46], 'an HDF5 file, such as Keras writes (.h5)'],
  [[0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59], 'a NumPy file'],
  [[0x47, 0x47, 0x55, 0x46], 'a GGUF file'],
  [[0x28, 0xb5, 0x2f, 0xfd], 'compressed by zstd: unpack it first'],
  [[0xfd, 0x37, 0x7a, 0x58, 0x5a], 'compressed by xz: unpack it first'],
  [[0x42, 0x5a, 0x68], 'compressed by bzip2: unpack it first'],
  [[0x37, 0x7a, 0xbc, 0xaf], 'a 7z archive: unpack it first'],
  [[0x89, 0x50, 0x4e, 0x47], 'a PNG image'],
  [[0xff, 0xfe], 'a text in UTF-16'],
  [[0xfe, 0xff], 'a text in UTF-16'],
];
const TEXTS: [RegExp, string][] = [
  [/^version https:\/\/git-lfs/, 'a pointer of git-lfs and not the file itself: run git lfs pull'],
  [/^(<!doctype|<html|<head|<\?xml|<!--)/i, 'a web page and not the file: its address leads to a page'],
  [/^[{[]/, 'JSON'],
];

export const SAFETENSORS = 'a safetensors file';

/** What a file is that is not what it should be, as text behind 'is', or undefined if nothing tells. */
export function whatIs(bytes: Uint8Array): string | undefined {
  if (bytes.length === 0) return 'empty: copy it again';
  const known = BYTES.find(([start]) => start.every((byte, i) => bytes[i] === byte));
  if (known !== undefined) return known[1];
  let start: string;
  try {
    // In steps, so that the cut does not fall inside a letter of several bytes.
    start = decodeText(bytes.subarray(0, 64).map((byte) => (byte < 0x80 ? byte : 0x3f)));
  } catch {
    return undefined;
  }
  if (/^.{7}\0\{/s.test(start)) return SAFETENSORS;
  const text = start.replace(/^\?{3}/, '').trimStart();
  return TEXTS.find(([pattern]) => pattern.test(text))?.[1];
}
