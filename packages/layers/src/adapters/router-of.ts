import {ConfigError} from '@tfjs-peft/kernels';
import {createRouter, type Router, type RouterConfig} from '@tfjs-peft/routers';

/** A router config inside an adapter config: the adapter says how many experts there are. */
export type AdapterRouterConfig = RouterConfig extends infer C
  ? C extends {experts: number}
    ? Omit<C, 'experts'> & {experts?: number}
    : C
  : never;

/** The router of an adapter with so many experts; soft merging by default. */
export function routerOf(what: string, experts: number, config: AdapterRouterConfig | undefined): Router {
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
  return createRouter({...given, experts} as RouterConfig);
}

/** The router's config as an adapter's config carries it. */
export function configOf(router: Router): AdapterRouterConfig {
  const {experts: _, ...config} = router.getConfig();
  return config;
}
