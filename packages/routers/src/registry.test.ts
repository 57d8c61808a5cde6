import {ConfigError, DuplicateNameError} from '@tfjs-peft/kernels';
import {createRouter, defineRouter, type Router, type RouterConfig, routerDefinitions} from './index.js';
import {examples} from './testing/route.js';

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
    for (const type of ['dice', 'toString', '__proto__', '', undefined, 3]) {
      const create = () => createRouter({type, experts: 2} as unknown as RouterConfig);
      expect(create).toThrow(ConfigError);
      expect(create).toThrow(/softmax/);
    }
  });

  it('refuses configs that are no objects', () => {
    expect(() => createRouter(undefined as unknown as RouterConfig)).toThrow(ConfigError);
    expect(() => createRouter('softmax' as unknown as RouterConfig)).toThrow(ConfigError);
  });

  it('finds own definitions, the latest of a type, behind the built-in ones', () => {
    const create = () => {
      throw new Error('replaced');
    };
    defineRouter({type: 'first', create});
    defineRouter({type: 'first', create: firstExpertRouter});
    expect(createRouter({type: 'first'} as unknown as RouterConfig).experts).toBe(1);
    expect(routerDefinitions().filter(({type}) => type === 'first')).toHaveLength(1);
    expect(routerDefinitions()[0]!.type).toBe('softmax');
  });

  it('keeps built-in types, and refuses what is no definition', () => {
    expect(() => defineRouter({type: 'softmax', create: firstExpertRouter})).toThrow(DuplicateNameError);
    expect(() => defineRouter({type: '', create: firstExpertRouter})).toThrow(ConfigError);
    expect(() => defineRouter({type: 'own'} as never)).toThrow(/router 'own' has create undefined/);
  });

  it('shares own definitions between copies of the package', () => {
    defineRouter({type: 'shared', create: firstExpertRouter});
    let copy!: typeof import('./index.js');
    jest.isolateModules(() => {
      copy = require('./index.js') as typeof import('./index.js');
    });
    expect(copy.createRouter).not.toBe(createRouter);
    expect(copy.createRouter({type: 'shared'} as unknown as RouterConfig).experts).toBe(1);
    expect(copy.routerDefinitions()[0]).not.toBe(routerDefinitions()[0]);
  });
});

describe.each(routerDefinitions())('the definition of $type', ({type, options, summary, examples: own}) => {
  it('says what the lists are made of', () => {
    expect(summary).toMatch(/\S/);
    expect(own?.length).toBeGreaterThan(0);
    expect(own?.every((example) => example.type === type)).toBe(true);
  });

  it('names the options that there are, and no others', () => {
    const configs = examples(4).filter((config) => config.type === type);
    for (const config of configs) {
      const {type: _, experts, ...given} = createRouter(config).getConfig();
      expect(experts).toBe(4);
      expect(options).toEqual(expect.arrayContaining(Object.keys(given)));
    }
    const unknown = {...configs[0], nonsense: 1} as unknown as RouterConfig;
    expect(() => createRouter(unknown)).toThrow(
      `use one of: ${['type', 'experts', ...options!].join(', ')}.`,
    );
  });
});
