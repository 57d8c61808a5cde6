import type {CombineParts, Scale} from '@tfjs-peft/kernels';

/**
 * Where a scaling adapter acts: after the activation, l ∘ act(x W + b), as at the feed-forward site of the
 * paper; or before it, act(l ∘ (x W + b)). For a linear projection, such as keys and values, both are the
 * same.
 */
export const SCALE_POSITIONS: readonly ScalePosition[] = ['after-activation', 'before-activation'];

export type ScalePosition = 'after-activation' | 'before-activation';

export function scaledAt(position: ScalePosition, scale: Scale): CombineParts {
  return position === 'after-activation' ? {post: scale} : {alpha: scale};
}
