import {editedArtifacts, GraphEditor, nodeOf, outputIndexOf} from './graph-editor.js';
import {splitWeights} from './weight-bytes.js';

const editor = () =>
  new GraphEditor({
    node: [
      {name: 'w', op: 'Const'},
      {name: 'y', op: 'Relu', input: ['w', '^x'], device: '/cpu:0'},
    ],
  });

it.each([
  ['scope/x', 'scope/x', 0],
  ['x:2', 'x', 2],
  ['x:output:1', 'x', 1],
  ['^x', 'x', 0],
])('input %s is of node %s, output %i', (input, node, index) => {
  expect([nodeOf(input), outputIndexOf(input)]).toEqual([node, index]);
});

it('a name that is taken gets a number', () => {
  const graph = editor();
  expect(graph.add('y', 'Abs', ['w'])).toBe('y_2');
  expect(graph.addConstant('y', [1], Float32Array.of(1))).toBe('y_3');
});

it('a node that becomes another op keeps its name, device and control inputs', () => {
  const graph = editor();
  graph.become(graph.node('y')!, 'Mul', ['w', 'w']);
  expect(graph.node('y')).toEqual({
    name: 'y',
    op: 'Mul',
    input: ['w', 'w', '^x'],
    attr: {T: {type: 'DT_FLOAT'}},
    device: '/cpu:0',
  });
});

it('constants replace the weights of the same name, and others follow', () => {
  const graph = editor();
  graph.setConstant('w', [1], Float32Array.of(5));
  graph.addConstant('n', [2], Int32Array.of(6, 7));
  const weightSpecs = [
    {
      name: 'v',
      shape: [2],
      dtype: 'float32' as const,
      quantization: {dtype: 'uint8' as const, min: 0, scale: 1},
    },
    {name: 'w', shape: [1], dtype: 'float32' as const},
  ];
  const artifacts = editedArtifacts({weightSpecs}, graph, Uint8Array.of(1, 2, 0, 0, 0, 0));
  const weights = splitWeights(artifacts.weightSpecs!, new Uint8Array(artifacts.weightData as ArrayBuffer));
  expect(weights.map(({spec, bytes}) => [spec.name, spec.dtype, [...bytes]])).toEqual([
    ['v', 'float32', [1, 2]],
    ['w', 'float32', [...new Uint8Array(Float32Array.of(5).buffer)]],
    ['n', 'int32', [...new Uint8Array(Int32Array.of(6, 7).buffer)]],
  ]);
});
