import {createAdapter} from '../../../index.js';
import {describeAdapter} from '../../../testing/describe-adapter.js';

describeAdapter({type: 'ia3'}, ({z, act, weight}) =>
  act(z).map((row) => row.map((value, j) => value * weight('scaling')[0]![j]!)),
);

describeAdapter({type: 'ia3', position: 'before-activation'}, ({z, act, weight}) =>
  act(z.map((row) => row.map((value, j) => value * weight('scaling')[0]![j]!))),
);

test('ia3 acts after the activation by default', () => {
  expect(createAdapter({type: 'ia3'}).getConfig()).toEqual({type: 'ia3', position: 'after-activation'});
});
