import {type Attribute, GraphBuilder} from './builder.js';

/** Images [height, width, channels] that the graphs take. */
export const IMAGE = [8, 8, 3] as const;

/**
 * Writes the layers of image models as the converter folds them: each with its
 * bias and its activation in one node.
 */
class ImageGraph extends GraphBuilder {
  constructor() {
    super();
    this.input('x', [-1, ...IMAGE]);
  }

  conv(
    name: string,
    x: string,
    filter: [number, number, number, number],
    activations: string[] = [],
    stride = 1,
  ): string {
    const fused = ['BiasAdd', ...activations];
    return this.filtered('_FusedConv2D', name, x, filter, filter[3], fused, stride);
  }

  depthwise(name: string, x: string, channels: number, activations: string[] = [], stride = 1): string {
    const fused = ['BiasAdd', ...activations];
    return this.filtered('FusedDepthwiseConv2dNative', name, x, [3, 3, channels, 1], channels, fused, stride);
  }

  average(name: string, x: string, size: number, stride: number): string {
    const attributes = {ksize: [1, size, size, 1], strides: [1, stride, stride, 1], padding: 'SAME'};
    return this.node('AvgPool', name, [x], {...attributes, data_format: 'NHWC'});
  }

  resize(op: 'ResizeBilinear' | 'ResizeNearestNeighbor', name: string, x: string, size: number[]): string {
    const attributes = {half_pixel_centers: true, align_corners: false};
    return this.node(op, name, [x, this.integers(`${name}/size`, size)], attributes);
  }

  mean(name: string, x: string, keep: boolean): string {
    return this.node('Mean', name, [x, this.integers(`${name}/axes`, [1, 2])], {keep_dims: keep});
  }

  concat(name: string, parts: string[]): string {
    return this.node('ConcatV2', name, [...parts, this.integers(`${name}/axis`, 3)], {N: parts.length});
  }

  private filtered(
    op: string,
    name: string,
    x: string,
    filter: number[],
    outputs: number,
    fused: string[],
    stride: number,
  ): string {
    const inputs = [x, this.weight(`${name}/w`, filter), this.weight(`${name}/b`, [outputs])];
    if (fused.includes('Prelu')) inputs.push(this.weight(`${name}/alpha`, [1, 1, outputs]));
    const attributes: Record<string, Attribute> = {
      strides: [1, stride, stride, 1],
      dilations: [1, 1, 1, 1],
      padding: 'SAME',
      data_format: 'NHWC',
      fused_ops: fused,
      num_args: inputs.length - 2,
    };
    return this.node(op, name, inputs, attributes);
  }
}

