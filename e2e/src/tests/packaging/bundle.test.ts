import {execFileSync, spawnSync} from 'node:child_process';
import {mkdirSync, mkdtempSync, rmSync, writeFileSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {gzipSync} from 'node:zlib';
import {buildSync} from 'esbuild';
import {install, PACKAGES, pack} from './install.js';

const ROOT = join(__dirname, '../../../..');
let scratch: string;

beforeAll(() => {
  scratch = mkdtempSync(join(tmpdir(), 'tfjs-peft-bundle-'));
  const tarballs = Object.fromEntries(PACKAGES.map((name) => [name, pack(ROOT, name, scratch)]));
  mkdirSync(join(scratch, 'app'));
  install(ROOT, tarballs, ['kernels', 'layers'], join(scratch, 'app'), [
    '@tensorflow/tfjs-backend-cpu',
    '@tensorflow/tfjs-backend-wasm',
  ]);
});
afterAll(() => rmSync(scratch, {recursive: true, force: true}));

/**
 * Bundles a program from the ESM builds, as a web bundler does, with whatever it takes to be side-effect free
 * shaken off; runs it, and returns what it prints.
 */
function bundleAndRun(imports: string, program: string) {
  const source = join(scratch, 'app/source.mjs');
  const bundle = join(scratch, 'app/bundle.cjs');
  writeFileSync(
    source,
    `${imports}\n(async () => {${program}})().then((result) => console.log(JSON.stringify(result)));`,
  );
  const flags = ['--bundle', '--platform=node', '--main-fields=module,main', '--log-level=error'];
  execFileSync(join(ROOT, 'node_modules/.bin/esbuild'), [source, ...flags, `--outfile=${bundle}`]);
  const {status, stdout, stderr} = spawnSync(process.execPath, [bundle], {encoding: 'utf8'});
  if (status !== 0) throw new Error(`the bundle exited with ${status}: ${stderr}`);
  return JSON.parse(stdout.trim().split('\n').at(-1)!);
}

const TF = `
  import * as tf from '@tensorflow/tfjs-core';
  import '@tensorflow/tfjs-backend-cpu';
`;

/** One gradient through a drop-in layer, the kernels it ran, and which backends have the fused kernel. */
const TRAIN = `
  await tf.setBackend('cpu');
  const layer = moloraDense({units: 3, experts: 2, rank: 2});
  const x = tf.randomNormal([4, 5]);
  layer.apply(x);
  const variables = layer.trainableWeights.map((weight) => weight.read());
  const {grads} = tf.variableGrads(() => tf.sum(tf.square(layer.apply(x))), variables);
  const {kernelNames} = await tf.profile(() => { layer.apply(x); });
  return {
    trained: variables.length,
    finite: Object.values(grads).every((grad) => grad.dataSync().every(Number.isFinite)),
    fused: kernelNames.includes('PeftCombine'),
    registered: ['cpu', 'wasm'].filter((backend) => tf.getKernel('PeftCombine', backend) != null),
  };
`;

test('a bundled layer trains on the fused kernels of every backend', () => {
  const result = bundleAndRun(
    `${TF} import '@tfjs-peft/kernels/auto'; import {moloraDense} from '@tfjs-peft/layers';`,
    TRAIN,
  );
  expect(result).toEqual({trained: 3, finite: true, fused: true, registered: ['cpu', 'wasm']});
});

test('the entry of one backend brings that backend alone', () => {
  const result = bundleAndRun(
    `${TF} import '@tfjs-peft/kernels/cpu'; import {moloraDense} from '@tfjs-peft/layers';`,
    TRAIN,
  );
  expect(result).toEqual({trained: 3, finite: true, fused: true, registered: ['cpu']});
});

test('the gradients come with the ops alone', () => {
  const result = bundleAndRun(
    // tfjs-core's ESM build leaves its own gradients to whoever needs them; tfjs-layers imports them too.
    `${TF} import '@tensorflow/tfjs-core/dist/register_all_gradients.js';
    import {combine, matMul, project} from '@tfjs-peft/kernels';`,
    `
    await tf.setBackend('cpu');
    const [x, kernel] = [tf.ones([2, 3]), tf.ones([3, 4])];
    const gradients = [
      tf.grad((t) => combine({x: t, kernel}))(x),
      tf.grad((t) => matMul(t, kernel))(x),
      tf.grad((t) => project({x: t, a: kernel}).h)(x),
    ];
    return gradients.map((gradient) => gradient.arraySync());
  `,
  );
  expect(result).toEqual(
    Array(3).fill([
      [4, 4, 4],
      [4, 4, 4],
    ]),
  );
});

describe('what a page pays for', () => {
  /**
   * The modules that a program takes in, and how many bytes it has in gzip, with
   * tfjs as a script of the page's own.
   */
  function bundled(imports: string): {modules: string[]; gzip: number; external: string[]} {
    const result = buildSync({
      stdin: {contents: imports, resolveDir: join(scratch, 'app')},
      bundle: true,
      minify: true,
      write: false,
      metafile: true,
      format: 'esm',
      external: ['@tensorflow/*', 'node:*'],
      logLevel: 'error',
    });
    const [output] = Object.values(result.metafile.outputs);
    const modules = Object.entries(output!.inputs).filter(([, {bytesInOutput}]) => bytesInOutput > 0);
    return {
      modules: modules.map(([path]) => path.slice(path.indexOf('@tfjs-peft/'))),
      gzip: gzipSync(result.outputFiles[0]!.contents).byteLength,
      external: output!.imports.map(({path}) => path),
    };
  }
  const WASM = "import '@tfjs-peft/kernels/wasm';";
  const elsewhere = /layers\/dist\/esm\/(graph|repair)/;

  test('of LayersModels alone: no byte of the converter, of GraphModels or of repairs, and at most 98 KB', () => {
    const {modules, gzip, external} = bundled(`${WASM} export {upgrade} from '@tfjs-peft/layers';`);
    expect(modules).toEqual(expect.arrayContaining([expect.stringMatching(/layers\/dist\/esm\/index\.js$/)]));
    expect(modules.filter((path) => elsewhere.test(path))).toEqual([]);
    expect(external).not.toContain('@tensorflow/tfjs-converter');
    expect(gzip).toBeLessThan(98 * 1024);
  });

  test('of GraphModels: the converter, and at most 30 KB more', () => {
    const layers = bundled(`${WASM} export {upgrade} from '@tfjs-peft/layers';`);
    const graph = bundled(`${WASM} export {trainer, upgrade} from '@tfjs-peft/layers/graph';`);
    expect(graph.modules.filter((path) => /layers\/dist\/esm\/repair/.test(path))).toEqual([]);
    expect(graph.external).toContain('@tensorflow/tfjs-converter');
    expect(graph.gzip - layers.gzip).toBeLessThan(30 * 1024);
  });
});

test('a saved model with our layer loads where nothing but the package was imported', () => {
  const result = bundleAndRun(
    `${TF}
    import * as tfl from '@tensorflow/tfjs-layers';
    import '@tfjs-peft/kernels/cpu';
    import '@tfjs-peft/layers';`,
    `
    await tf.setBackend('cpu');
    const config = {class_name: 'PeftDense', config: {name: 'd', units: 2, batch_input_shape: [null, 3]}};
    const model = await tfl.models.modelFromJSON({class_name: 'Sequential', config: {name: 'm', layers: [config]}});
    return model.layers.map((layer) => layer.getClassName());
  `,
  );
  expect(result).toEqual(['PeftDense']);
});
