import * as tfl from '@tensorflow/tfjs-layers';
import {shared} from '@tfjs-peft/kernels';
import {isAdapterWeight} from '../../core/sites/adapter-slot.js';
import {inside, isBidirectional, type Layer} from '../../core/tfjs/internals.js';

type Variable = tfl.LayerVariable;

/** Positions of the weights of a base, from before it had adapters. */
const ranks = shared('layers.weight-ranks', () => new WeakMap<Variable, number>());

/** Remembers the order of a model that has no adapters yet. */
export function rememberOrder(model: {weights: Variable[]}): void {
  for (const [rank, variable] of [...new Set(model.weights)].entries()) ranks.set(variable, rank);
}

/** How many lists of weights are being made that must not change with what is packed. */
const listing = shared('layers.weight-lists', () => ({depth: 0}));

/** Whether a list of weights is being made in which packed weights stand where plain ones would. */
export function isListing(): boolean {
  return listing.depth > 0;
}

/** Lets layers list packed weights where they were before; stock lists frozen ones last. */
export function listPackedInPlace(): void {
  // Containers list theirs by themselves.
  for (const {prototype} of [tfl.layers.Layer, Object.getPrototypeOf(tfl.LayersModel)]) {
    const {get: stock} = Object.getOwnPropertyDescriptor(prototype, 'weights')!;
    Object.defineProperty(prototype, 'weights', {
      configurable: true,
      get(this: Layer): Variable[] {
        listing.depth++;
        try {
          return stock!.call(this);
        } finally {
          listing.depth--;
        }
      },
    });
  }
}

/**
 * Lets models with adapters list their weights in one order, and so `getWeights`, `setWeights` and files,
 * whichever adapter is active: the base's weights as they were before the upgrade, then those of adapters as
 * they came. Stock lists what is trained now first; models without adapters keep that order.
 */
export function orderWeights(): void {
  const {prototype} = tfl.LayersModel;
  const {get: stock} = Object.getOwnPropertyDescriptor(Object.getPrototypeOf(prototype), 'weights')!;
  Object.defineProperty(prototype, 'weights', {
    configurable: true,
    get(this: tfl.LayersModel): Variable[] {
      const weights = stock!.call(this) as Variable[];
      return weights.some(isAdapterWeight) ? weights.sort(compare) : weights;
    },
  });
}

/** The base's first, by rank; then what came later. Ids go up in the order in which weights are made. */
function compare(a: Variable, b: Variable): number {
  const rank = (variable: Variable) => ranks.get(variable) ?? Number.MAX_SAFE_INTEGER;
  const later = (variable: Variable) => (isAdapterWeight(variable) ? 1 : 0);
  return later(a) - later(b) || rank(a) - rank(b) || a.id - b.id;
}

/**
 * Wrappers that list the weights of what they wrap in the order of their own
 * `getWeights`, until this is undone.
 */
export class WrapperOrder {
  private readonly wrappers = new Set<Layer>();

  keep(wrapper: Layer): void {
    if (this.wrappers.has(wrapper) || Object.hasOwn(wrapper, 'weights')) return;
    this.wrappers.add(wrapper);
    const inner = () =>
      isBidirectional(wrapper)
        ? [wrapper.forwardLayer, wrapper.backwardLayer]
        : [inside<{layer: Layer}>(wrapper).layer];
    Object.defineProperty(wrapper, 'weights', {
      configurable: true,
      get: () => inner().flatMap(({weights}) => weights),
    });
  }

  end(): void {
    for (const wrapper of this.wrappers) delete (wrapper as {weights?: unknown}).weights;
    this.wrappers.clear();
  }
}
