import {UnsupportedModelError} from '../log.js';
import {type LayerRule, nameOf} from './config.js';

/**
 * Keras 3 writes a dtype as a policy object (tfjs#8358); tfjs computes in float32, whatever the policy mixed.
 */
export const dtypes: LayerRule = (layer, log) => {
  const {dtype} = layer.config;
  const policy = dtype as {class_name?: string; config?: {name?: unknown}} | null | undefined;
  const name = typeof dtype === 'string' ? dtype : policy?.config?.name;
  if (typeof name !== 'string') return;
  if (policy?.class_name !== undefined && !/^(DType)?Policy$/.test(policy.class_name)) {
    throw new UnsupportedModelError(
      `Layer '${nameOf(layer)}' (${layer.class_name}) has the dtype policy ` +
        `${policy.class_name} '${name}', whose quantised weights tfjs cannot read. Save the ` +
        'model before you quantise it, and let the converter quantise it instead ' +
        '(--quantize_uint8=*).',
    );
  }
  const plain = /^(mixed_|b?float)/.test(name) ? 'float32' : name;
  if (plain === dtype) return;
  layer.config.dtype = plain;
  log(
    'dtype',
    nameOf(layer),
    `dtype ${typeof dtype === 'string' ? dtype : `policy '${name}'`} becomes ${plain}.`,
  );
};
