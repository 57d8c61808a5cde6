import type {KernelBackend, TensorInfo} from '@tensorflow/tfjs-core';
import type {CombineAttrs} from '../kernel-attrs.js';
import type {KernelInputs} from '../kernel-map.js';
import type {ScaleName} from '../types.js';

/** The combine kernel's inputs by name. */
export type Named = KernelInputs<'PeftCombine'>;

/** What a program writes: the output itself, or one of the values that a gradient keeps. */
export type Stage = 'y' | 'z' | 'u';

export function scaleKind(inputs: Named, name: ScaleName): 'none' | 'vector' | 'table' {
  if (inputs[`${name}Gates`] !== undefined) return 'table';
  return inputs[name] === undefined ? 'none' : 'vector';
}

type Input = keyof Named;

const inputsOf = (named: Named): Input[] => Object.keys(named) as Input[];

/** Those of the inputs that belong to the given parts. */
function pick(named: Named, parts: string[]): Named {
  const wanted = new Set(parts.flatMap((part) => [part, `${part}Gates`, `${part}Table`]));
  return Object.fromEntries(
    inputsOf(named)
      .filter((name) => wanted.has(name))
      .map((name) => [name, named[name]]),
  );
}

function without(named: Named, dropped: Named): Named {
  return Object.fromEntries(
    inputsOf(named)
      .filter((name) => !(name in dropped))
      .map((name) => [name, named[name]]),
  );
}

/** The inputs that a stage reads. */
export function usedBy(inputs: Named, stage: Stage): Named {
  const unused =
    stage === 'y' ? [] : stage === 'u' ? ['post'] : ['post', 'h', 'b', 'gates', 'offset', 'alpha', 'beta'];
  return without(inputs, pick(inputs, unused));
}

/**
 * Runs combine on a GPU backend, in a single program where possible. A tfjs program has one output, so a
 * separate program writes each value that the gradient keeps, and the next program starts from that value
 * instead of from x: no product is computed twice. A combine with more inputs than one program can bind is
 * split in the same way.
 */
export function combineStages(
  backend: KernelBackend,
  named: Named,
  {saveZ, saveU}: CombineAttrs,
  maxInputs: number,
  runStage: (inputs: Named, stage: Stage) => TensorInfo,
): TensorInfo[] {
  const temporary: TensorInfo[] = [];
  const kept: TensorInfo[] = [];
  const tooMany = (inputs: Named): boolean => Object.keys(inputs).length > maxInputs;
  const stage = (inputs: Named, which: Stage, keep: boolean): TensorInfo => {
    const result = runStage(inputs, which);
    (keep ? kept : temporary).push(result);
    return result;
  };
  let rest = named;
  if (saveZ || (named.x !== undefined && tooMany(named))) {
    const base = pick(named, ['x', 'kernel', 'bias', 'pre', 'z']);
    rest = {z: stage(base, 'z', saveZ), ...without(named, base)};
  }
  const post = pick(rest, ['post']);
  const alpha = pick(rest, ['alpha']);
  if (rest.z !== undefined && tooMany(without(rest, post)) && Object.keys(alpha).length > 0) {
    rest = {z: stage({z: rest.z, ...alpha}, 'u', false), ...without(without(rest, alpha), {z: rest.z})};
  }
  if (saveU || tooMany(rest)) rest = {z: stage(without(rest, post), 'u', saveU), ...post};
  const y = runStage(rest, 'y');
  for (const {dataId} of temporary) backend.disposeData(dataId);
  return [y, ...kept];
}
