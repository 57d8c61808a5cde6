import {isContainer, type LayerConfig, layersOf, nameOf} from './config.js';

/** Separates the names of the models around a layer from its own in a key; no layer name holds one. */
const IN = '\0';

/** The key of a layer inside models: their names and its own. */
export function chain(names: readonly string[]): string {
  return names.join(IN);
}

export function namesIn(key: string): string[] {
  return key.split(IN);
}

/**
 * Where a `.keras` file keeps the weights of each layer:
 * `layers/<class in snake case>[_<how many before it>]`, nested in models. The classes and their order are
 * those of the file, so that this is asked before any rule changes them.
 */
export function kerasPaths(model: LayerConfig): Map<string, string> {
  const paths = new Map<string, string>();
  collect(model, '', [], paths);
  return paths;
}

function collect(container: LayerConfig, prefix: string, names: string[], paths: Map<string, string>): void {
  const counts = new Map<string, number>();
  for (const layer of layersOf(container)) {
    const snake = snakeCase(layer.class_name.replace(/^.*>/, ''));
    const count = counts.get(snake) ?? 0;
    counts.set(snake, count + 1);
    const path = `${prefix}layers/${snake}${count === 0 ? '' : `_${count}`}`;
    const inner = [...names, nameOf(layer)];
    if (isContainer(layer)) collect(layer, `${path}/`, inner, paths);
    else paths.set(path, chain(inner));
  }
}

/** As Keras does it: `Conv2DTranspose` is `conv2d_transpose`, `PReLU` is `p_re_lu`. */
function snakeCase(name: string): string {
  return name
    .replace(/\W+/g, '')
    .replace(/(.)([A-Z][a-z]+)/g, '$1_$2')
    .replace(/([a-z])([A-Z])/g, '$1_$2')
    .toLowerCase();
}
