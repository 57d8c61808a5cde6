import {ConfigError, shared} from '@tfjs-peft/kernels';

/** For each model the last call that waits or runs. */
const last = shared('layers.calls', () => new WeakMap<object, Promise<unknown>>());

/**
 * Runs what changes or reads a model in several steps after all calls on that model that came before, whether they succeed or not: so
 * each of them finds what it checked still true after it has waited for a file. The first begins at once.
 */
export function inTurn<T>(model: object, run: () => Promise<T>): Promise<T> {
  // What is no object is no model either, and has nothing to wait for.
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

/** GraphModels that a trainer trains now. A LayersModel says it itself. By model: a trainer of heads alone has no upgrade to tell. */
const trained = shared('layers.trained', () => new WeakSet<object>());

/**
 * Runs what trains a GraphModel. Until it ends, whatever would change the model is refused.
 *
 * @throws ConfigError if the model is being trained already.
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

/** @throws ConfigError if a trainer trains the model now. */
export function checkIdle(model: object): void {
  if (trained.has(model)) {
    throw new ConfigError('The GraphModel is being trained. Wait for fit to end, or stop it.');
  }
}
