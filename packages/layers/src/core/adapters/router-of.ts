import type {Tensor} from '@tensorflow/tfjs-core';
import * as tf from '@tensorflow/tfjs-core';
import {ConfigError, describe} from '@tfjs-peft/kernels';
import {
  createRouter,
  type Router,
  type RouterConfig,
  type RouterView,
  type Routing,
} from '@tfjs-peft/routers';
import type {AdapterView} from './adapter.js';

/** A router config inside an adapter config. Leave out `experts`: the adapter sets it. */
export type AdapterRouterConfig = RouterConfig extends infer C
  ? C extends {experts: number}
    ? Omit<C, 'experts'> & {experts?: number}
    : C
  : never;

/** Makes the router of an adapter; by default a softmax router, which merges all experts softly. */
export function routerOf(
  what: string,
  experts: number,
  config: AdapterRouterConfig | undefined,
  shows: {delta: boolean} = {delta: false},
): Router {
  const given = config === undefined ? {type: 'softmax' as const} : config;
  if (typeof given !== 'object' || given === null) {
    throw new ConfigError(
      `${what}: router is ${describe(given)}, but must be an object such as {type: 'softmax'}.`,
    );
  }
  if (given.experts !== undefined && given.experts !== experts) {
    throw new ConfigError(
      `${what}: router.experts is ${describe(given.experts)}, but the adapter has ${experts} experts. ` +
        'Leave out router.experts.',
    );
  }
  const router = createRouter({...given, experts} as RouterConfig);
  if (router.needs?.delta && !shows.delta) {
    throw new ConfigError(
      `${what}: router ${describe(given.type)} reads the output of a module that all experts share, ` +
        'but this adapter has none. Set another router, or use a lime adapter.',
    );
  }
  return router;
}

/** Inputs of a router that differ from those of its adapter. */
export type Streams = Partial<Pick<RouterView, 'input' | 'base' | 'delta' | 'context'>>;

/** Routes a batch and passes the decision to the site. */
export function routeAt(router: Router, view: AdapterView, streams: Streams = {}): Routing {
  const {training, withLoss = training} = view;
  const {input = view.input, context = view.context, delta} = streams;
  const columns = router.needs?.base;
  const base = streams.base ?? (columns ? leadingOutput(view, columns) : undefined);
  const routing = router.route({
    input,
    training,
    withLoss,
    ...(base && {base}),
    ...(delta && {delta}),
    ...(context && {context}),
  });
  view.observe?.(routing);
  return routing;
}

/** The first `columns` columns of x W + b. */
function leadingOutput({kernel, bias, project}: AdapterView, columns: number): Tensor {
  const {h} = project({a: tf.slice(kernel, [0, 0], [kernel.shape[0], columns]), frozen: true});
  return bias === undefined ? h : tf.add(h, tf.slice(bias, [0], [columns]));
}

/** The router's config for the config of its adapter: without `experts`. */
export function configOf(router: Router): AdapterRouterConfig {
  const {experts: _, ...config} = router.getConfig();
  return config;
}
