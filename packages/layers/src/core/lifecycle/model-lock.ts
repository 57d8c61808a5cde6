import {ConfigError, shared} from '@tfjs-peft/kernels';

/** For each model, the last call that waits or runs. */
const last = shared('layers.calls', () => new WeakMap<object, Promise<unknown>>());

/**
 * Runs a change of a model after all earlier calls on that model, whether they succeed or not. So what a call
 * checked before it waited for a file is still true afterwards. The first call starts at once.
 */
export function inTurn<T>(model: object, run: () => Promise<T>): Promise<T> {
  // A value that is not an object is not a model, and nothing waits for it.
  if (typeof model !== 'object' || model === null) return run();
  const before = last.get(model);
  const result = before === undefined ? run() : before.then(run);
  const settled = result.then(
    () => {},
    () => {},
  );
  last.set(model, settled);
  settled.then(() => {
    if (last.get(model) === settled) last.delete(model);
  });
  return result;
}

/**
 * {@link inTurn} for calls on what a model has been given. If they fail because that ended while they waited,
 * the error is `checkLive`'s, which says so.
 */
export function inTurnOf<T>(model: object, checkLive: () => void, run: () => Promise<T>): Promise<T> {
  return inTurn(model, async () => {
    try {
      return await run();
    } catch (error) {
      checkLive();
      throw error;
    }
  });
}

/**
 * GraphModels in training. (A LayersModel knows this itself.) Kept per model: heads train without an upgrade.
 */
const trained = shared('layers.trained', () => new WeakSet<object>());

/**
 * Runs the training of a GraphModel. Until it ends, all changes to the model are refused.
 *
 * @throws ConfigError if the model is already being trained.
 */
export async function whileTraining<T>(model: object, run: () => Promise<T>): Promise<T> {
  checkIdle(model);
  trained.add(model);
  try {
    return await run();
  } finally {
    trained.delete(model);
  }
}

/** Whether a trainer is training the model. */
export function isInTraining(model: object): boolean {
  return trained.has(model);
}

/** @throws ConfigError if a trainer is training the model. */
export function checkIdle(model: object): void {
  if (isInTraining(model)) {
    throw new ConfigError('The GraphModel is being trained. Wait for fit to end, or stop it.');
  }
}
