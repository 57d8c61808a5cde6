import * as tf from '@tensorflow/tfjs-core';
import type {LayersModel} from '@tensorflow/tfjs-layers';
import {type AdapterConfig, type Peft, upgrade} from '@tfjs-peft/layers';
import {quantizeModel} from '@tfjs-peft/layers/quantize';
import {attachSideNetwork, type SideNetworkConfig, type SidePeft} from '@tfjs-peft/layers/side';
import {padTokens} from '../../../data/models/padding.js';
import {
  buildUseLite,
  USE_LITE_PADDING,
  USE_LITE_SIDE,
  USE_LITE_WIDTH,
} from '../../../data/models/use-lite.js';
import {loadUseLiteTokenizer, type UnigramTokenizer} from '../../../data/models/use-lite-tokenizer.js';
import type {Encoder, PreparedBatch, Quantization} from './encoder.js';

/** USE-lite as a LayersModel, upgraded at its ten Dense layers. */
export class UseLiteEncoder implements Encoder {
  readonly width = USE_LITE_WIDTH;
  readonly tapWidths: number[];
  readonly parameters: number;

  private constructor(
    private readonly model: LayersModel,
    private readonly tokenizer: UnigramTokenizer,
  ) {
    this.parameters = model.countParams();
    this.tapWidths = USE_LITE_SIDE.taps.map((tap) => (model.getLayer(tap).outputShape as number[]).at(-1)!);
  }

  static async load(): Promise<UseLiteEncoder> {
    return new UseLiteEncoder(buildUseLite(), loadUseLiteTokenizer());
  }

  tokenize(text: string): number[] {
    return this.tokenizer.encode(text);
  }

  weights(): tf.Tensor[] {
    return this.model.weights.map((weight) => weight.read());
  }

  async quantize({embedding, ...how}: Quantization): Promise<void> {
    await quantizeModel(this.model, {...how, targets: [{op: 'Dense'}, ...(embedding ? ['embedding'] : [])]});
  }

  upgrade(adapter: AdapterConfig, seed: number): Promise<Peft> {
    return upgrade(this.model, {targets: 'all-dense', adapter, seed});
  }

  attachSide(network: SideNetworkConfig, seed: number): Promise<SidePeft> {
    return attachSideNetwork(this.model, {...network, ...USE_LITE_SIDE, seed});
  }

  async prepare(tokens: Int32Array[], length: number): Promise<PreparedBatch> {
    const ids = tf.tensor2d(padTokens(tokens, length, USE_LITE_PADDING), [tokens.length, length], 'int32');
    return {
      vectors: (training) => this.model.apply(ids, {training}) as tf.Tensor2D,
      losses: () => this.model.calculateLosses(),
      dispose: () => ids.dispose(),
    };
  }
}
