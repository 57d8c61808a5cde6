import type * as tf from '@tensorflow/tfjs-core';
import {WeightMismatchError} from '@tfjs-peft/kernels';
import type {Adapter} from '../../core/adapters/adapter.js';
import {createAdapter} from '../../core/adapters/registry.js';
import {sameShape} from '../../core/io/adapter-file.js';
import {runSite} from '../../core/sites/run-site.js';
import type {NodeSite} from '../sites/node-site.js';
import {FragmentSite} from './fragment.js';
import {decodeRecord, type SiteRecord} from './site-record.js';

/**
 * A site of a model that was saved with its adapters. All its weights are inputs of its node, and so belong
 * to the model; it keeps none of its own.
 */
class SavedSite {
  private readonly fragment: FragmentSite;
  private adapter: Adapter | undefined;
  private weights: readonly tf.Tensor[] = [];

  constructor(private readonly record: SiteRecord) {
    this.fragment = new FragmentSite(record.fragment);
  }

  run(inputs: tf.Tensor[]): tf.Tensor {
    const {fragment, node} = this.record;
    const own = inputs.slice(0, fragment.inputs.length);
    this.weights = inputs.slice(own.length);
    const site = this.fragment.withInputs(own);
    this.adapter ??= this.build(site);
    try {
      const x = site.input?.(own) ?? own[0]!;
      const y = runSite(site.operation, this.adapter, x, {label: () => `Node '${node}'`, training: false});
      return site.finish?.(y, own) ?? y;
    } finally {
      site.dispose?.();
      this.fragment.release();
      this.weights = [];
    }
  }

  private build({operation: {dims}}: NodeSite): Adapter {
    const {node, config, weights} = this.record;
    const adapter = createAdapter(config, dims);
    adapter.build(dims, (name, shape) => {
      const index = weights.indexOf(name);
      const found = this.weights[index]?.shape;
      if (found === undefined || !sameShape(found, shape)) {
        throw new WeightMismatchError(
          `Node '${node}': its adapter needs a weight '${name}' [${shape}], but the model has ${found ? `[${found}]` : 'none'}. ` +
            'The file is damaged: save the model again.',
        );
      }
      return {read: () => this.weights[index]!};
    });
    return adapter;
  }
}

/**
 * By the nodes that describe them, and released with these: a site keeps the sizes of its model's constants,
 * which the record does not hold.
 */
const sites = new WeakMap<object, SavedSite>();

/**
 * Runs a node that describes its whole site.
 *
 * @param node The node, an object of one model alone.
 * @throws ConfigError if the record is not what this version writes, or its adapter is not known here;
 * WeightMismatchError if the model lacks a weight of it.
 */
export function runSaved(node: object, record: string, inputs: tf.Tensor[]): tf.Tensor {
  const site = sites.get(node) ?? new SavedSite(decodeRecord(record));
  sites.set(node, site);
  return site.run(inputs);
}
