import type * as tfl from '@tensorflow/tfjs-layers';
import {inside} from '../../core/tfjs/internals.js';

type Layer = tfl.layers.Layer;
type Members = Record<string, unknown>;

/**
 * Members that each layer has for itself: its identity, its place in the graph, and the weights that it
 * lists.
 */
const OF_EACH_LAYER: ReadonlySet<string> = new Set([
  'constructor',
  'id',
  'name',
  'inboundNodes',
  'outboundNodes',
  '_refCount',
  '_callHook',
  'built',
  '_built',
  'initialWeights',
  'fastWeightInitDuringBuild',
  '_addedWeightNames',
  'trainable',
  'trainable_',
  'weights',
  'trainableWeights',
  'nonTrainableWeights',
  '_trainableWeights',
  '_nonTrainableWeights',
  'getWeights',
  'setWeights',
  'countParams',
  'dispose',
  'disposeWeights',
  'losses',
  '_losses',
  '_updates',
]);

/** Fields of tfjs's Layer that a stand-in shares with the layer that it replaces. */
const SHARED: ReadonlySet<string> = new Set([
  'inputSpec',
  'supportsMasking',
  'activityRegularizer',
  'batchInputShape',
  'dtype',
  '_stateful',
]);

/**
 * Methods that act on the place of the layer in the graph, and so on the stand-in, which has that place. All
 * others act on the layer itself.
 */
const ON_STAND_IN: ReadonlySet<string> = new Set(['addInboundNode', 'setMaskMetadata', 'calculateLosses']);

/**
 * Makes one layer look like another that does its work: the first gets all fields and methods of the second
 * that it lacks. So methods of the class of the second run on it too, such as an `apply` that does more than
 * that of tfjs.
 */
export class Resemblance {
  /** The stand-in's own members, in itself and in its classes. */
  private readonly own: ReadonlySet<string>;
  /**
   * Whether the inner layer's class has an `apply` of its own, which runs on the
   * stand-in and may leave fields there.
   */
  private readonly hasApply: boolean;

  /** @param outer As its constructor has made it; fields that it gets later are the inner layer's. */
  constructor(
    private readonly outer: Layer,
    private readonly inner: Layer,
  ) {
    const classes = classesOf(outer).flatMap((prototype) => Object.getOwnPropertyNames(prototype));
    const fields = Object.getOwnPropertyNames(outer).filter((name) => !SHARED.has(name));
    this.own = new Set([...OF_EACH_LAYER, ...classes, ...fields]);
    this.hasApply = classesOf(inner).some((prototype) => Object.hasOwn(prototype, 'apply'));
    this.update();
  }

  /** To be called before the inner layer runs: gives it what its class's `apply` has left in the stand-in. */
  handOver(): void {
    if (!this.hasApply) return;
    const outer = inside<Members>(this.outer);
    for (const name of Object.keys(outer)) {
      if (this.own.has(name)) continue;
      inside<Members>(this.inner)[name] = outer[name];
      this.forward(name);
    }
  }

  /** Adds fields that the inner layer has got since. */
  update(): void {
    const {inner, own} = this;
    for (const object of [inner, ...classesOf(inner)]) {
      for (const name of Object.getOwnPropertyNames(object)) if (!own.has(name)) this.forward(name);
    }
    for (const name of SHARED) this.forward(name);
  }

  private forward(name: string): void {
    const {outer} = this;
    if (Object.getOwnPropertyDescriptor(outer, name)?.get !== undefined) return;
    const inner = inside<Members>(this.inner);
    Object.defineProperty(outer, name, {
      get: () => {
        const value = inner[name];
        const isMethod = typeof value === 'function' && !Object.hasOwn(inner, name);
        return isMethod && !ON_STAND_IN.has(name) ? value.bind(inner) : value;
      },
      set: (value: unknown) => {
        inner[name] = value;
      },
      configurable: true,
      enumerable: false,
    });
  }
}

/** The prototypes of a layer's classes below tfjs's Layer, of whatever copy of tfjs-layers. */
function classesOf(layer: Layer): object[] {
  const found: object[] = [];
  let prototype: object | null = Object.getPrototypeOf(layer);
  while (prototype !== null && !Object.hasOwn(prototype, 'addInboundNode')) {
    found.push(prototype);
    prototype = Object.getPrototypeOf(prototype);
  }
  return found;
}
