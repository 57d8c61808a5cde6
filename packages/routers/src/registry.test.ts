import {ConfigError, DuplicateNameError} from '@tfjs-peft/kernels';
import {createRouter, type Router, type RouterConfig, registerRouter} from './index.js';

function firstExpertRouter(): Router {
  return {
    experts: 1,
    build: () => {},
    route: () => {
      throw new Error('not needed here');
    },
    getConfig: () => ({type: 'softmax', experts: 1}),
  };
}

describe('registry', () => {
  it('names the known types where a type is unknown', () => {
    for (const type of ['hash', 'toString', '__proto__', '', undefined, 3]) {
      const create = () => createRouter({type, experts: 2} as unknown as RouterConfig);
      expect(create).toThrow(ConfigError);
      expect(create).toThrow(/softmax/);
    }
  });

  it('refuses configs that are no objects', () => {
    expect(() => createRouter(undefined as unknown as RouterConfig)).toThrow(ConfigError);
    expect(() => createRouter('softmax' as unknown as RouterConfig)).toThrow(ConfigError);
  });

  it('finds registered types, the latest of a name', () => {
    registerRouter('first', () => {
      throw new Error('replaced');
    });
    registerRouter('first', firstExpertRouter);
    expect(createRouter({type: 'first'} as unknown as RouterConfig).experts).toBe(1);
  });

  it('keeps built-in types', () => {
    expect(() => registerRouter('softmax', firstExpertRouter)).toThrow(DuplicateNameError);
    expect(() => registerRouter('', firstExpertRouter)).toThrow(ConfigError);
  });

  it('shares registrations between copies of the package', () => {
    registerRouter('shared', firstExpertRouter);
    let copy!: typeof import('./index.js');
    jest.isolateModules(() => {
      copy = require('./index.js') as typeof import('./index.js');
    });
    expect(copy.createRouter).not.toBe(createRouter);
    expect(copy.createRouter({type: 'shared'} as unknown as RouterConfig).experts).toBe(1);
  });
});
