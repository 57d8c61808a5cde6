import type {Dense, EncoderSize, LayerWeights, Values} from './encoder-weights.js';
import type {GraphWriter} from './graph-writer.js';
import {type Project, shapeWith} from './projections.js';

interface Attention {
  graph: GraphWriter;
  /** Scope of the layer's attention. */
  name: string;
  x: string;
  /** Additive, [B, 1, 1, T]. */
  mask: string;
  weights: LayerWeights;
  size: EncoderSize;
}

/** Multi-head self-attention up to and with its output projection. Returns the last node. */
export type Attend = (attention: Attention) => string;

/**
 * Hugging Face's: projections of their own kind, heads by Reshape and Transpose,
 * scores and sums by BatchMatMulV2.
 */
export function hfAttention(project: Project): Attend {
  return ({graph, name, x, mask, weights, size}) => {
    const {heads, hidden} = size;
    const width = hidden / heads;
    const self = `${name}/self`;
    const split = (part: 'query' | 'key' | 'value', i: number) => {
      const y = project(graph, `${self}/${part}`, x, weights[part]);
      const suffix = i === 0 ? '' : `_${i}`;
      const reshape = `${self}/Reshape${suffix}`;
      const byHead = graph.node(reshape, 'Reshape', [y, shapeWith(graph, reshape, x, heads, width)]);
      const perm = graph.ints(`${self}/transpose${suffix}/perm`, [0, 2, 1, 3]);
      return graph.node(`${self}/transpose${suffix}`, 'Transpose', [byHead, perm]);
    };
    const [q, k, v] = [split('query', 0), split('key', 1), split('value', 2)];
    const products = graph.node(`${self}/MatMul`, 'BatchMatMulV2', [q, k], {adj_x: false, adj_y: true});
    const root = graph.scalar(`${self}/truediv/y`, Math.sqrt(width));
    const scores = graph.node(`${self}/truediv`, 'RealDiv', [products, root]);
    const masked = graph.node(`${self}/Add`, 'AddV2', [scores, mask]);
    const softmax = graph.node(`${self}/Softmax`, 'Softmax', [masked]);
    const sums = graph.node(`${self}/MatMul_1`, 'BatchMatMulV2', [softmax, v], {adj_x: false, adj_y: false});
    const perm = graph.ints(`${self}/transpose_3/perm`, [0, 2, 1, 3]);
    const joined = graph.node(`${self}/transpose_3`, 'Transpose', [sums, perm]);
    const shape = shapeWith(graph, `${self}/Reshape_3`, x, hidden);
    const rows = graph.node(`${self}/Reshape_3`, 'Reshape', [joined, shape]);
    return project(graph, `${name}/output/dense`, rows, weights.attentionOutput);
  };
}

interface Einsums {
  /** A head projection of x, and the projection back. */
  project(graph: GraphWriter, name: string, x: string, weights: Dense, size: EncoderSize): string;
  back(graph: GraphWriter, name: string, x: string, weights: Dense, size: EncoderSize): string;
  /** Of keys and queries, in this order where `keysFirst`. */
  scores: string;
  keysFirst: boolean;
  sums: string;
}

/**
 * Keras's MultiHeadAttention: heads are an axis of the kernels, and all
 * products Einsums or what became of them.
 */
