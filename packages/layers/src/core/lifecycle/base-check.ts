import {WeightMismatchError} from '@tfjs-peft/kernels';
import {type AdapterFile, listProblems, sameShape} from '../io/adapter-file.js';
import type {AdaptedModel} from './adapted-model.js';
import {comparedWeights} from './weights.js';

/**
 * Checks that a model's frozen weights are those that a file was saved with.
 *
 * @throws WeightMismatchError naming those that are not.
 */
export async function checkBase(
  state: Pick<AdaptedModel, 'frozenWeights'>,
  file: AdapterFile,
): Promise<void> {
  const base = await comparedWeights(state, file);
  if (base.sha256 === file.base.sha256) return;
  if (base.halves && sameButRounded(base, file)) return;
  const problems: string[] = [];
  // Layers of one name in different places can make a name occur twice.
  const own = new Map(base.weights.map((weight) => [weight.name, weight]));
  const theirs = new Map(file.base.weights.map((weight) => [weight.name, weight]));
  for (const [name, {shape, sha256}] of theirs) {
    const found = own.get(name);
    if (found === undefined) problems.push(`'${name}' is missing in the model`);
    else if (!sameShape(found.shape, shape)) {
      problems.push(`'${name}' is [${found.shape}] in the model, but [${shape}] in the file`);
    } else if (found.sha256 !== sha256) problems.push(`'${name}' has other values`);
  }
  for (const name of own.keys()) if (!theirs.has(name)) problems.push(`'${name}' is not in the file`);
  if (problems.length === 0) problems.push('the frozen weights are in another order');
  const unsketched = base.halves && file.base.weights.some(({sketch}) => sketch === undefined);
  fail(
    problems,
    'The file was saved with other base weights',
    unsketched
      ? 'They may be the same: this device rounds weights to float16 once it computes with them, and a ' +
          'file of an earlier ' +
          'version cannot tell. Load it before the model has run, or pass {ignoreBase: true} if you know ' +
          'that it fits.'
      : 'Load it into the base model it was saved with, or pass {ignoreBase: true} to load it anyway.',
  );
}

/** Whether the weights are the file's, in its order, exactly or up to rounding to float16. */
function sameButRounded(
  {weights, fits}: Awaited<ReturnType<typeof comparedWeights>>,
  {base}: AdapterFile,
): boolean {
  return (
    weights.length === base.weights.length &&
    weights.every(({name, shape, sha256}, i) => {
      const theirs = base.weights[i]!;
      const same = name === theirs.name && sameShape(shape, theirs.shape);
      return same && (sha256 === theirs.sha256 || fits[i]!);
    })
  );
}

/** @throws WeightMismatchError naming the problems, if there are any. */
export function fail(problems: readonly string[], what: string, wayOut: string): void {
  if (problems.length > 0) throw new WeightMismatchError(`${what}: ${listProblems(problems)}. ${wayOut}`);
}
