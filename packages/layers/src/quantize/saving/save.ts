import * as tf from '@tensorflow/tfjs-core';
import * as tfl from '@tensorflow/tfjs-layers';
import {readPacked, shared} from '@tfjs-peft/kernels';
import {oneHandler} from '../../core/io/storage-location.js';
import {joinWeights, splitWeights, weightBytes} from '../../core/io/weight-bytes.js';
import {inside} from '../../core/tfjs/internals.js';
import {isPackedVariable, type PackedVariable} from '../../core/tfjs/packed-variable.js';
import {PACKED_KEY, toFile} from './packed-weight.js';

/** What `save` asks for the weights that it writes. */
interface NamedWeights {
  getNamedWeights(config?: object): {name: string; tensor: tf.Tensor}[];
}

const patched = shared('layers.packed-save', () => ({done: false}));

/** Lets LayersModels with packed weights save them packed, from now on. */
export function savePacked(): void {
  // A second copy of this package would save them twice.
  if (patched.done) return;
  patched.done = true;
  const {prototype} = tfl.LayersModel;
  const stock = prototype.save;
  prototype.save = async function (this: tfl.LayersModel, to, config) {
    const packed = config?.trainableOnly ? new Map<string, PackedVariable>() : packedWeights(this);
    if (packed.size === 0) return stock.call(this, to, config);
    const handler = typeof to === 'string' ? oneHandler(tf.io.getSaveHandlers(to), to, 'save') : to;
    // Stock refuses it.
    if (handler.save === undefined) return stock.call(this, handler, config);
    const save = async (artifacts: tf.io.ModelArtifacts): Promise<tf.io.SaveResult> =>
      handler.save!(await withPacked(artifacts, packed));
    return withoutPacked(this, () => stock.call(this, {save}, config));
  };
}

/** A model's packed weights, by the names that files have. */
function packedWeights(model: tfl.LayersModel): Map<string, PackedVariable> {
  const all = model.weights.map((weight) => [weight.originalName, weight.read()] as const);
  return new Map(all.flatMap(([name, value]) => (isPackedVariable(value) ? [[name, value] as const] : [])));
}

/** Runs `save` of a model that does not name its packed weights, which it does when it is called. */
function withoutPacked<T>(model: tfl.LayersModel, save: () => T): T {
  const inner = inside<NamedWeights>(model);
  const own = Object.getOwnPropertyDescriptor(inner, 'getNamedWeights');
  const named = inner.getNamedWeights.bind(model);
  inner.getNamedWeights = (config) => named(config).filter(({tensor}) => !isPackedVariable(tensor));
  try {
    return save();
  } finally {
    if (own === undefined) delete (inner as Partial<NamedWeights>).getNamedWeights;
    else Object.defineProperty(inner, 'getNamedWeights', own);
  }
}

/** A model's file with packed weights besides. They are read from the backend one by one. */
async function withPacked(
  artifacts: tf.io.ModelArtifacts,
  packed: ReadonlyMap<string, PackedVariable>,
): Promise<tf.io.ModelArtifacts> {
  const weights = splitWeights(artifacts.weightSpecs ?? [], await weightBytes(artifacts));
  const records: object[] = [];
  for (const [name, {packed: matrix, place}] of packed) {
    const written = toFile({name, place, data: await readPacked(matrix)});
    records.push(written.record);
    weights.push(...written.weights);
  }
  return {
    ...artifacts,
    modelTopology: {...artifacts.modelTopology, [PACKED_KEY]: records},
    ...joinWeights(weights),
  };
}
