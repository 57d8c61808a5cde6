import type {GraphModel} from '@tensorflow/tfjs-converter';
import * as tf from '@tensorflow/tfjs-core';
import {ConfigError, packedFrom, readPacked, shared, WeightMismatchError} from '@tfjs-peft/kernels';
import {oneHandler} from '../../core/io/storage-location.js';
import {
  copyTopology,
  joinWeights,
  type StoredWeight,
  splitWeights,
  weightBytes,
} from '../../core/io/weight-bytes.js';
import {kindNamed, peftOf} from '../../core/lifecycle/kinds.js';
import {isPackedVariable, PackedVariable} from '../../core/tfjs/packed-variable.js';
import {fromFile, PACKED_KEY, type PackedWeight, toFile} from './packed-weight.js';

/** What stands for a Const whose numbers are packed; stock tfjs says it when the model first runs. */
const PACKED_OP = 'TfjsPeftPacked (loadQuantized of @tfjs-peft/layers/quantize)';

interface GraphDef {
  node: {name: string; op: string}[];
}

/** What of a GraphModel its file is made of. */
interface Saved {
  save: GraphModel['save'];
  artifacts?: tf.io.ModelArtifacts;
  readonly weights: Record<string, tf.Tensor[]>;
}

const saving = shared('layers.packed-graph-save', () => new WeakSet<object>());

/** Lets a GraphModel save its weights as they are: packed, or plain where its file had them packed. */
export function saveGraphPacked(model: object): void {
  if (saving.has(model)) return;
  saving.add(model);
  const graph = model as Saved;
  const stock = graph.save.bind(model);
  graph.save = async (to, config) => {
    const handler = typeof to === 'string' ? oneHandler(tf.io.getSaveHandlers(to), to, 'save') : to;
    // Stock refuses it.
    if (handler.save === undefined) return stock(handler, config);
    return handler.save(await artifactsOf(graph));
  };
}

async function artifactsOf({artifacts = {}, weights}: Saved): Promise<tf.io.ModelArtifacts> {
  const stored = new Map(
    splitWeights(artifacts.weightSpecs ?? [], await weightBytes(artifacts)).map((weight) => [
      weight.spec.name,
      weight,
    ]),
  );
  const packed = new Set<string>();
  const records: object[] = [];
  const parts: StoredWeight[] = [];
  for (const [name, [value]] of Object.entries(weights)) {
    if (value === undefined) continue;
    if (isPackedVariable(value)) {
      const written = toFile({name, place: value.place, data: await readPacked(value.packed)});
      records.push(written.record);
      parts.push(...written.weights);
      packed.add(name);
      stored.delete(name);
    } else if (!stored.has(name)) {
      const values = await value.data<'float32'>();
      const bytes = new Uint8Array(Float32Array.from(values).buffer);
      stored.set(name, {spec: {name, shape: value.shape, dtype: 'float32'}, bytes});
    }
  }
  const topology = copyTopology<GraphDef>(artifacts.modelTopology!);
  for (const node of topology.node) if (packed.has(node.name)) node.op = PACKED_OP;
  return {
    ...artifacts,
    modelTopology: packed.size === 0 ? topology : {...topology, [PACKED_KEY]: records},
    ...joinWeights([...stored.values(), ...parts]),
  };
}

/**
 * Builds a GraphModel of a file with packed weights.
 *
 * @param records What the topology has under {@link PACKED_KEY}.
 */
export async function loadGraphPacked(
  artifacts: tf.io.ModelArtifacts,
  given: object,
  records: unknown,
): Promise<GraphModel> {
  const kind = kindNamed('graph');
  if (kind?.load === undefined) {
    throw new ConfigError(
      "loadQuantized: the file is that of a GraphModel. Import '@tfjs-peft/layers/graph' before.",
    );
  }
  const stored = splitWeights(artifacts.weightSpecs ?? [], await weightBytes(artifacts));
  const {packed, plain} = fromFile(records, stored);
  const topology = copyTopology<GraphDef>(given);
  const names = new Set(packed.map(({name}) => name));
  const marked = topology.node.filter(({op}) => op === PACKED_OP);
  const lost =
    marked.find(({name}) => !names.has(name))?.name ??
    [...names].find((name) => !marked.some((node) => node.name === name));
  if (lost !== undefined) {
    throw new WeightMismatchError(
      `loadQuantized: the graph and the packed weights of the file do not fit: only one has '${lost}'. Save the model again.`,
    );
  }
  for (const node of marked) node.op = 'Const';
  const constants = new Map<string, tf.Tensor>();
  try {
    for (const {name, place, data} of packed)
      constants.set(name, new PackedVariable(packedFrom(data), place, name));
    const model = (await kind.load(
      {...artifacts, modelTopology: topology, ...joinWeights(plain)},
      constants,
    )) as GraphModel;
    try {
      settle(model, packed);
    } catch (error) {
      model.dispose();
      throw error;
    }
    saveGraphPacked(model);
    return model;
  } catch (error) {
    for (const value of constants.values()) value.dispose();
    throw error;
  }
}

/** Lets the nodes that read packed weights compute with them as they are. */
function settle(model: GraphModel, packed: readonly PackedWeight[]): void {
  const state = peftOf(model).changing();
  const left = new Map(packed.map((weight) => [weight.name, weight]));
  for (const {info, status} of state.select(() => true)) {
    const matrix = status === 'adapted' ? state.matrixAt(info.name) : '';
    if (typeof matrix === 'string' || matrix.packed === undefined) continue;
    const {place} = left.get(matrix.weight) ?? {};
    if (place === undefined) continue;
    const same = String(place.shape) === String(matrix.place.shape);
    if (!same || (place.transposed ?? false) !== (matrix.place.transposed ?? false)) continue;
    matrix.pack(matrix.packed);
    left.delete(matrix.weight);
  }
  const [name] = left.keys();
  if (name === undefined) return;
  throw new WeightMismatchError(
    `loadQuantized: the packed weight '${name}' is not one that a node of the graph can have packed so. Save the model again.`,
  );
}
