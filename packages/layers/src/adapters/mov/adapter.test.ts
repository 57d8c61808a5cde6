import {createAdapter, type MovConfig} from '../../index.js';
import {describeAdapter} from '../../testing/describe-adapter.js';
import {gatesOf, product, zip} from '../../testing/double.js';

const times = (p: number, q: number) => p * q;

describeAdapter({type: 'mov', experts: 3}, ({x, z, act, weight}) =>
  zip(act(z), product(gatesOf(x, weight('router')), weight('scaling')), times),
);
describeAdapter({type: 'mov', experts: 3, position: 'before-activation'}, ({x, z, act, weight}) =>
  act(zip(z, product(gatesOf(x, weight('router')), weight('scaling')), times)),
);
describeAdapter(
  {type: 'mov', experts: 4, router: {type: 'softmax', topK: 1, temperature: 2}},
  ({x, z, act, weight}) =>
    zip(act(z), product(gatesOf(x, weight('router'), {topK: 1, temperature: 2}), weight('scaling')), times),
);

test('mov defaults: 4 experts after the activation, soft merging', () => {
  const config: MovConfig = {
    type: 'mov',
    experts: 4,
    position: 'after-activation',
    router: {type: 'softmax', temperature: 1, renormalize: false},
  };
  expect(createAdapter({type: 'mov'}).getConfig()).toEqual(config);
  expect(createAdapter(config).getConfig()).toEqual(config);
});
