import type * as tf from '@tensorflow/tfjs-core';
import type {AdapterConfig, Peft, UpgradableModel} from '@tfjs-peft/layers';
import type {SideModel, SideNetworkConfig, SidePeft} from '@tfjs-peft/layers/side';
import type {FormatConfig, QuantizerConfig} from '@tfjs-peft/quant';

/** How a base is quantised. */
export interface Quantization {
  format: FormatConfig;
  quantizer: QuantizerConfig;
  /** Whether the table of the embedding is too. */
  embedding: boolean;
}

/**
 * A frozen model that makes a vector of a text, and what the main job asks of it: nothing else in this folder
 * knows which model it is, or of what kind.
 */
export interface Encoder {
  /** Width of a text's vector. */
  readonly width: number;
  /** Channels of the places that a side network reads. */
  readonly tapWidths: readonly number[];
  /** All parameters of the model as it came. */
  readonly parameters: number;
  /** Token ids of a text. */
  tokenize(text: string): number[];
  /** The tensors of the model, always in the same order; not copies. */
  weights(): tf.Tensor[];
  /** Packs the weights of the model. Before anything is trained in it. */
  quantize(how: Quantization): Promise<void>;
  /** Upgrades the model at all sites that the main job adapts. */
  upgrade(adapter: AdapterConfig, seed: number): Promise<Peft<UpgradableModel>>;
  /** Puts a side network beside the model. */
  attachSide(network: SideNetworkConfig, seed: number): Promise<SidePeft<SideModel>>;
  /** Runs what does not depend on adapters, once for a batch of texts that are padded to `length` tokens. */
  prepare(tokens: Int32Array[], length: number): Promise<PreparedBatch>;
}

/** A batch up to the first adapter. */
export interface PreparedBatch {
  /**
   * Vectors of the texts, [texts, width]: synchronous, so that a gradient can
   * be taken of what is made of them.
   */
  vectors(training: boolean): tf.Tensor2D;
  /** What routers have added to the loss in the last {@link vectors} that was training. */
  losses(): tf.Scalar[];
  dispose(): void;
}
