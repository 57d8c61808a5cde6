import {inTurn} from '../core/lifecycle/model-lock.js';
import {withoutBeside} from '../core/lifecycle/side-host.js';

/** Changes a model in its turn, and without the side network that it may have. */
export function inBase<T>(model: object, change: () => Promise<T>): Promise<T> {
  return inTurn(model, () => withoutBeside(model, change));
}
