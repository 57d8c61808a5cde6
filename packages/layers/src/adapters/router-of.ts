import type {Tensor, Tensor2D} from '@tensorflow/tfjs-core';
import * as tf from '@tensorflow/tfjs-core';
import {ConfigError, matMul} from '@tfjs-peft/kernels';
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
function leadingOutput({input, kernel, bias}: AdapterView, columns: number): Tensor {
  const rows = tf.reshape(input, [-1, kernel.shape[0]]) as Tensor2D;
  const raw = matMul(rows, tf.slice(kernel, [0, 0], [kernel.shape[0], columns]));
  const out = bias === undefined ? raw : tf.add(raw, tf.slice(bias, [0], [columns]));
  return tf.reshape(out, [...input.shape.slice(0, -1), columns]);
}

/** The router's config as an adapter's config carries it. */
export function configOf(router: Router): AdapterRouterConfig {
  const {experts: _, ...config} = router.getConfig();
  return config;
}
