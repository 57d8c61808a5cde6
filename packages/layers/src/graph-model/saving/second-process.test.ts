import '@tensorflow/tfjs-backend-cpu';
import '@tfjs-peft/kernels/cpu';
import {execFileSync} from 'node:child_process';
import {mkdirSync, mkdtempSync, readdirSync, realpathSync, rmSync, writeFileSync} from 'node:fs';
import {join, resolve, sep} from 'node:path';
import * as tf from '@tensorflow/tfjs-core';
import {buildSync} from 'esbuild';
import {upgrade} from '../../graph.js';
import {exportPlain} from '../../merge.js';
import {DIALECTS, X_SHAPE} from '../testing/graphs.js';
import {close, fill, run} from '../testing/run.js';

const packages = resolve(__dirname, '../../../..');
const folders: string[] = [];
afterAll(() => {
  for (const folder of folders) rmSync(folder, {recursive: true});
});

function folder(): string {
  // Inside the repository, for Node to find tfjs from there.
  const out = resolve(packages, '../out');
  mkdirSync(out, {recursive: true});
  const made = mkdtempSync(join(out, 'second-process-'));
  folders.push(made);
  return made;
}

/**
 * Loads the model of a folder in another process, with stock tfjs and nothing else but what `first` says.
 * Gives its output, and which modules it loaded that are not installed packages.
 */
function elsewhere(place: string, x: number[], first = ''): {y: number[]; loaded: string[]} {
  const program = `
    ${first}
    const tf = require('@tensorflow/tfjs-core');
    require('@tensorflow/tfjs-backend-cpu');
    const {loadGraphModelSync} = require('@tensorflow/tfjs-converter');
    const {readFileSync, realpathSync} = require('node:fs');
    const {sep} = require('node:path');
    const {weightsManifest, ...json} = JSON.parse(readFileSync(${JSON.stringify(join(place, 'model.json'))}, 'utf8'));
    const bytes = readFileSync(${JSON.stringify(place + sep)} + weightsManifest[0].paths[0]);
    const weightData = new Uint8Array(bytes).buffer;
    const model = loadGraphModelSync({load: () => ({...json, weightData, weightSpecs: weightsManifest[0].weights})});
    const y = model.predict(tf.tensor(${JSON.stringify(x)}, ${JSON.stringify(X_SHAPE)}));
    // Node keeps modules under their real paths, through whatever links they were reached.
    const installed = realpathSync(${JSON.stringify(join(packages, '../node_modules'))}) + sep;
    const loaded = Object.keys(require.cache).filter((path) => path !== __filename && !path.startsWith(installed));
    process.stdout.write(JSON.stringify({y: [...y.dataSync()], loaded}));`;
  const script = join(folder(), 'main.cjs');
  writeFileSync(script, program);
  return JSON.parse(execFileSync(process.execPath, [script], {encoding: 'utf8', stdio: 'pipe'}));
}

/** Our packages as one file that a process without a build can load. */
function bundle(): string {
  const outfile = join(folder(), 'bundle.cjs');
  const source = (name: string, file = 'index') => join(packages, name, 'src', `${file}.ts`);
  buildSync({
    stdin: {
      contents: `import '@tfjs-peft/kernels/cpu'; import ${JSON.stringify(source('layers', 'graph'))};`,
      resolveDir: packages,
    },
    alias: {
      '@tfjs-peft/kernels/cpu': source('kernels', 'cpu'),
      '@tfjs-peft/kernels': source('kernels'),
      '@tfjs-peft/routers': source('routers'),
    },
    external: ['@tensorflow/*'],
    bundle: true,
    platform: 'node',
    format: 'cjs',
    ignoreAnnotations: true,
    outfile,
    logLevel: 'error',
  });
  return outfile;
}

describe.each(['tensordot', 'einsum'])('in another process, a graph in the dialect %s', (dialect) => {
  it('that was merged runs without our packages', async () => {
    const model = await DIALECTS[dialect]!().load();
    const peft = await upgrade(model, {adapter: {type: 'dora', rank: 2}});
    fill(peft);
    const place = folder();
    const files = await exportPlain(peft, `file://${place}`);
    expect(files.map((file) => file.slice(place.length + 1)).sort()).toEqual(readdirSync(place).sort());
    const x = tf.randomUniform(X_SHAPE, -1, 1, 'float32', 7);
    const {y, loaded} = elsewhere(place, [...x.dataSync()]);
    expect(loaded).toEqual([]);
    close(Float32Array.from(y), await run(model, x));
  });

  it('that was saved with its adapter gives the same outputs where our package is imported, and is refused elsewhere', async () => {
    const model = await DIALECTS[dialect]!().load();
    const peft = await upgrade(model, {adapter: {type: 'molora', experts: 3, rank: 2}});
    fill(peft);
    const place = folder();
    await peft.saveModel(place);
    const x = tf.randomUniform(X_SHAPE, -1, 1, 'float32', 7);
    const ours = bundle();
    const {y, loaded} = elsewhere(place, [...x.dataSync()], `require(${JSON.stringify(ours)});`);
    expect(loaded).toEqual([realpathSync(ours)]);
    expect(y).toEqual([...(await run(model, x))]);
    expect(() => elsewhere(place, [...x.dataSync()])).toThrow(
      /Unknown op 'TfjsPeftSite \(import @tfjs-peft\/layers\/graph\)'/,
    );
  });
});
