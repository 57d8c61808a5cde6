// Of the whole graph, layer norms included, a gradient is taken.
import '@tfjs-peft/kernels/gradients';
import type {GraphModel} from '@tensorflow/tfjs-converter';
import * as tf from '@tensorflow/tfjs-core';
import {type AdapterConfig, type GraphTrainer, type Peft, trainer, upgrade} from '@tfjs-peft/layers/graph';
import {quantizeModel} from '@tfjs-peft/layers/quantize';
import {attachSideNetwork, type SideNetworkConfig, type SidePeft} from '@tfjs-peft/layers/side';
import {USE_LITE_SIDE, USE_LITE_WIDTH} from '../../../data/models/use-lite.js';
import {loadUseLiteGraph, raggedTokens} from '../../../data/models/use-lite-graph.js';
import {loadUseLiteTokenizer, type UnigramTokenizer} from '../../../data/models/use-lite-tokenizer.js';
import type {Encoder, PreparedBatch, Quantization} from './encoder.js';

const STACK = 'module_apply_default/Encoder_en/KonaTransformer/Encode/TransformerStack';
/** The embedding with its timing signal, then what each block gives. */
const TAPS = [
  `${STACK}/Layer_0/add`,
  `${STACK}/Layer_0/TransformerLayer/FFN/layer_postprocess/add`,
  `${STACK}/Layer_1/TransformerLayer/FFN/layer_postprocess/add`,
];
/** Which places of the texts are tokens. */
const MASK = 'module_apply_default/Encoder_en/KonaTransformer/Encode/Greater';
/** Channels of the taps. */
const TAP_WIDTHS = [256, USE_LITE_WIDTH, USE_LITE_WIDTH];

/**
 * USE-lite as its package ships it, a GraphModel that stock tfjs can only run by `executeAsync`,
 * upgraded at its ten projections.
 */
export class UseLiteShippedEncoder implements Encoder {
  readonly width = USE_LITE_WIDTH;
  readonly tapWidths = TAP_WIDTHS;
  readonly parameters: number;
  private readonly trainer: GraphTrainer;

  private constructor(
    private readonly model: GraphModel,
    private readonly tokenizer: UnigramTokenizer,
  ) {
    this.trainer = trainer(model);
    const floats = this.weights().filter(({dtype}) => dtype === 'float32');
    this.parameters = floats.reduce((sum, {size}) => sum + size, 0);
  }

  static async load(): Promise<UseLiteShippedEncoder> {
    return new UseLiteShippedEncoder(await loadUseLiteGraph(), loadUseLiteTokenizer());
  }

  tokenize(text: string): number[] {
    return this.tokenizer.encode(text);
  }

  weights(): tf.Tensor[] {
    return Object.values(this.model.weights).flat();
  }

  async quantize({embedding, ...how}: Quantization): Promise<void> {
    await quantizeModel(this.model, {
      ...how,
      targets: ({kind}) => kind === 'dense' || kind === 'conv2d' || (embedding && kind === 'embedding'),
    });
  }

  upgrade(adapter: AdapterConfig, seed: number): Promise<Peft<GraphModel>> {
    return upgrade(this.model, {targets: 'all-projections', adapter, seed});
  }

  async attachSide(network: SideNetworkConfig, seed: number): Promise<SidePeft<GraphModel>> {
    const inputs = raggedTokens([[0]], 1);
    const side = await attachSideNetwork(this.model, {
      ...network,
      hidden: USE_LITE_SIDE.hidden,
      taps: TAPS,
      mask: MASK,
      seed,
      example: {...inputs},
    });
    tf.dispose([inputs.values, inputs.indices]);
    return side;
  }

  async prepare(tokens: Int32Array[], length: number): Promise<PreparedBatch> {
    const inputs = raggedTokens(tokens, length);
    const prepared = await this.trainer.prepare(inputs);
    return {
      vectors: (training) => prepared.outputs(training) as tf.Tensor2D,
      losses: () => prepared.losses(),
      dispose: () => {
        prepared.dispose();
        tf.dispose([inputs.values, inputs.indices]);
      },
    };
  }
}
