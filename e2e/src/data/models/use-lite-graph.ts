import {type GraphModel, loadGraphModel} from '@tensorflow/tfjs-converter';
import * as tf from '@tensorflow/tfjs-core';
import {folderHandler} from './folder-handler.js';
import {useLiteFolder} from './use-lite-weights.js';

/**
 * USE-lite exactly as its package ships it: a GraphModel that takes token ids of all texts
 * in a row, and where each belongs.
 */
export function loadUseLiteGraph(folder = useLiteFolder()): Promise<GraphModel> {
  return loadGraphModel(folderHandler(folder));
}

/**
 * Token ids as the graph takes them: `values` int32 [N] and `indices` int32 [N,
 * 2], the text and the place in it.
 *
 * @param length Where texts are cut. An empty text becomes one `<unk>`, since a mean needs a position.
 */
export function raggedTokens(
  texts: readonly ArrayLike<number>[],
  length: number,
): {values: tf.Tensor1D; indices: tf.Tensor2D} {
  const ids: number[] = [];
  const places: number[] = [];
  for (const [row, tokens] of texts.entries()) {
    const count = Math.max(1, Math.min(tokens.length, length));
    for (let i = 0; i < count; i++) {
      ids.push(tokens[i] ?? 0);
      places.push(row, i);
    }
  }
  return {
    values: tf.tensor1d(ids, 'int32'),
    indices: tf.tensor2d(places, [ids.length, 2], 'int32'),
  };
}
