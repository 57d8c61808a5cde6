import * as tf from '@tensorflow/tfjs-core';
import * as tfl from '@tensorflow/tfjs-layers';
import {GraphBuilder} from '../../graph-model/testing/builder.js';
import {dense} from '../../testing/models.js';

export const [TOKENS, WIDTH, CLASSES] = [5, 8, 3] as const;

/** Gives every weight of a network, `up` too, values of its own. */
export function stir(variables: readonly tf.Variable[], size = 0.3): void {
  for (const [i, variable] of variables.entries())
    tf.tidy(() =>
      variable.assign(tf.add(variable, tf.randomNormal(variable.shape, 0, size, 'float32', i + 1))),
    );
}

/** x [-1, 5, 8] through blocks of a product, a bias, tanh and, if asked for, a layer norm; then a head. */
export function normedGraph(blocks = 3, {norms = true} = {}): GraphBuilder {
  const graph = new GraphBuilder();
  let at = graph.input('x', [-1, TOKENS, WIDTH]);
  const node = (op: string, name: string, ...inputs: string[]) => graph.node(op, name, inputs);
  for (let i = 1; i <= blocks; i++) {
    const block = `block_${i}`;
    graph.weight(`${block}/kernel`, [WIDTH, WIDTH]);
    graph.weight(`${block}/bias`, [WIDTH]);
    const options = {adj_x: false, adj_y: false};
    const product = graph.node('BatchMatMulV2', `${block}/MatMul`, [at, `${block}/kernel`], options);
    at = node('Tanh', `${block}/out`, node('AddV2', `${block}/Add`, product, `${block}/bias`));
    if (norms) at = layerNorm(graph, `${block}/norm`, at);
  }
  graph.integers('axis', [1]);
  graph.node('Mean', 'pool', [at, 'axis'], {keep_dims: false});
  graph.weight('head/kernel', [WIDTH, CLASSES]);
  return graph.output(
    graph.node('MatMul', 'head', ['pool', 'head/kernel'], {transpose_a: false, transpose_b: false}),
  );
}

/** As Keras writes a layer norm; gives the name of its last node, `<name>/out`. */
function layerNorm(graph: GraphBuilder, name: string, x: string): string {
  const node = (op: string, leaf: string, ...inputs: string[]) => graph.node(op, `${name}/${leaf}`, inputs);
  const average = (leaf: string, of: string) => {
    graph.integers(`${name}/${leaf}/axis`, [2]);
    return graph.node('Mean', `${name}/${leaf}`, [of, `${name}/${leaf}/axis`], {keep_dims: true});
  };
  graph.weight(`${name}/gamma`, [WIDTH]);
  graph.weight(`${name}/beta`, [WIDTH]);
  graph.weight(`${name}/epsilon`, [], {values: [1e-3]});
  const mean = average('mean', x);
  const variance = average('variance', node('SquaredDifference', 'square', x, mean));
  const root = node('Rsqrt', 'rsqrt', node('AddV2', 'shifted', variance, `${name}/epsilon`));
  const scale = node('Mul', 'mul', root, `${name}/gamma`);
  const offset = node('Sub', 'sub', `${name}/beta`, node('Mul', 'mul_2', mean, scale));
  return node('AddV2', 'out', node('Mul', 'mul_1', x, scale), offset);
}

/** The same as layers: `block_1`, `norm_1`, ...; what they give is [B, 5, 8]. */
export function normedLayers(blocks = 3, {norms = true} = {}): tfl.LayersModel {
  const x = tfl.input({shape: [TOKENS, WIDTH], name: 'x'});
  let y = x;
  const normal = (mean: number, seed: number) => tfl.initializers.randomNormal({mean, stddev: 0.3, seed});
  for (let i = 1; i <= blocks; i++) {
    y = dense(`block_${i}`, WIDTH, i, {activation: 'tanh'}).apply(y) as tfl.SymbolicTensor;
    if (!norms) continue;
    const norm = tfl.layers.layerNormalization({
      name: `norm_${i}`,
      gammaInitializer: normal(1, 20 + i),
      betaInitializer: normal(0, 40 + i),
    });
    y = norm.apply(y) as tfl.SymbolicTensor;
  }
  const pooled = tfl.layers.globalAveragePooling1d({name: 'pool'}).apply(y);
  const head = dense('head', CLASSES, 9).apply(pooled) as tfl.SymbolicTensor;
  return tfl.model({inputs: x, outputs: head, name: 'normed'});
}

export const X = (samples = 4) => tf.randomUniform([samples, TOKENS, WIDTH], -1, 1, 'float32', 7);
export const Y = (samples = 4) => tf.randomUniform([samples, CLASSES], -1, 1, 'float32', 8);
