// Says what the modules of <folder>/built/*/*.cjs register with tfjs, by bundler and module, beside the same
// modules unbundled. node registered.cjs <folder>; prints JSON
const {readdirSync, realpathSync} = require('node:fs');
const {createRequire} = require('node:module');
const {join, parse} = require('node:path');

const folder = realpathSync(process.argv[2]);
const app = createRequire(join(folder, 'package.json'));
const tf = app('@tensorflow/tfjs');
for (const name of ['wasm', 'webgl', 'webgpu']) app(`@tensorflow/tfjs-backend-${name}`);
const converter = app('@tensorflow/tfjs-converter');
const ops = new Set();
// Its table of ops cannot be asked.
converter.registerOp = (name) => ops.add(name);

const kernels = globalThis._tfGlobals.get('kernelRegistry');
const gradients = globalThis._tfGlobals.get('gradRegistry');
const classes = tf.serialization.SerializationMap.getMap().classNameMap;
const adam = tf.AdamOptimizer.prototype;
const stock = {
  kernels: new Map(kernels),
  gradients: new Map(gradients),
  classes: {...classes},
  step: adam.applyGradients,
};

function reset() {
  for (const [registry, before] of [
    [kernels, stock.kernels],
    [gradients, stock.gradients],
  ]) {
    registry.clear();
    for (const [key, value] of before) registry.set(key, value);
  }
  for (const name of Object.keys(classes)) if (!Object.hasOwn(stock.classes, name)) delete classes[name];
  ops.clear();
  adam.applyGradients = stock.step;
  for (const holder of [globalThis, adam])
    for (const key of Object.getOwnPropertySymbols(holder))
      if (/tfjs-peft/.test(key.description)) delete holder[key];
  for (const path of Object.keys(require.cache))
    if (/[\\/]@tfjs-peft[\\/]/.test(path)) delete require.cache[path];
}

/** The types that a registry knows, which its error lists. */
function typesOf(create) {
  if (create === undefined) return [];
  try {
    create({type: '?'});
  } catch ({message}) {
    return message.match(/one of: ([^;]*);/)[1].split(', ');
  }
}

const ours = (registry, before) =>
  [...registry]
    .filter(([key, value]) => before.get(key) !== value)
    .map(([key]) => key)
    .sort();

/**
 * The gradients that the ops bring along, each registered when its op first runs on a
 * tape, or by an entry of a backend.
 */
function broughtAlong() {
  const shared = globalThis[Symbol.for('@tfjs-peft/shared')];
  return [...(shared?.get('kernels.op-gradients')?.keys() ?? [])];
}

function registeredBy(load) {
  reset();
  const {createAdapter, createRouter} = load();
  return {
    kernels: ours(kernels, stock.kernels),
    gradients: [...new Set([...ours(gradients, stock.gradients), ...broughtAlong()])].sort(),
    classes: Object.keys(classes).filter((name) => !Object.hasOwn(stock.classes, name)),
    ops: [...ops],
    adam: adam.applyGradients !== stock.step,
    adapters: typesOf(createAdapter),
    routers: typesOf(createRouter),
  };
}

const result = {};
const built = join(folder, 'built');
for (const bundler of readdirSync(built)) {
  for (const file of readdirSync(join(built, bundler))) {
    const {name} = parse(file);
    result[name] ??= {};
    result[name][bundler] = registeredBy(() => require(join(built, bundler, file)));
  }
}
for (const name of Object.keys(result)) {
  const entries = name.split('+').map((entry) => `@tfjs-peft/${entry.replace('~', '/')}`);
  result[name].unbundled = registeredBy(() => Object.assign({}, ...entries.map((entry) => app(entry))));
}
console.log(JSON.stringify(result));
