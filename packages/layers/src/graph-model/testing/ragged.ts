import {GraphBuilder} from './builder.js';

/** Samples that {@link ragged} has room for, and values in all. */
const [SAMPLES, VALUES, WIDTH] = [3, 8, 4] as const;

/**
 * A graph whose inputs have no row for each sample: 8 values and the sample [0, 3) of each. What is
 * not 0 is found by Where, goes through a product, and is summed for each sample, y [3, 4]. The Where
 * is needed behind the product too.
 *
 * @param dynamicBehind Whether another Where depends on the product.
 */
export function ragged({dynamicBehind = false} = {}): GraphBuilder {
  const graph = new GraphBuilder();
  graph.input('values', [VALUES]);
  graph.input('rows', [VALUES], 'DT_INT32');
  graph.weight('zero', [], {values: [0]});
  graph.weight('w', [1, WIDTH]);
  graph.weight('b', [WIDTH]);
  graph.integers('column', [-1, 1]);
  graph.integers('all', [VALUES, WIDTH]);
  graph.integers('summed', [SAMPLES, WIDTH]);
  graph.node('NotEqual', 'present', ['values', 'zero']);
  graph.node('Where', 'where', ['present']);
  graph.node('GatherNd', 'kept', ['values', 'where']);
  graph.node('Reshape', 'as_rows', ['kept', 'column']);
  graph.node('MatMul', 'product', ['as_rows', 'w'], {transpose_a: false, transpose_b: false});
  graph.node('BiasAdd', 'biased', ['product', 'b']);
  graph.node('ScatterNd', 'spread', ['where', 'biased', 'all']);
  graph.node('Reshape', 'samples', ['rows', 'column'], {T: {type: 'DT_INT32'}});
  graph.node('ScatterNd', 'y', ['samples', 'spread', 'summed']);
  if (!dynamicBehind) return graph.output('y');
  graph.node('NotEqual', 'nonzero', ['y', 'zero']);
  graph.node('Where', 'late', ['nonzero']);
  return graph.output('late');
}
