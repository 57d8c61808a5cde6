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

/** A router config inside an adapter config: the adapter says how many experts there are. */
export type AdapterRouterConfig = RouterConfig extends infer C
  ? C extends {experts: number}
    ? Omit<C, 'experts'> & {experts?: number}
    : C
  : never;

/** The router of an adapter with so many experts; soft merging by default. */
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
      `${what}: router.experts is ${describe(given.experts)}, but the adapter has ${experts} experts. Leave router.experts out.`,
    );
  }
  const router = createRouter({...given, experts} as RouterConfig);
  if (router.needs?.delta && !shows.delta) {
    throw new ConfigError(
      `${what}: router ${describe(given.type)} reads the output of a module that all experts share, which there is none of here. ` +
        'Set another router, or use it with lime.',
    );
  }
  return router;
}

/** What a router sees of an adapter where that is not what the adapter sees of its site. */
export type Streams = Partial<Pick<RouterView, 'input' | 'base' | 'delta' | 'context'>>;

/** Routes a batch and shows the decision to the site. */
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
  const {h} = project({a: tf.slice(kernel, [0, 0], [kernel.shape[0], columns])});
  return bias === undefined ? h : tf.add(h, tf.slice(bias, [0], [columns]));
}

/** The router's config as an adapter's config carries it. */
export function configOf(router: Router): AdapterRouterConfig {
  const {experts: _, ...config} = router.getConfig();
  return config;
}
