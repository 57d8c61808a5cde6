import type {Tensor} from '@tensorflow/tfjs-core';
import * as tf from '@tensorflow/tfjs-core';
import {ConfigError} from '@tfjs-peft/kernels';
import {createRouter, type Router, type RouterConfig, type Routing} from '@tfjs-peft/routers';
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
  const given = config ?? {type: 'softmax'};
  if (typeof given !== 'object') {
    throw new ConfigError(
      `${what}: router is ${JSON.stringify(given)}, but must be an object such as {type: 'softmax'}.`,
    );
  }
  if (given.experts != null && given.experts !== experts) {
    throw new ConfigError(
      `${what}: router.experts is ${given.experts}, but the adapter has ${experts} experts. Leave router.experts out.`,
    );
  }
  const router = createRouter({...given, experts} as RouterConfig);
  if (router.needs?.delta && !shows.delta) {
    throw new ConfigError(
      `${what}: router '${given.type}' reads the output of a module that all experts share, which there is none of here. ` +
        'Set another router, or use it with lime.',
    );
  }
  return router;
}

/** Routes a batch and shows the decision to the site. */
export function routeAt(router: Router, view: AdapterView): Routing {
  const {input, training, context} = view;
  const base = router.needs?.base;
  const routing = router.route({
    input,
    training,
    ...(base && {base: leadingOutput(view, base)}),
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
