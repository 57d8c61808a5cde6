import {registerAdam, unregisterAdam} from '@tfjs-peft/kernels';
import * as training from '@tfjs-peft/kernels/wasm-training';

export type Side = 'ours' | 'baseline';

/**
 * Baselines run on tfjs as it ships: our replacements of its wasm kernels and gradients, and of its Adam, are
 * taken out around each baseline round. On the backend 'none' both sides have ours. Importing this module
 * registers them, which is what a user of ours has.
 */
export function kernelsFor(backend: string): (side: Side) => void {
  if (backend === 'none') return () => {};
  const wasm = backend === 'wasm';
  return (side) => {
    if (side === 'ours') {
      if (wasm) training.register();
      registerAdam();
    } else {
      if (wasm) training.unregister();
      unregisterAdam();
    }
  };
}
