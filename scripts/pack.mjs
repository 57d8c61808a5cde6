// Packs the built packages into out/, for installing them before they are published: npm run pack.
import {execFileSync} from 'node:child_process';
import {mkdirSync, readdirSync, rmSync} from 'node:fs';
import {join} from 'node:path';
import {fileURLToPath} from 'node:url';

const root = join(fileURLToPath(import.meta.url), '../..');
const out = join(root, 'out');
mkdirSync(out, {recursive: true});
for (const name of readdirSync(out)) if (/^tfjs-peft-.*\.tgz$/.test(name)) rmSync(join(out, name));
for (const name of ['kernels', 'routers', 'quant', 'layers']) {
  const cwd = join(root, 'packages', name);
  execFileSync('npm', ['pack', '--silent', '--pack-destination', out], {cwd, stdio: 'inherit'});
}
