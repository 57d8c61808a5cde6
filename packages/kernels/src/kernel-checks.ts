import type {TensorInfo} from '@tensorflow/tfjs-core';
import {ShapeError} from './errors.js';
import {type Axes, KERNELS, type KernelName, type Row, type Shapes, type Sizes} from './kernel-map.js';
import {matrixShape} from './leading-axes.js';

/** One input of a rule, read. */
interface Input {
  name: string;
  optional: boolean;
  /** undefined for any axes. */
  axes: string[] | undefined;
}

const read = new WeakMap<Axes, Input[]>();

/** A row of the map, whatever its attributes. */
type AnyRow = Row<Axes, Record<string, unknown>, 'one' | 'list'>;

function inputsOf({axes}: AnyRow, attrs: Record<string, unknown>, shapes: Shapes): Input[] {
  const table = typeof axes === 'function' ? axes(attrs, shapes) : axes;
  let inputs = read.get(table);
  if (inputs === undefined) {
    inputs = Object.entries(table).map(([name, list]) => ({
      name: name.replace('?', ''),
      optional: name.endsWith('?'),
      axes: list === '*' ? undefined : list.split(' '),
    }));
    read.set(table, inputs);
  }
  return inputs;
}

/** The shapes that the kernel gets to see; see leading-axes.ts. */
function shapesOf(kernelName: string, inputs: Record<string, TensorInfo>, leading?: number[]): Shapes {
  const shapes: Shapes = {};
  for (const name in inputs) {
    const shape = inputs[name]?.shape;
    if (shape === undefined) continue;
    shapes[name] = shape;
    if (leading === undefined || shape.length <= 2) continue;
    if (leading.some((size, axis) => size !== shape[axis])) {
      throw new ShapeError(
        `${kernelName}: ${name} has shape [${shape}], but must begin with the axes [${leading}].`,
      );
    }
    shapes[name] = matrixShape(shape, leading);
  }
  return shapes;
}

function refuse(kernelName: string, shapes: Shapes, complaint: string): never {
  const all = Object.entries(shapes).map(([name, shape]) => `${name} [${shape}]`);
  throw new ShapeError(`${kernelName}: ${complaint}. Its inputs are ${all.join(', ') || 'none'}.`);
}

/**
 * Throws unless the inputs of a kernel of ours fit each other and its attributes, before anything is read or
 * written.
 *
 * @throws ShapeError if an input is missing, or of a dtype, rank or size that does not fit; ConfigError
 * if an attribute that says how they fit is none that the kernel has.
 */
export function checkCall(
  kernelName: KernelName,
  inputs: Record<string, TensorInfo>,
  attrs: Record<string, unknown>,
): void {
  // Attributes are whatever the caller gave: a row reads those that it needs and refuses invalid values.
  const rule = KERNELS[kernelName] as unknown as AnyRow;
  const shapes = shapesOf(kernelName, inputs, attrs.leading as number[] | undefined);
  const sizes: Sizes = {};
  const dtypes = rule.dtypes?.(attrs);
  let any: readonly number[] | undefined;
  for (const {name, optional, axes} of inputsOf(rule, attrs, shapes)) {
    const shape = shapes[name];
    if (shape === undefined) {
      if (optional) continue;
      refuse(kernelName, shapes, `${name} is missing`);
    }
    const {dtype} = inputs[name]!;
    const wanted = dtypes?.[name] ?? 'float32';
    if (dtype !== wanted) refuse(kernelName, shapes, `${name} is ${dtype}, but must be ${wanted}`);
    if (axes === undefined) {
      any ??= shape;
      if (!sameShape(shape, any)) refuse(kernelName, shapes, misfit(name, shape, any));
      continue;
    }
    let fits = shape.length === axes.length;
    for (let i = 0; fits && i < axes.length; i++) {
      const axis = axes[i]!;
      sizes[axis] ??= axis === '1' ? 1 : shape[i]!;
      fits = sizes[axis] === shape[i];
    }
    if (!fits)
      refuse(
        kernelName,
        shapes,
        misfit(
          name,
          shape,
          axes.map((axis) => sizes[axis] ?? axis),
        ),
      );
  }
  const complaint = rule.also?.(sizes, attrs, shapes);
  if (complaint !== undefined) refuse(kernelName, shapes, complaint);
}

const misfit = (name: string, shape: readonly number[], want: readonly (number | string)[]): string =>
  `${name} has shape [${shape}], but must be [${want}]`;

function sameShape(a: readonly number[], b: readonly number[]): boolean {
  return a.length === b.length && a.every((size, axis) => size === b[axis]);
}
