import * as tf from '@tensorflow/tfjs-core';
import {ConfigError} from '@tfjs-peft/kernels';
import {own} from '../../core/io/json.js';
import {listNames} from '../../core/messages.js';
import type {Layer} from '../../core/tfjs/internals.js';
import {describe} from './batches.js';

/** What a signature says of a model's outputs: their nodes, by the names that the model was exported with. */
export type OutputSignature = Record<string, {name?: string}>;

/** How one output of a trainer is called, in histories and by its users. */
interface OutputName {
  name: string;
  /** All names that `ys`, `loss` and the like may use for it. */
  known: string[];
}

/**
 * What the outputs of a trainer are called, and lists in their order of what is given by their names.
 *
 * The names of the outputs of a trainer; puts in their order what is given by these names. An output has its
 * name from `outputs`, or that of the head behind it if the head was given a name of its own.
 */
export class OutputNames {
  /** One for each output behind the heads. */
  readonly names: string[];
  /** What each head is called. */
  readonly heads: string[];
  private readonly places = new Map<string, number>();

  /**
   * @param nodes Names of nodes or of outputs of the signature.
   * @param given What the trainer's options say of them; undefined for the model's outputs.
   * @param heads One for each output, or one behind all.
   */
  constructor(
    nodes: readonly string[],
    given: readonly string[] | undefined,
    heads: readonly (Layer | null)[],
    signature: OutputSignature,
  ) {
    const outputs = nodes.map((name, i) => outputName(name, given?.[i], signature));
    const ends = heads.length === outputs.length ? outputs.map((output) => [output]) : [outputs];
    const behind = ends.map((outputs, i) => namesBehind(outputs, heads[i] ?? null));
    const named = behind.flat();
    this.names = unique(named.map(({name}) => name));
    this.heads = unique(behind.map((names) => names.map(({name}) => name).join('+')));
    const aliases = named.flatMap(({known}, i) => [...new Set(known)].map((name) => [name, i] as const));
    for (const [name, i] of aliases) {
      if (aliases.filter(([other]) => other === name).length === 1) this.places.set(name, i);
    }
    for (const [i, name] of this.names.entries()) this.places.set(name, i);
  }

  /**
   * The value for each output, undefined where none was given.
   *
   * @param what How errors call it.
   * @param given One for all, if `shared` says so, or for the only output; a list; or by the outputs' names.
   * @param isOne Whether a value is what one output takes.
   * @throws ConfigError if the list has another length, a name is unknown, or there is too little.
   */
  list<T>(
    what: string,
    given: T | readonly T[] | Readonly<Record<string, T>>,
    isOne: (value: unknown) => boolean,
    {shared = false, partial = false}: {shared?: boolean; partial?: boolean} = {},
  ): (T | undefined)[] {
    const {names} = this;
    const all = listNames(names);
    if (isOne(given)) {
      if (names.length === 1 || shared) return names.map(() => given as T);
      throw new ConfigError(
        `${what}: got one value, but the trainer has ${names.length} outputs. Pass a list, or ` +
          `an object with a value for each of ${all}.`,
      );
    }
    if (Array.isArray(given)) {
      if (given.length === names.length) return [...(given as T[])];
      throw new ConfigError(
        `${what}: got a list of ${given.length}, but the number of outputs is ${names.length}. ` +
          `Pass one value for each of ${all}.`,
      );
    }
    if (typeof given !== 'object' || given === null) {
      throw new ConfigError(
        `${what}: an output cannot take ${describe(given)}. Pass one value for each of ${all}.`,
      );
    }
    const found = names.map((): T | undefined => undefined);
    for (const [name, value] of Object.entries(given as Record<string, T>)) {
      const place = this.places.get(name);
      if (place === undefined) {
        throw new ConfigError(`${what}: the trainer has no output '${name}'. Use one of: ${all}.`);
      }
      found[place] = value;
    }
    const missing = names.filter((_, i) => found[i] === undefined);
    if (missing.length > 0 && !partial) {
      throw new ConfigError(
        `${what}: the output ${missing.map((name) => `'${name}'`).join(', ')} has no value. ` +
          `Pass one value for each of ${all}.`,
      );
    }
    return found;
  }

  /** Tensors, one for each output. */
  tensors(
    what: string,
    given: tf.Tensor | tf.Tensor[] | tf.NamedTensorMap,
    options?: {shared?: boolean; partial?: boolean},
  ): (tf.Tensor | undefined)[] {
    return this.list<tf.Tensor>(what, given, (value) => value instanceof tf.Tensor, options);
  }
}

function outputName(node: string, given: string | undefined, signature: OutputSignature): OutputName {
  const bare = (name: string | undefined) => name?.replace(/:0$/, '');
  const inner = bare(own(signature, node)?.name);
  const exported = Object.entries(signature).find(([, {name}]) => bare(name) === node)?.[0];
  const known = [node, inner, exported].filter((name) => name !== undefined);
  return {name: given ?? exported ?? node, known};
}

/** The names of the outputs of a head. */
function namesBehind(outputs: OutputName[], head: Layer | null): OutputName[] {
  if (head === null) return outputs;
  const {outputNames = []} = head as Partial<{outputNames: string[]}>;
  if (outputNames.length > 1) return outputNames.map((name) => ({name, known: [name]}));
  const [output] = outputs;
  const known = outputs.length === 1 ? [...output!.known, head.name] : [head.name];
  const name = isAutomatic(head) ? outputs.map(({name}) => name).join('+') : head.name;
  return [{name, known}];
}

/** Whether tfjs-layers made a layer's name up. */
function isAutomatic(layer: Layer): boolean {
  const {name} = layer;
  const tail = /^(.*?)\d+$/.exec(name)?.[1];
  const className = layer.getClassName();
  return (
    tail !== undefined &&
    (tail.endsWith(`_${className}`) || tail === className.toLowerCase() || tail === 'sequential_')
  );
}

/** Repeated names get a number, as in tfjs-layers. */
function unique(names: readonly string[]): string[] {
  const taken = new Set<string>();
  return names.map((name) => {
    let free = name;
    for (let copy = 1; taken.has(free); copy++) free = `${name}_${copy}`;
    taken.add(free);
    return free;
  });
}
