import type {KernelBackend, TensorInfo} from '@tensorflow/tfjs-core';
import type {CombineAttrs, ScaleName} from '../ops/combine.js';

/** The combine kernel's inputs by name. */
export type Named = Record<string, TensorInfo | undefined>;

/** What a program writes: the output itself, or one of the values that a gradient keeps. */
export type Stage = 'y' | 'z' | 'u';

export const SCALE_NAMES = ['pre', 'alpha', 'beta', 'post'] as const;

export function scaleKind(inputs: Named, name: ScaleName): 'none' | 'vector' | 'table' {
  if (inputs[`${name}Gates`] !== undefined) return 'table';
  return inputs[name] === undefined ? 'none' : 'vector';
}

function pick(named: Named, names: string[]): Named {
  const parts = names.flatMap((name) => [name, `${name}Gates`, `${name}Table`]);
  return Object.fromEntries(
    parts.filter((part) => named[part] !== undefined).map((part) => [part, named[part]]),
  );
}

function without(named: Named, dropped: Named): Named {
  return Object.fromEntries(Object.entries(named).filter(([name]) => !(name in dropped)));
}

/** The inputs that a stage reads. */
export function usedBy(inputs: Named, stage: Stage): Named {
  const unused =
    stage === 'y' ? [] : stage === 'u' ? ['post'] : ['post', 'h', 'b', 'gates', 'offset', 'alpha', 'beta'];
  return without(inputs, pick(inputs, unused));
}

/**
 * Runs combine on a GPU backend: one program where it can be one. A tfjs program has one output, so what a gradient keeps is written
 * by a program of its own, and the next one starts from it instead of from x: no product is computed twice. More inputs than a
 * program can bind are split in the same way.
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
