import {describe as shown} from './describe.js';

const endless: Record<string, unknown> = {};
endless.self = endless;
const broken = new Proxy(
  {},
  {
    ownKeys: () => {
      throw new Error('no');
    },
  },
);

test.each([
  ['a string', 'x', "'x'"],
  ['a number that is none', Number.NaN, 'NaN'],
  ['a function', () => 1, 'a function'],
  ['a RegExp', /ffn/i, '/ffn/i'],
  ['an object of a class', new Map(), 'a Map'],
  ['a shape', [2, 3], '[2,3]'],
  ['names and patterns', ['dense_1', /ffn/], "['dense_1', /ffn/]"],
  ['a long list', Array(20).fill(0), '[0,0,0,0,0,0,0,0,…]'],
  ['options', {type: 'lora', 'a-b': [null, undefined]}, "{type: 'lora', 'a-b': [null, undefined]}"],
  ['a circle', endless, '{self: {self: {self: …}}}'],
  ['what throws when it is read', broken, 'an object that cannot be read'],
  ['a long string', 'x'.repeat(100), `'${'x'.repeat(80)}…'`],
])('%s', (_, value, text) => {
  expect(shown(value)).toBe(text);
});
