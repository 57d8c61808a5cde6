import {GraphBuilder} from './builder.js';

const WIDTH = 4;

/**
 * What a form of a layer norm is written with: the names of nodes and
 * constants, and what writes one more node.
 */
interface Parts {
  x: string;
  mean: string;
  gamma: string;
  beta: string;
  node(op: string, name: string, ...inputs: string[]): string;
  /** The mean over the axis, which stays. */
  average(name: string, of: string): string;
  /** With epsilon. */
  shifted(variance: string): string;
}

/** How layer norms are written; each returns the name of its last node. */
export const FORMS: Record<string, (parts: Parts) => string> = {
  'TensorFlow 1': ({x, mean, gamma, beta, node, average, shifted}) => {
    const centered = node('Sub', 'sub_1', x, mean);
    const variance = average('variance', node('Square', 'square', centered));
    const scale = node('Mul', 'mul', gamma, node('Rsqrt', 'rsqrt', shifted(variance)));
    return node('Add', 'add_1', node('Mul', 'mul_1', scale, centered), beta);
  },
  Keras: ({x, mean, gamma, beta, node, average, shifted}) => {
    const variance = average('variance', node('SquaredDifference', 'square', x, mean));
    const scale = node('Mul', 'mul', node('Rsqrt', 'rsqrt', shifted(variance)), gamma);
    const offset = node('Sub', 'sub', beta, node('Mul', 'mul_2', mean, scale));
    return node('AddV2', 'add_1', node('Mul', 'mul_1', x, scale), offset);
  },
  'Keras 3': ({x, mean, gamma, beta, node, average, shifted}) => {
    const still = node('StopGradient', 'still', mean);
    const variance = average('variance', node('SquaredDifference', 'square', still, x));
    const scale = node('Mul', 'mul', node('Rsqrt', 'rsqrt', shifted(variance)), gamma);
    const offset = node('AddV2', 'add', node('Mul', 'mul_2', node('Neg', 'neg', mean), scale), beta);
    return node('AddV2', 'add_1', node('Mul', 'mul_1', x, scale), offset);
  },
  'a quotient': ({x, mean, gamma, beta, node, average, shifted}) => {
    const centered = node('Sub', 'sub_1', x, mean);
    const variance = average('variance', node('Mul', 'square', centered, centered));
    const normal = node('RealDiv', 'normal', centered, node('Sqrt', 'sqrt', shifted(variance)));
    return node('AddV2', 'add_1', beta, node('Mul', 'mul_1', gamma, normal));
  },
};

/**
 * x [-1, 3, 4] through a product, a layer norm and a second product, and something added to that.
 *
 * @param axis Of the norm. Default 2, the last.
 * @param also What is added. Default: the product itself.
 */
export function normed(form: string, {axis = 2, also = 'last/product'} = {}): GraphBuilder {
  const graph = new GraphBuilder();
  graph.input('x', [-1, 3, WIDTH]);
  const product = (name: string, x: string) => {
    graph.weight(`${name}/w`, [WIDTH, WIDTH]);
    const options = {adj_x: false, adj_y: false};
    return graph.node('BatchMatMulV2', `${name}/product`, [x, `${name}/w`], options);
  };
  const x = product('first', 'x');
  graph.weight('gamma', [WIDTH]);
  graph.weight('beta', [WIDTH]);
  graph.weight('epsilon', [], {values: [1e-3]});
  const node = (op: string, name: string, ...inputs: string[]) => graph.node(op, name, inputs);
  const average = (name: string, of: string) => {
    graph.integers(`${name}/axis`, [axis]);
    return graph.node('Mean', name, [of, `${name}/axis`], {keep_dims: true});
  };
  const shifted = (variance: string) => node('AddV2', 'shifted', variance, 'epsilon');
  const parts = {x, mean: average('mean', x), gamma: 'gamma', beta: 'beta', node, average, shifted};
  product('last', FORMS[form]!(parts));
  return graph.output(node('AddV2', 'y', 'last/product', also));
}
