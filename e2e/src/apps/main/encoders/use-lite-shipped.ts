// Of the whole graph, layer norms included, a gradient is taken.
import '@tfjs-peft/kernels/gradients';
import type {GraphModel} from '@tensorflow/tfjs-converter';
import * as tf from '@tensorflow/tfjs-core';
import {type AdapterConfig, type GraphTrainer, type Peft, trainer, upgrade} from '@tfjs-peft/layers/graph';
import {USE_LITE_WIDTH} from '../../../data/models/use-lite.js';
import {loadUseLiteGraph, raggedTokens} from '../../../data/models/use-lite-graph.js';
import {loadUseLiteTokenizer, type UnigramTokenizer} from '../../../data/models/use-lite-tokenizer.js';
import type {Encoder, PreparedBatch} from './encoder.js';

/**
 * USE-lite as its package ships it, a GraphModel that stock tfjs can only run by `executeAsync`,
 * upgraded at its ten projections.
 */
export class UseLiteShippedEncoder implements Encoder {
  readonly width = USE_LITE_WIDTH;
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

  upgrade(adapter: AdapterConfig, seed: number): Promise<Peft<GraphModel>> {
    return upgrade(this.model, {targets: 'all-projections', adapter, seed});
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
