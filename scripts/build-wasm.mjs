// Compiles the AssemblyScript kernels and embeds the module as base64, so that browsers and Node load it without a path.
import {mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import asc from 'assemblyscript/asc';

const DATA_SECTION = 11;

/** The ids of a wasm binary's sections, in order. */
export function sectionIds(bytes) {
  const ids = [];
  let at = 8;
  while (at < bytes.length) {
    ids.push(bytes[at++]);
    let size = 0;
    for (let shift = 0; ; shift += 7) {
      const byte = bytes[at++];
      size |= (byte & 127) << shift;
      if (byte < 128) break;
    }
    at += size;
  }
  return ids;
}

export async function compileWasm(root, flags = []) {
  const folder = mkdtempSync(join(tmpdir(), 'tfjs-peft-wasm-'));
  try {
    const out = join(folder, 'kernels.wasm');
    const result = await asc.main([
      join(root, 'packages/kernels/assembly/index.ts'),
      '-O3', '--noAssert', '--enable', 'simd', '--runtime', 'stub',
      '--importMemory', '--noExportMemory', '--use', 'abort=', '-o', out, ...flags,
    ]);
    if (result.error) throw new Error(`AssemblyScript: ${result.error.message}\n${result.stderr.toString()}`);
    const bytes = readFileSync(out);
    // A data segment would be copied over tfjs's own static data when the module is instantiated on its memory.
    if (sectionIds(bytes).includes(DATA_SECTION)) {
      throw new Error('the wasm module has a data section: no array literals, strings or Mathf.* in packages/kernels/assembly');
    }
    return bytes;
  } finally {
    rmSync(folder, {recursive: true, force: true});
  }
}

export async function buildWasm(root) {
  const bytes = await compileWasm(root);
  const folder = join(root, 'packages/kernels/src/backends/wasm');
  mkdirSync(folder, {recursive: true});
  writeFileSync(
    join(folder, 'module.generated.ts'),
    `// Written by scripts/build-wasm.mjs from packages/kernels/assembly.\nexport const WASM_BASE64 =\n  '${bytes.toString('base64')}';\n`,
  );
}
