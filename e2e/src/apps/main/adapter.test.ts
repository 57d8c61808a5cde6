import {ADAPTERS, adapterConfig, checkSize, MIXTURES, ROUTER_NAMES, sizeOf} from '../common/adapter.js';
import {contextNeeds} from './context.js';
import {parseOptions} from './options.js';

const config = (...argv: string[]) => adapterConfig(parseOptions(argv)!, {tasks: 5, width: 512});

describe('adapterConfig', () => {
  it.each([
    ['lora', {rank: 4, alpha: 16}, {rank: 4}],
    ['dora', {rank: 4, alpha: 16}, {rank: 4}],
    ['ia3', {}, {}],
    ['mov', {experts: 4, router: {type: 'softmax'}}, {experts: 4}],
    ['molora', {experts: 4, rank: 4, alpha: 16, router: {type: 'softmax'}}, {experts: 4, rank: 4}],
    ['mor1e', {mode: 'flex', r1: 4, r2: 8}, {experts: 32, rank: 1}],
    [
      'lime',
      {experts: 4, over: {type: 'lora', rank: 4, alpha: 16}, router: {type: 'zero'}},
      {experts: 4, rank: 4},
    ],
  ])('%s has defaults', (adapter, want, sizes) => {
    const made = config('--adapter', adapter);
    expect(made).toMatchObject({type: adapter, ...want});
    expect(sizeOf(made)).toEqual(sizes);
    expect(ADAPTERS).toContain(adapter);
  });

  it.each(ROUTER_NAMES)('every mixture takes router %s, or it is refused by name', (router) => {
    for (const adapter of MIXTURES) {
      const make = () => config('--adapter', adapter, '--router', router, '--experts', '3');
      if (router === 'zero' && adapter !== 'lime') expect(make).toThrow(/router 'zero' reads the output/);
      else expect(make()).toMatchObject({type: adapter, experts: 3});
    }
  });

  it.each(ADAPTERS)('%s is made by its name alone', (adapter) => {
    expect(config('--adapter', adapter)).toMatchObject({type: adapter});
  });

  it('passes sizes on to where the adapter has them', () => {
    expect(config('--adapter', 'lime', '--rank', '2')).toMatchObject({over: {rank: 2, alpha: 8}});
    expect(config('--adapter', 'mor1e', '--rank', '6')).toMatchObject({mode: '1v1', rank: 6});
    expect(config('--adapter', 'molora', '--router', 'task')).toMatchObject({
      experts: 5,
      router: {assign: [0, 1, 2, 3, 4]},
    });
  });

  it('leaves an intuition out where nothing brings one along', () => {
    const options = parseOptions(['--adapter', 'mor1e'])!;
    expect(adapterConfig(options, {tasks: 1, width: 8, intuition: false})).toMatchObject({intuition: false});
  });

  it.each([
    [['--adapter', 'lora', '--experts', '4'], /'experts'/],
    [['--adapter', 'dora', '--router', 'softmax'], /'router'/],
    [['--adapter', 'mor1e', '--experts', '8'], /'experts'/],
    [['--adapter', 'molora', '--router', 'dice'], /--router: no "dice"; choose from softmax, top-k, /],
    [['--adapter', 'prefix'], /--adapter: no "prefix"; choose from lora, /],
  ])('refuses %j', (argv, why) => {
    expect(() => config(...argv)).toThrow(why);
  });
});

it.each([
  [['molora'], {}],
  [['mor1e'], {intuition: 32}],
  [['mor1e', '--rank', '6'], {intuition: 6}],
  [['molora', '--router', 'intuition'], {intuition: 4}],
  [['lime', '--router', 'composite'], {intuition: 4}],
  [['mov', '--router', 'sentence'], {sentence: 512}],
  [['molora', '--router', 'task'], {task: 1}],
])('%j reads of each text %j', (argv, needs) => {
  expect(contextNeeds(config('--adapter', ...argv), 512)).toEqual(needs);
});

describe('checkSize', () => {
  it('refuses an adapter of which a layer would get a large share of the model, without making it', () => {
    const large = () => config('--experts', '65536', '--rank', '64');
    const model = {width: 512, parameters: 7e6};
    expect(() => checkSize(large(), model)).toThrow(
      /^--experts, --rank: molora would add [\d,]+ parameters to a layer, and the whole model has 7,000,000; lower one of them$/,
    );
    checkSize(config(), model);
  });
});
