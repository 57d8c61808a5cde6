import {shared} from '@tfjs-peft/kernels';

/** The Peft of each upgraded model, whichever copy of this package made it. */
export const upgrades = shared('layers.upgrades', () => new WeakMap<object, object>());
