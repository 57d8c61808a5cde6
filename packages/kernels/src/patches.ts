import * as tf from '@tensorflow/tfjs-core';
import {shared} from './shared.js';

/*
 * The one way in which anything of ours gets in front of what tfjs has: a kernel, a gradient, a method. A
 * slot of tfjs holds one value. Each reason to change it is a layer over the value that was found there. So
 * all layers can be applied, taken out, and applied again where tfjs, a backend or another library has
 * written over them.
 */

/** Why something of ours is in a slot of tfjs. */
export type Reason =
  | 'composed'
  | 'fused'
  | 'training'
  | 'axis'
  | 'dtype'
  | 'value'
  | 'bounds'
  | 'shapes'
  | 'memory'
  | 'gradients';

/** From the inside out: of several layers the last one is called first. */
const REASONS = [
  'composed',
  'fused',
  'training',
  'axis',
  'dtype',
  'value',
  'bounds',
  'shapes',
  'memory',
  'gradients',
] as const satisfies Reason[];

/** A place in tfjs that holds one value. */
export interface Slot<T extends object> {
  /** Names the place, alike in every copy of this package. */
  key: string;
  read(): T | undefined;
  /** undefined leaves the place empty. */
  write(value: T | undefined): void;
  /** Whether tfjs's own value, if it has one, is there by now. */
  ready(): boolean;
}

/** What one reason puts in a slot. */
export interface Patch<T extends object> {
  slot: Slot<T>;
  reason: Reason;
  /** Makes our value from the one that it wraps; undefined while there is nothing to wrap. */
  make(inner: T | undefined): T | undefined;
}

interface Layer<T extends object> {
  make: Patch<T>['make'];
  /** The entry points that want it. */
  owners: Set<string>;
}

interface Patched<T extends object> {
  slot: Slot<T>;
  layers: Map<Reason, Layer<T>>;
  /** `stock` is undefined where tfjs has nothing in the slot. */
  active?: {ours: T; stock: T | undefined} | undefined;
}

// biome-ignore lint/suspicious/noExplicitAny: each patch knows the type of its own slot.
export type AnyPatch = Patch<any>;
type AnyPatched = Patched<AnyPatch extends Patch<infer T> ? T : never>;

/** Shared, since a second copy of this package would take the first one's kernels for the stock ones. */
const patched = shared('kernels.patches', () => new Map<string, AnyPatched>());

/** The owner of what ops need when they run. */
const ON_DEMAND = 'on demand';

/** Marks our functions with the reasons for them. */
const MARK = Symbol.for('tfjs-peft.reasons');

function applyTo<T extends object>(one: Patched<T>): void {
  const {slot, layers, active} = one;
  if (layers.size === 0 || !slot.ready()) return;
  const stock = slot.read();
  if (stock !== undefined && stock === active?.ours) return;
  const reasons: Reason[] = [];
  let ours = stock;
  for (const reason of REASONS) {
    const made = layers.get(reason)?.make(ours);
    if (made === undefined) continue;
    ours = made;
    reasons.push(reason);
  }
  if (ours === undefined || reasons.length === 0) return;
  Object.defineProperty(functionOf(ours), MARK, {value: reasons, configurable: true});
  slot.write(ours);
  one.active = {ours, stock};
}

/**
 * Restores the stock value, unless somebody else has replaced ours, and applies the patches that are still
 * wanted.
 */
function renew<T extends object>(one: Patched<T>): void {
  const {slot, layers, active} = one;
  one.active = undefined;
  if (active !== undefined && slot.read() === active.ours) slot.write(active.stock);
  if (layers.size === 0) patched.delete(slot.key);
  else applyTo(one);
}

/** The function in a kernel's or a gradient's config, or the value itself. */
function functionOf(value: object): object {
  const {kernelFunc, gradFunc}: Partial<tf.KernelConfig & tf.GradConfig> = value;
  return kernelFunc ?? gradFunc ?? value;
}

function put(owner: string, patches: readonly AnyPatch[]): void {
  for (const {slot, reason, make} of patches) {
    const one: AnyPatched = patched.get(slot.key) ?? {slot, layers: new Map()};
    patched.set(slot.key, one);
    const layer = one.layers.get(reason);
    layer?.owners.add(owner);
    if (layer === undefined) one.layers.set(reason, {make, owners: new Set([owner])});
    if (layer === undefined) renew(one);
    else applyTo(one);
  }
  watchBackends();
}

function take(owner: string): void {
  for (const one of [...patched.values()]) {
    const {layers} = one;
    const before = layers.size;
    for (const [reason, {owners}] of [...layers]) {
      if (owners.delete(owner) && owners.size === 0) layers.delete(reason);
    }
    if (layers.size < before) renew(one);
  }
  watchBackends();
}

/**
 * All that an entry point puts in front of stock. Where two entry points want the same patch, it stays until
 * neither does.
 */
export class PatchSet {
  /**
   * @param owner Names the entry point, alike in every copy of this package.
   * @param patches Gives its patches.
   */
  constructor(
    private readonly owner: string,
    private readonly patches: () => readonly AnyPatch[],
  ) {}

  /**
   * Applies all of it, and applies it again where tfjs has written over it. Doing so twice is doing it once.
   */
  apply(): void {
    put(this.owner, this.patches());
  }

  /**
   * Removes all of it, and the patches that ops have applied on demand; ops apply these again when they run.
   */
  restore(): void {
    take(this.owner);
    take(ON_DEMAND);
  }
}

/** Applies what an op needs to run; it stays until an entry point is unregistered. */
export function applyOnDemand(patches: readonly AnyPatch[]): void {
  put(ON_DEMAND, patches);
}

/** Takes out one patch, whoever wants it. */
export function withdraw({slot, reason}: AnyPatch): void {
  const one = patched.get(slot.key);
  if (one?.layers.delete(reason)) renew(one);
  watchBackends();
}

/**
 * Applies all patches again where tfjs, imported later, has written over them. For the packages of tfjs-peft.
 *
 * @example
 * ```ts
 * import {reapplyPatches} from '@tfjs-peft/kernels';
 *
 * reapplyPatches();
 * ```
 */
export function reapplyPatches(): void {
  for (const one of [...patched.values()]) applyTo(one);
}

/**
 * Why a kernel's or gradient's function is one of ours; empty if it is not. For the packages of tfjs-peft.
 *
 * @example
 * ```ts
 * import {patchReasons} from '@tfjs-peft/kernels';
 *
 * const reasons = patchReasons(undefined); // []
 * ```
 */
export function patchReasons(func: object | undefined): readonly Reason[] {
  return (func as {[MARK]?: readonly Reason[]} | undefined)?.[MARK] ?? [];
}

/** What tfjs itself has in a slot that is patched now. */
export function stockOf<T extends object>({key}: Slot<T>): T | undefined {
  return patched.get(key)?.active?.stock;
}

const BACKENDS = ['cpu', 'wasm', 'webgl', 'webgpu'];
const SETUP = 'PeftSetup';

/**
 * A backend that is imported after this package registers its kernels late, or over ours. But tfjs lets every
 * kernel set itself up when its backend becomes the active one, and the kernel registered here does nothing
 * but that. So the order of imports does not matter.
 */
function watchBackends(): void {
  for (const backendName of BACKENDS) {
    const there = tf.getKernel(SETUP, backendName) != null;
    if (patched.size === 0 && there) tf.unregisterKernel(SETUP, backendName);
    if (patched.size === 0 || there) continue;
    tf.registerKernel({kernelName: SETUP, backendName, setupFunc: reapplyPatches, kernelFunc: () => []});
  }
}
