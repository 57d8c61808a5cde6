import {ConfigError, DuplicateNameError} from '@tfjs-peft/kernels';
import {
  type Adapter,
  type AdapterConfig,
  countTrainable,
  createAdapter,
  defineAdapter,
  loraDense,
  moloraDense,
} from '../../index.js';

describe('adapter configs', () => {
  it.each<[unknown, RegExp]>([
    [undefined, /must be an object/],
    ['lora', /must be an object/],
    [{}, /Unknown adapter type undefined.*lora, .*molora, mov/],
    [{type: 'Lora'}, /Unknown adapter type 'Lora'.*lora, .*molora, mov/],
    [{type: 'constructor'}, /Unknown adapter type/],
    [{type: 'lora', r: 8}, /lora adapter: unknown option 'r'.*rank/],
    [{type: 'lora', experts: 2}, /unknown option 'experts'/],
    [{type: 'lora', rank: 0}, /rank is 0.*at least 1/],
    [{type: 'lora', rank: -3}, /rank is -3/],
    [{type: 'lora', rank: 1.5}, /rank is 1.5/],
    [{type: 'lora', rank: '8'}, /rank is '8'/],
    [{type: 'lora', rank: Number.NaN}, /rank is NaN/],
    [{type: 'lora', alpha: 0}, /alpha is 0/],
    [{type: 'lora', alpha: Number.POSITIVE_INFINITY}, /alpha is Infinity/],
    [{type: 'molora', experts: 0}, /molora adapter: experts is 0/],
    [{type: 'molora', rank: 0}, /molora adapter: rank is 0/],
    [{type: 'molora', topK: 2}, /unknown option 'topK'/],
    [{type: 'molora', experts: 4, router: {type: 'softmax', topK: 5}}, /topK is 5.*from 1 to 4/],
    [{type: 'molora', experts: 4, router: {type: 'softmax', experts: 3}}, /router.experts is 3.*4 experts/],
    [{type: 'molora', router: 'softmax'}, /router is 'softmax'.*must be an object/],
    [{type: 'molora', router: {type: 'dice'}}, /Unknown router type 'dice'.*softmax/],
    [{type: 'molora', router: {type: 'softmax', temp: 1}}, /unknown option 'temp'/],
    [{type: 'mov', experts: 2.5}, /mov adapter: experts is 2.5/],
    [{type: 'mov', experts: 2, router: {type: 'softmax', topK: 3}}, /topK is 3/],
    [{type: 'mov', rank: 4}, /unknown option 'rank'/],
    [{type: 'mov', position: 'after'}, /position is 'after'.*'after-activation', 'before-activation'/],
    [{type: 'ia3', experts: 2}, /unknown option 'experts'/],
  ])('refuses %p', (config, message) => {
    for (const use of [createAdapter, (c: AdapterConfig) => countTrainable(c, {inputDim: 3, outputDim: 4})]) {
      expect(() => use(config as AdapterConfig)).toThrow(ConfigError);
      expect(() => use(config as AdapterConfig)).toThrow(message);
    }
  });

  it('refuses unknown options of a drop-in layer', () => {
    const misspelt = {units: 4, expert: 3} as unknown as {units: number};
    expect(() => moloraDense(misspelt)).toThrow(ConfigError);
    expect(() => moloraDense(misspelt)).toThrow(/moloraDense: unknown option 'expert'.*experts/);
    expect(() => loraDense({units: 4, rank: 0})).toThrow(/rank is 0/);
  });

  it('takes own definitions, and keeps the built-in ones', () => {
    const shift = (config: {type: string}): Adapter => ({
      type: 'shift',
      build: ({outputDim}, add) => {
        add('shift', [outputDim], {type: 'zeros'});
      },
      parts: () => ({}),
      getConfig: () => config as AdapterConfig,
    });
    defineAdapter({type: 'shift', create: shift});
    expect(countTrainable({type: 'shift'} as unknown as AdapterConfig, {inputDim: 3, outputDim: 4})).toBe(4);
    expect(() => defineAdapter({type: 'lora', create: shift})).toThrow(DuplicateNameError);
  });
});