/** The smallest graphs that join what the published models of a kind join. */
export const WHOLE_GRAPHS: Record<string, () => GraphBuilder> = {
  'like MobileNet': () => {
    const graph = new ImageGraph();
    const stem = graph.conv('stem', 'x', [3, 3, 3, 6], ['Relu6'], 2);
    const wide = graph.conv('expand', stem, [1, 1, 6, 12], ['Relu6']);
    const mixed = graph.depthwise('depthwise', wide, 12, ['Relu6']);
    const narrow = graph.conv('project', mixed, [1, 1, 12, 6]);
    const sum = graph.node('AddV2', 'residual', [narrow, stem]);
    const less = graph.depthwise('smaller', sum, 6, ['Relu6'], 2);
    // SAME windows that reach over the edge count fewer pixels there.
    const pooled = graph.average('pooled', less, 3, 2);
    const last = graph.conv('last', pooled, [1, 1, 6, 8], ['Relu6']);
    const means = graph.mean('means', last, false);
    graph.weight('logits/w', [8, 4]);
    graph.node('MatMul', 'logits', [means, 'logits/w'], {transpose_a: false, transpose_b: false});
    return graph.output('logits');
  },
  'like a face parser': () => {
    const graph = new ImageGraph();
    const detail = graph.conv('detail', 'x', [3, 3, 3, 6], ['Relu']);
    const smooth = graph.average('smooth', detail, 3, 1);
    const context = graph.conv('context', smooth, [3, 3, 6, 6], ['Relu'], 2);
    const small = graph.average('small', context, 2, 2);
    const pooled = graph.mean('pooled', small, true);
    const gate = graph.node('Sigmoid', 'gate', [graph.conv('attention', pooled, [1, 1, 6, 6])]);
    const gated = graph.node('Mul', 'gated', [small, gate]);
    const large = graph.resize('ResizeBilinear', 'large', gated, [8, 8]);
    const both = graph.concat('both', [large, smooth]);
    const head = graph.conv('head', both, [3, 3, 12, 3]);
    return graph.output(graph.resize('ResizeBilinear', 'classes', head, [11, 13]));
  },
  'like MoveNet': () => {
    const graph = new ImageGraph();
    const stem = graph.conv('stem', 'x', [3, 3, 3, 6], ['Relu6'], 2);
    const paddings = graph.integers('paddings', [0, 0, 1, 1, 1, 1, 0, 0], [4, 2]);
    const padded = graph.node('MirrorPad', 'padded', [stem, paddings], {mode: 'REFLECT'});
    const mixed = graph.depthwise('depthwise', padded, 6, ['Relu6'], 2);
    const low = graph.conv('low', mixed, [1, 1, 6, 6]);
    const large = graph.resize('ResizeBilinear', 'large', low, [4, 4]);
    const features = graph.node('AddV2', 'features', [large, stem]);
    const near = graph.resize('ResizeNearestNeighbor', 'near', features, [7, 8]);
    const shared = graph.depthwise('shared', near, 6, ['Relu']);
    graph.output(graph.node('Sigmoid', 'heatmap', [graph.conv('heat', shared, [1, 1, 6, 2])]));
    graph.output(graph.conv('offsets', shared, [1, 1, 6, 4]));
    return graph.output(graph.conv('centers', features, [3, 3, 6, 1]));
  },
  'super-resolution': () => {
    const graph = new ImageGraph();
    const first = graph.conv('first', 'x', [3, 3, 3, 6], ['Prelu']);
    const second = graph.conv('second', first, [3, 3, 6, 6]);
    const alpha = graph.weight('alpha', [1, 1, 6]);
    const bent = graph.node('Prelu', 'bent', [second, alpha]);
    const sum = graph.node('AddV2', 'sum', [bent, first]);
    const blocks = graph.conv('blocks', sum, [3, 3, 6, 12]);
    const shuffled = graph.node('DepthToSpace', 'shuffled', [blocks], {block_size: 2, data_format: 'NHWC'});
    const plain = graph.resize('ResizeBilinear', 'plain', 'x', [16, 16]);
    return graph.output(graph.node('AddV2', 'larger', [shuffled, plain]));
  },
  'super-resolution as it comes from PyTorch': () => {
    const graph = new ImageGraph();
    const first = graph.conv('first', 'x', [3, 3, 3, 6], ['Prelu']);
    const blocks = graph.conv('blocks', first, [3, 3, 6, 12]);
    // PixelShuffle on channels first, as ONNX spells it out.
    graph.node('Transpose', 'channels', [blocks, graph.integers('toChannels', [0, 3, 1, 2])]);
    graph.node('Reshape', 'split', ['channels', graph.integers('splitShape', [-1, 3, 2, 2, 8, 8])]);
    graph.node('Transpose', 'woven', ['split', graph.integers('weave', [0, 1, 4, 2, 5, 3])]);
    graph.node('Reshape', 'pixels', ['woven', graph.integers('pixelShape', [-1, 3, 16, 16])]);
    graph.node('Transpose', 'image', ['pixels', graph.integers('toImage', [0, 2, 3, 1])]);
    return graph.output(graph.conv('last', 'image', [3, 3, 3, 3]));
  },
};
