import {ConfigError, shared} from '@tfjs-peft/kernels';

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
