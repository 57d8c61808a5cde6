import {GraphBuilder} from './builder.js';

const [TIME, WIDTH, HEADS, SIZE, OUT] = [3, 4, 2, 3, 5] as const;

/**
 * Two projections with biases, relu between them, x [-1, 3, 4] to y [-1, 3, 5], as each way to
 * write them in Python is converted.
 */
export const DIALECTS: Record<string, () => GraphBuilder> = {
  tensordot: () => {
    const graph = new GraphBuilder();
    graph.input('x', [-1, TIME, WIDTH]);
    const dense = (name: string, x: string, [from, to]: number[]) => {
      graph.integers(`${name}/flat`, [-1, from!]);
      graph.integers(`${name}/shape`, [-1, TIME, to!]);
      graph.node('Reshape', `${name}/Tensordot/Reshape`, [x, `${name}/flat`]);
      graph.weight(`${name}/Tensordot/ReadVariableOp`, [from!, to!]);
      graph.weight(`${name}/BiasAdd/ReadVariableOp`, [to!]);
      const product = [`${name}/Tensordot/Reshape`, `${name}/Tensordot/ReadVariableOp`];
      graph.node('MatMul', `${name}/Tensordot/MatMul`, product, {transpose_a: false, transpose_b: false});
      graph.node('Reshape', `${name}/Tensordot`, [`${name}/Tensordot/MatMul`, `${name}/shape`]);
      return graph.node('BiasAdd', `${name}/BiasAdd`, [
        `${name}/Tensordot`,
        `${name}/BiasAdd/ReadVariableOp`,
      ]);
    };
    const h = graph.node('Relu', 'first/Relu', [dense('first', 'x', [WIDTH, HEADS * SIZE])]);
    return graph.output(dense('second', h, [HEADS * SIZE, OUT]));
  },
  fused: () => {
    const graph = new GraphBuilder();
    graph.input('x', [-1, TIME, WIDTH]);
    graph.integers('flat', [-1, WIDTH]);
    graph.integers('shape', [-1, TIME, OUT]);
    graph.node('Reshape', 'rows', ['x', 'flat']);
    graph.weight('first/w', [WIDTH, HEADS * SIZE]);
    graph.weight('first/b', [HEADS * SIZE]);
    const fused = {num_args: 1, transpose_a: false, transpose_b: false};
    graph.node('_FusedMatMul', 'first/Relu', ['rows', 'first/w', 'first/b'], {
      ...fused,
      fused_ops: ['BiasAdd', 'Relu'],
    });
    graph.weight('second/w', [HEADS * SIZE, OUT]);
    graph.weight('second/b', [OUT]);
    graph.node('_FusedMatMul', 'second/BiasAdd', ['first/Relu', 'second/w', 'second/b'], {
      ...fused,
      fused_ops: ['BiasAdd'],
    });
    return graph.output(graph.node('Reshape', 'y', ['second/BiasAdd', 'shape']));
  },
  batched: () => {
    const graph = new GraphBuilder();
    graph.input('x', [-1, TIME, WIDTH]);
    const dense = (name: string, x: string, [from, to]: number[]) => {
      graph.weight(`${name}/MatMul/ReadVariableOp`, [from!, to!]);
      graph.weight(`${name}/Add/ReadVariableOp`, [to!]);
      // Behind an Identity, as an unfolded read leaves it.
      graph.node('Identity', `${name}/read`, [`${name}/MatMul/ReadVariableOp`]);
      graph.node('BatchMatMulV2', `${name}/MatMul`, [x, `${name}/read`], {adj_x: false, adj_y: false});
      return graph.node('AddV2', `${name}/Add`, [`${name}/Add/ReadVariableOp`, `${name}/MatMul`]);
    };
    const h = graph.node('Relu', 'first/Relu', [dense('first', 'x', [WIDTH, HEADS * SIZE])]);
    return graph.output(dense('second', h, [HEADS * SIZE, OUT]));
  },
  einsum: () => {
    const graph = new GraphBuilder();
    graph.input('x', [-1, TIME, WIDTH]);
    graph.weight('first/kernel', [WIDTH, HEADS, SIZE]);
    graph.weight('first/bias', [HEADS, SIZE]);
    graph.weight('second/kernel', [HEADS, SIZE, OUT]);
    graph.weight('second/bias', [OUT]);
    graph.node('Einsum', 'first/einsum', ['x', 'first/kernel'], {equation: 'abc,cde->abde', N: 2});
    graph.node('AddV2', 'first/add', ['first/einsum', 'first/bias']);
    graph.node('Relu', 'first/Relu', ['first/add']);
    graph.node('Einsum', 'second/einsum', ['first/Relu', 'second/kernel'], {equation: 'abcd,cde->abe', N: 2});
    return graph.output(graph.node('AddV2', 'second/add', ['second/einsum', 'second/bias']));
  },
};

export const X_SHAPE = [2, TIME, WIDTH];
