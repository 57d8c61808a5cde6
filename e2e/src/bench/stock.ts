import * as training from '@tfjs-peft/kernels/wasm-training';

export type Side = 'ours' | 'baseline';

/**
 * Baselines run on tfjs as it ships: our replacements of its wasm kernels and gradients are taken out around each baseline round.
 * Importing this module registers them, which is what a user of ours has.
 */
export function kernelsFor(backend: string): (side: Side) => void {
  if (backend !== 'wasm') return () => {};
  return (side) => (side === 'ours' ? training.register() : training.unregister());
}
