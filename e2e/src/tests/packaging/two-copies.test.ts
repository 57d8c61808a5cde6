import {execFileSync} from 'node:child_process';
import {join} from 'node:path';

const ROOT = join(__dirname, '../../../..');

/**
 * Loads the built packages twice, as `first` and `second`: the ESM and the CommonJS copy, in either order.
 */
const LOAD = `
  import {mkdtempSync, rmSync} from 'node:fs';
  import {createRequire} from 'node:module';
  import {tmpdir} from 'node:os';
  import {join} from 'node:path';
  const require = createRequire(import.meta.url);
  const tf = require('@tensorflow/tfjs');
  require('@tensorflow/tfjs-backend-wasm');
  await tf.setBackend('cpu');
  const load = {esm: (name) => import(name), cjs: async (name) => require(name)};
  const copies = async (name) => [await load[FIRST](name), await load[SECOND](name)];
  const stock = tf.getKernel('BatchMatMul', 'wasm');
  await copies('@tfjs-peft/kernels/auto');
  await copies('@tfjs-peft/kernels/gradients');
  const [first, second] = await copies('@tfjs-peft/layers/graph');
  if (first.upgrade === second.upgrade) throw new Error('one copy only');

  const net = () => {
    const model = tf.sequential();
    model.add(tf.layers.dense({units: 8, inputShape: [4], activation: 'relu', name: 'hidden'}));
    model.add(tf.layers.dense({units: 3, name: 'head'}));
    return model;
  };
  const graph = () => {
    const constant = (name) => ({name, op: 'Const', attr: {dtype: {type: 'DT_FLOAT'}}});
    const node = (name, op, ...input) => ({name, op, input, attr: {T: {type: 'DT_FLOAT'}}});
    const weights = tf.concat([tf.randomNormal([32], 0, 0.5, 'float32', 1), tf.randomNormal([24], 0, 0.5, 'float32', 2)]).dataSync();
    return tf.loadGraphModel(tf.io.fromMemory({
      modelTopology: {versions: {producer: 1, minConsumer: 1}, node: [
        {name: 'x', op: 'Placeholder', attr: {dtype: {type: 'DT_FLOAT'}, shape: {shape: {dim: [{size: '-1'}, {size: '4'}]}}}},
        constant('a'), constant('b'),
        node('hidden', 'MatMul', 'x', 'a'), node('relu', 'Relu', 'hidden'), node('head', 'MatMul', 'relu', 'b'),
      ]},
      weightSpecs: [{name: 'a', shape: [4, 8], dtype: 'float32'}, {name: 'b', shape: [8, 3], dtype: 'float32'}],
      weightData: weights.buffer.slice(weights.byteOffset, weights.byteOffset + weights.byteLength),
    }));
  };
  const xs = tf.randomNormal([16, 4], 0, 1, 'float32', 3);
  const ys = tf.zeros([16, 3]);
  const config = {targets: 'all-projections', adapter: {type: 'lora', rank: 2}};
  const loss = {loss: 'meanSquaredError', optimizer: tf.train.sgd(0.1)};
  const fails = async (run) => { try { await run(); } catch (error) { return error; } throw new Error('no error'); };
`;

