// Lists the kernels of each backend and the ops that have gradients, as their files have them. So a kernel is
// its files and its row in kernel-map.ts, and nobody keeps a list of kernels by hand. The build, the tests
// and the checks run it first.
import {readdirSync, readFileSync, writeFileSync} from 'node:fs';
import {join} from 'node:path';
import {fileURLToPath} from 'node:url';

const SOURCES = fileURLToPath(new URL('../packages/kernels/src', import.meta.url));

/** The modules of a folder in which the pattern occurs, with what it captured there. */
function modules(folder, pattern) {
  return readdirSync(join(SOURCES, folder))
    .filter((name) => name.endsWith('.ts') && !/\.(test|generated)\.ts$/.test(name))
    .sort()
    .map((name) => {
      const names = [...readFileSync(join(SOURCES, folder, name), 'utf8').matchAll(pattern)].map(
        ([, own]) => own,
      );
      return {module: `./${name.replace(/\.ts$/, '.js')}`, names: names.sort()};
    })
    .filter(({names}) => names.length > 0);
}

/** Writes a file unless it has that text already, so that whatever watches it is left alone. */
function write(path, lines) {
  const file = join(SOURCES, path);
  const text = `// Written by scripts/list-kernels.mjs.\n${lines.join('\n')}\n`;
  try {
    if (readFileSync(file, 'utf8') === text) return;
  } catch {
    // It is not there yet.
  }
  writeFileSync(file, text);
}

export function listKernels() {
  for (const folder of [
    'backends/cpu',
    'backends/wasm',
    'backends/webgl',
    'backends/webgpu',
    'ops/composed',
  ]) {
    write(
      `${folder}/kernels.generated.ts`,
      modules(folder, /^export const (Peft\w+)/gm).map(
        ({module, names}) => `export {${names.join(', ')}} from '${module}';`,
      ),
    );
  }
  write(
    'ops/gradients.generated.ts',
    modules('ops', /^definePeftGradient\(\s*'(Peft\w+)'/gm).map(({module}) => `import '${module}';`),
  );
}

if (process.argv[1] === fileURLToPath(import.meta.url)) listKernels();
