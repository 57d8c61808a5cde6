// Compiles the AssemblyScript kernels and embeds the module as text, so that browsers and Node load it
// without a path. In hexadecimal, which gzip makes a quarter smaller than base64: there a byte is written in
// four ways, and what repeats is not seen.
import {createHash} from 'node:crypto';
import {mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import asc from 'assemblyscript/asc';

const IMPORT_SECTION = 2;
const DATA_SECTION = 11;

function readUnsigned(bytes, at) {
  let value = 0;
  for (let shift = 0; ; shift += 7) {
    const byte = bytes[at++];
    value += (byte & 127) * 2 ** shift;
    if (byte < 128) return [value, at];
  }
}

/** The sections of a wasm binary, in order: id, and where its content starts and ends. */
export function sections(bytes) {
  const found = [];
  for (let at = 8; at < bytes.length; ) {
    const id = bytes[at];
    const [size, start] = readUnsigned(bytes, at + 1);
    found.push({id, start, end: start + size});
    at = start + size;
  }
  return found;
}

/**
 * Where the flags of the one imported memory stand: 1 for an own memory with a maximum, 3 for a shared one.
 */
function memoryFlagsOffset(bytes) {
  const {start} = sections(bytes).find(({id}) => id === IMPORT_SECTION);
  let [count, at] = readUnsigned(bytes, start);
  for (const _ of ['module', 'field']) {
    const [length, name] = readUnsigned(bytes, at);
    at = name + length;
  }
  const MEMORY = 2;
  if (count !== 1 || bytes[at] !== MEMORY)
    throw new Error('the wasm module must import a memory and nothing else');
  return at + 1;
}

/**
 * Compiles the kernels, for plain or for relaxed SIMD, which not every engine has. One binary serves both
 * heaps of tfjs, the plain and the threaded one: they differ in the byte at `memoryFlags`, since the kernels
 * need no atomics.
 */
export async function compileWasm(root, relaxed = false) {
  const folder = mkdtempSync(join(tmpdir(), 'tfjs-peft-wasm-'));
  try {
    const out = join(folder, 'kernels.wasm');
    const result = await asc.main([
      join(root, 'packages/kernels/assembly/index.ts'),
      '-O3',
      '--noAssert',
      '--enable',
      'simd',
      ...(relaxed ? ['--enable', 'relaxed-simd'] : []),
      '--runtime',
      'stub',
      // The limits are compared with those of tfjs's heap: at most its size, and at least its maximum.
      '--importMemory',
      '--noExportMemory',
      '--initialMemory',
      '1',
      '--maximumMemory',
      '65536',
      '--use',
      'abort=',
      '-o',
      out,
    ]);
    if (result.error) throw new Error(`AssemblyScript: ${result.error.message}\n${result.stderr.toString()}`);
    const bytes = readFileSync(out);
    // A data segment would be copied over tfjs's own static data when the module is instantiated on its
    // memory.
    if (sections(bytes).some(({id}) => id === DATA_SECTION)) {
      throw new Error(
        'the wasm module has a data section: no array literals, strings or Mathf.* in packages/kernels/assembly',
      );
    }
    return bytes;
  } finally {
    rmSync(folder, {recursive: true, force: true});
  }
}

/** How many bytes have to be the same for two binaries to be together again. */
const TOGETHER = 8;

/**
 * What makes one binary another: where the next edit begins, counted from the end of the last one, how many
 * bytes go there, and what comes in their place.
 *
 * @returns Edits such as `1f,2,fd85`, numbers and bytes in hexadecimal.
 */
export function editsBetween(from, to) {
  const edits = [];
  let [at, other, last] = [0, 0, 0];
  while (at < from.length || other < to.length) {
    if (at < from.length && from[at] === to[other]) {
      at++;
      other++;
      continue;
    }
    const [gone, come] = nextMeeting(from, at, to, other);
    edits.push(
      [(at - last).toString(16), gone.toString(16), to.subarray(other, other + come).toString('hex')].join(
        ',',
      ),
    );
    at += gone;
    other += come;
    last = at;
  }
  return edits.join(';');
}

/** The fewest bytes to leave out of two binaries until they go on alike. */
function nextMeeting(from, at, to, other) {
  const goOn = (i, j) => from.subarray(i, i + TOGETHER).equals(to.subarray(j, j + TOGETHER));
  for (let sum = 1; sum < from.length + to.length; sum++)
    for (let gone = 0; gone <= sum; gone++)
      if (goOn(at + gone, other + sum - gone)) return [gone, sum - gone];
  return [from.length - at, to.length - other];
}

export async function buildWasm(root) {
  const modules = await Promise.all([compileWasm(root), compileWasm(root, true)]);
  const [flags, same] = modules.map(memoryFlagsOffset);
  if (flags !== same || modules.some((bytes) => bytes[flags] !== 1))
    throw new Error('unexpected memory flags in the wasm modules');
  const [plain, relaxed] = modules;
  const folder = join(root, 'packages/kernels/src/backends/wasm');
  mkdirSync(folder, {recursive: true});
  writeFileSync(
    join(folder, 'module.generated.ts'),
    '// Written by scripts/build-wasm.mjs from packages/kernels/assembly.\n' +
      `export const MEMORY_FLAGS_OFFSET = ${flags};\n` +
      `export const WASM_HEX =\n  '${plain.toString('hex')}';\n` +
      `/** What makes it the module for relaxed SIMD; see \`moduleBytes\`. */\n` +
      `export const RELAXED_EDITS =\n  '${editsBetween(plain, relaxed)}';\n` +
      `/** Of that module, for a test. */\n` +
      `export const RELAXED_SHA256 = '${createHash('sha256').update(relaxed).digest('hex')}';\n`,
  );
}