/** What a program gives, in JSON, after {@link LOAD}. */
function run(order: readonly [string, string], body: string): unknown {
  const program = `const [FIRST, SECOND] = ${JSON.stringify(order)};${LOAD}
    const folder = mkdtempSync(join(tmpdir(), 'tfjs-peft-copies-'));
    try { console.log(JSON.stringify(await (async () => {${body}})())); } finally { rmSync(folder, {recursive: true}); }`;
  const output = execFileSync(process.execPath, ['--input-type=module', '-e', program], {
    cwd: join(ROOT, 'e2e'),
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  return JSON.parse(output.trim().split('\n').at(-1)!);
}

describe.each([
  ['esm', 'cjs'],
  ['cjs', 'esm'],
] as const)('of two copies, %s first and %s second,', (...order) => {
  test('the second trains, saves and detaches what the first upgraded, of a GraphModel', () => {
    const result = run(
      order,
      `
      const model = await graph();
      const peft = await first.upgrade(model, config);
      const before = model.predict(xs).arraySync();
      const trainer = second.trainer(model, loss);
      const {history} = await trainer.fit({xs, ys}, {epochs: 3, verbose: 0, shuffle: false});
      const trained = model.predict(xs).arraySync();
      await peft.save(join(folder, 'adapter'));
      const again = await second.loadPeft(model, join(folder, 'adapter'));
      const other = await graph();
      const loaded = await second.loadPeft(other, join(folder, 'adapter'));
      const equal = (a, b) => JSON.stringify(a) === JSON.stringify(b);
      const same = equal(other.predict(xs).arraySync(), trained);
      again.detach();
      return {
        falls: history.loss[2] < history.loss[0],
        changed: !equal(before, trained),
        one: again === peft,
        same,
        trainable: first.trainer(other, loss).trainableVariables().length,
        detached: (await fails(() => peft.names)).name,
      };`,
    );
    expect(result).toEqual({
      falls: true,
      changed: true,
      one: true,
      same: true,
      trainable: 4,
      detached: 'ConfigError',
    });
  });

  test('the second knows GraphModels for both, where the first was imported for LayersModels alone', () => {
    const result = run(
      order,
      `
      const kinds = globalThis[Symbol.for('@tfjs-peft/shared')].get('layers.kinds');
      const model = await graph();
      const graphKind = kinds.get('graph');
      kinds.delete('graph');
      const {upgrade} = await load[FIRST]('@tfjs-peft/layers');
      const missing = (await fails(() => upgrade(model, config))).message;
      kinds.set('graph', graphKind);
      const peft = await upgrade(model, config);
      const busy = second.trainer(model, {...loss, optimizer: 'sgd'});
      let during;
      await busy.fit({xs, ys}, {epochs: 1, callbacks: {onBatchEnd: async () => {
        during = (await fails(() => peft.disable())).message;
      }}});
      await peft.saveModel(join(folder, 'whole'));
      const {exportPlain, merge, unmerge} = await load[SECOND]('@tfjs-peft/layers/merge');
      await exportPlain(peft, join(folder, 'merged'));
      await merge(peft);
      await unmerge(peft);
      return {missing, during, gaps: first.trainer(model, loss).preflight()};`,
    );
    expect(result).toMatchObject({
      missing: expect.stringMatching(/Import from '@tfjs-peft\/layers\/graph'/),
      during: expect.stringMatching(/is being trained/),
      gaps: [],
    });
  });

  test('the second goes on with what the first upgraded, of a LayersModel', () => {
    const result = run(
      order,
      `
      const [{DuplicateNameError}] = await copies('@tfjs-peft/kernels');
      const model = net();
      model.compile(loss);
      const peft = await first.upgrade(model, {...config, name: 'a'});
      const taken = await fails(() => second.upgrade(model, {...config, name: 'a'}));
      const again = await second.upgrade(model, {...config, name: 'b'});
      await model.fit(xs, ys, {epochs: 2, verbose: 0});
      await peft.save(join(folder, 'b'));
      await second.loadPeft(model, join(folder, 'b'), {name: 'c'});
      const sites = second.inspect(model, {targets: 'all-projections'}).sites.map(({status}) => status);
      const outer = tf.sequential({layers: [model]});
      const foreign = await fails(() => second.upgrade(outer, config));
      const names = peft.names;
      peft.detach();
      const anew = await second.upgrade(model, config);
      return {
        one: again === peft,
        names,
        sites,
        taken: taken instanceof DuplicateNameError,
        foreign: foreign.message,
        anew: anew !== peft && anew.names.length,
        restored: model.optimizer.constructor.name,
      };`,
    );
    expect(result).toMatchObject({one: true, names: ['a', 'b', 'c'], anew: 1, restored: 'SGDOptimizer'});
    expect(result).toMatchObject({taken: true});
    expect((result as {foreign: string}).foreign).toMatch(/is part of the upgrade of model/);
  });

  test('instanceof holds for the errors, layers and upgrades of both', () => {
    const result = run(
      order,
      `
      const kernels = await copies('@tfjs-peft/kernels');
      const error = await fails(() => first.upgrade(net(), {targets: ['nothing'], adapter: {type: 'lora'}}));
      const model = net();
      const peft = await first.upgrade(model, config);
      const dropIn = tf.sequential({layers: [first.loraDense({units: 2, inputShape: [4], name: 'drop'}), tf.layers.dense({units: 2, name: 'head'})]});
      const [layer] = model.layers;
      class Own extends kernels[1].NoTargetError {}
      return {
        errors: kernels.map(({PeftError, NoTargetError, ConfigError}) =>
          [error instanceof PeftError, error instanceof NoTargetError, error instanceof ConfigError]),
        own: [error instanceof Own, new Own('') instanceof Own, new Own('') instanceof kernels[0].NoTargetError, new Own('').name],
        layers: [first, second].map(({PeftLayer, PeftDense, PeftWrapper}) =>
          [layer instanceof PeftLayer, layer instanceof PeftDense, layer instanceof PeftWrapper, null instanceof PeftLayer]),
        upgrades: [first, second].map(({Peft}) => [peft instanceof Peft, model instanceof Peft]),
        dropIn: (await fails(() => second.inspect(dropIn, {targets: ['drop']}))).message,
      };`,
    );
    expect(result).toMatchObject({
      errors: Array(2).fill([true, true, false]),
      own: [false, true, true, 'NoTargetError'],
      layers: Array(2).fill([true, true, false, false]),
      upgrades: Array(2).fill([true, false]),
      dropIn: expect.stringMatching(/with adapters of its own .*: a drop-in layer/),
    });
  });

  test('each knows the adapters, routers and sites that were defined with the other', () => {
    const result = run(
      order,
      `
      const [routers, others] = await copies('@tfjs-peft/routers');
      first.defineAdapter({type: 'mine', create: () => first.createAdapter({type: 'ia3'})});
      routers.defineRouter({type: 'mine', create: () => routers.createRouter({type: 'softmax', experts: 2})});
      class Scaled extends tf.layers.Layer {
        static className = 'Scaled';
        build(shape) { this.kernel = this.addWeight('kernel', [shape.at(-1), 3], 'float32', tf.initializers.ones()); this.built = true; }
        computeOutputShape(shape) { return [...shape.slice(0, -1), 3]; }
        call(inputs) { return tf.tidy(() => tf.matMul([inputs].flat()[0], this.kernel.read())); }
      }
      tf.serialization.registerClass(Scaled);
      first.registerSite('Scaled', {kind: 'scaled', operation: (layer) => ({
        dims: {inputDim: 4, outputDim: 3},
        get frozen() { return {kernel: layer.weights[0].read()}; },
      })});
      const model = tf.sequential({layers: [new Scaled({inputShape: [4]})]});
      const peft = await second.upgrade(model, {targets: 'all-projections', adapter: {type: 'lora', rank: 1}});
      return {
        adapter: second.createAdapter({type: 'mine'}).type,
        router: others.createRouter({type: 'mine'}).experts,
        site: model.layers[0] instanceof first.PeftLayer,
      };`,
    );
    expect(result).toEqual({adapter: 'ia3', router: 2, site: true});
  });

  test('the kernels of both leave the stock ones when they are taken out', () => {
    const result = run(
      order,
      `
      await tf.setBackend('wasm');
      const [one, two] = await copies('@tfjs-peft/kernels/wasm-training');
      const kernel = tf.getKernel('BatchMatMul', 'wasm');
      one.register();
      two.register();
      const stable = tf.getKernel('BatchMatMul', 'wasm') === kernel;
      two.unregister();
      const [, wasm] = await copies('@tfjs-peft/kernels/wasm');
      wasm.unregister();
      return {stable, ours: kernel !== stock, stock: tf.getKernel('BatchMatMul', 'wasm').kernelFunc === stock.kernelFunc,
        tile: [...tf.grad((x) => tf.sum(tf.tile(x, [2, 3])))(tf.ones([2, 2])).dataSync()]};`,
    );
    // Its gradient is wrapped by `/gradients`, which stays.
    expect(result).toEqual({stable: true, ours: true, stock: true, tile: [6, 6, 6, 6]});
  });
});
