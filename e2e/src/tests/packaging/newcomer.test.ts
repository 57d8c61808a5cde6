import {execFileSync, spawnSync} from 'node:child_process';
import {mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {blocksOf} from './blocks.js';

const ROOT = join(__dirname, '../../../..');
const MINUTES = 5;

const reached = spawnSync('npm', ['view', '@tensorflow/tfjs', 'version'], {timeout: 20_000}).status === 0;
const newcomer = reached ? test : test.skip;

newcomer(
  `the README alone, in an empty folder: trained on wasm within ${MINUTES} minutes (needs npm's registry)`,
  () => {
    const folder = mkdtempSync(join(tmpdir(), 'tfjs-peft-newcomer-'));
    try {
      const blocks = blocksOf(readFileSync(join(ROOT, 'README.md'), 'utf8'));
      const install = blocks.find(({language}) => language === 'sh')!.code;
      const program = blocks.find(({language}) => language === 'ts')!.code;
      // This checkout is installed already.
      expect(install).toContain('npm install && npm run pack');
      const script = `set -e\n${install.replace('npm install && ', '')}`;
      const checkout = join(folder, 'tfjs-peft');
      mkdirSync(checkout);
      mkdirSync(join(ROOT, 'out'), {recursive: true});
      for (const name of ['package.json', 'scripts', 'packages', 'out'])
        symlinkSync(join(ROOT, name), join(checkout, name));
      const start = Date.now();
      execFileSync('bash', ['-c', script], {cwd: checkout, stdio: 'pipe'});
      const app = join(folder, 'my-app');
      writeFileSync(join(app, 'train.mjs'), `${program}\nconsole.log('backend:', tf.getBackend());`);
      const output = execFileSync(process.execPath, ['train.mjs'], {cwd: app, encoding: 'utf8'});
      expect(output).toMatch(/hidden .*adapted/);
      expect(output).toContain('same outputs: true');
      expect(output).toContain('backend: wasm');
      expect(Date.now() - start).toBeLessThan(MINUTES * 60_000);
    } finally {
      rmSync(folder, {recursive: true, force: true});
    }
  },
  MINUTES * 60_000 + 30_000,
);
