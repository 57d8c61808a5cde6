// Packs the built packages into out/, for installing them before they are published: npm run pack.
import {execFileSync} from 'node:child_process';
import {mkdirSync, readdirSync, rmSync} from 'node:fs';
import {join} from 'node:path';
import {packages, root} from './packages.mjs';

const out = join(root, 'out');
mkdirSync(out, {recursive: true});
for (const name of readdirSync(out)) if (/^tfjs-peft-.*\.tgz$/.test(name)) rmSync(join(out, name));
for (const name of Object.keys(packages)) {
  const cwd = join(root, 'packages', name);
  execFileSync('npm', ['pack', '--silent', '--pack-destination', out], {cwd, stdio: 'inherit'});
}
