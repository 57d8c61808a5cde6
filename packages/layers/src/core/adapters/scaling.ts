import type {CombineParts, Scale} from '@tfjs-peft/kernels';

/**
 * Where a scaling adapter acts on the output: after the activation, l ∘ act(x W + b), which is the paper's feed-forward site; or
 * before it, act(l ∘ (x W + b)). For a linear projection, such as the keys' and values', the two are one.
 */
export const SCALE_POSITIONS: readonly ScalePosition[] = ['after-activation', 'before-activation'];

export type ScalePosition = 'after-activation' | 'before-activation';

export function scaledAt(position: ScalePosition, scale: Scale): CombineParts {
  return position === 'after-activation' ? {post: scale} : {alpha: scale};
}