function kerasAttention({project, back, scores, keysFirst, sums}: Einsums): Attend {
  return ({graph, name, x, mask, weights, size}) => {
    const mha = `${name}/multi_head_attention`;
    const q = project(graph, `${mha}/query`, x, weights.query, size);
    const k = project(graph, `${mha}/key`, x, weights.key, size);
    const v = project(graph, `${mha}/value`, x, weights.value, size);
    const scale = graph.scalar(`${mha}/Mul/y`, 1 / Math.sqrt(size.hidden / size.heads));
    const scaled = graph.node(`${mha}/Mul`, 'Mul', [q, scale]);
    const pair = keysFirst ? [k, scaled] : [scaled, k];
    const products = graph.node(`${mha}/einsum/Einsum`, 'Einsum', pair, {N: 2, equation: scores});
    const masked = graph.node(`${mha}/softmax/add`, 'AddV2', [products, mask]);
    const softmax = graph.node(`${mha}/softmax/Softmax`, 'Softmax', [masked]);
    const mixed = graph.node(`${mha}/einsum_1/Einsum`, 'Einsum', [softmax, v], {N: 2, equation: sums});
    return back(graph, `${mha}/attention_output`, mixed, weights.attentionOutput, size);
  };
}

/** tf_keras: every projection an Einsum with a kernel of rank 3. */
export const tfKerasAttention = kerasAttention({
  project(graph, name, x, {kernel, bias}, {hidden, heads}) {
    const w = reshaped(graph, `${name}/einsum/Einsum/ReadVariableOp`, kernel, [
      hidden,
      heads,
      hidden / heads,
    ]);
    const y = graph.node(`${name}/einsum/Einsum`, 'Einsum', [x, w], {N: 2, equation: 'abc,cde->abde'});
    const b = reshaped(graph, `${name}/add/ReadVariableOp`, bias, [heads, hidden / heads]);
    return graph.node(`${name}/add`, 'AddV2', [y, b]);
  },
  back(graph, name, x, {kernel, bias}, {hidden, heads}) {
    const w = reshaped(graph, `${name}/einsum/Einsum/ReadVariableOp`, kernel, [
      heads,
      hidden / heads,
      hidden,
    ]);
    const y = graph.node(`${name}/einsum/Einsum`, 'Einsum', [x, w], {N: 2, equation: 'abcd,cde->abe'});
    return graph.node(`${name}/add`, 'AddV2', [
      y,
      reshaped(graph, `${name}/add/ReadVariableOp`, bias, [hidden]),
    ]);
  },
  scores: 'aecd,abcd->acbe',
  keysFirst: true,
  sums: 'acbe,aecd->abcd',
});

/**
 * Keras 3: projections are BatchMatMulV2 with kernels that were folded to rank
 * 2; scores and sums stay Einsums.
 */
export const keras3Attention = kerasAttention({
  project(graph, name, x, {kernel, bias}, {hidden, heads}) {
    const w = reshaped(graph, `${name}/Reshape`, kernel, kernel.shape);
    const y = graph.node(`${name}/MatMul`, 'BatchMatMulV2', [x, w], {adj_x: false, adj_y: false});
    const shape = shapeWith(graph, `${name}/Reshape_1`, x, heads, hidden / heads);
    const byHead = graph.node(`${name}/Reshape_1`, 'Reshape', [y, shape]);
    const b = reshaped(graph, `${name}/Cast/ReadVariableOp`, bias, [heads, hidden / heads]);
    return graph.node(`${name}/Add`, 'AddV2', [byHead, b]);
  },
  back(graph, name, x, {kernel, bias}, {hidden}) {
    const shape = shapeWith(graph, `${name}/Reshape_1`, x, hidden);
    const rows = graph.node(`${name}/Reshape_1`, 'Reshape', [x, shape]);
    const w = reshaped(graph, `${name}/Reshape`, kernel, kernel.shape);
    const y = graph.node(`${name}/MatMul`, 'BatchMatMulV2', [rows, w], {adj_x: false, adj_y: false});
    return graph.node(`${name}/Add`, 'AddV2', [
      y,
      reshaped(graph, `${name}/Cast/ReadVariableOp`, bias, [hidden]),
    ]);
  },
  scores: 'BTNH,BSNH->BNTS',
  keysFirst: false,
  sums: 'BNTS,BSNH->BTNH',
});

function reshaped(graph: GraphWriter, name: string, {values}: Values, shape: number[]): string {
  return graph.float(name, shape, values);
}
