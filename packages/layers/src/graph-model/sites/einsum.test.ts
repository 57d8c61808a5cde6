import '@tensorflow/tfjs-backend-cpu';
import '@tfjs-peft/kernels/cpu';
import {loadGraphModel} from '@tensorflow/tfjs-converter';
import * as tf from '@tensorflow/tfjs-core';
import fc from 'fast-check';
import {inspect, upgrade} from '../../graph.js';
import {exportPlain} from '../../merge.js';
import {GraphBuilder} from '../testing/builder.js';
import {close, fill, memory, run} from '../testing/run.js';

const LETTERS = [...'abcdefg'];

/** A product of x and a weight, with the axes of all three in any order. */
const equations = fc
  .record({
    free: fc.integer({min: 0, max: 3}),
    contracted: fc.integer({min: 1, max: 2}),
    brought: fc.integer({min: 1, max: 2}),
    sizes: fc.array(fc.integer({min: 1, max: 3}), {minLength: 7, maxLength: 7}),
    weightFirst: fc.boolean(),
    orders: fc.tuple(...[0, 1, 2].map(() => fc.shuffledSubarray(LETTERS, {minLength: 7, maxLength: 7}))),
  })
  .map(({free, contracted, brought, sizes, weightFirst, orders}) => {
    const take = (from: number, count: number) => LETTERS.slice(from, from + count);
    const [f, c, b] = [take(0, free), take(free, contracted), take(free + contracted, brought)];
    const ordered = (letters: string[], order: string[]) =>
      order.filter((letter) => letters.includes(letter)).join('');
    const x = ordered([...f, ...c], orders[0]!);
    const w = ordered([...c, ...b], orders[1]!);
    const y = ordered([...f, ...b], orders[2]!);
    const shape = (term: string) => [...term].map((letter) => sizes[LETTERS.indexOf(letter)]!);
    const equation = weightFirst ? `${w},${x}->${y}` : `${x},${w}->${y}`;
    return {equation, weightFirst, x: shape(x), w: shape(w)};
  });

test('any product of x and a weight is a site that starts unchanged, and is merged exactly', async () => {
  await fc.assert(
    fc.asyncProperty(equations, async ({equation, weightFirst, x: xShape, w}) => {
      const graph = new GraphBuilder();
      graph.input('x', xShape);
      graph.weight('w', w);
      graph.node('Einsum', 'site', weightFirst ? ['w', 'x'] : ['x', 'w'], {equation, N: 2});
      const model = await graph.output('site').load();
      const x = tf.randomUniform(xShape, -1, 1, 'float32', 3);
      const before = await run(model, x);
      const peft = await upgrade(model, {adapter: {type: 'lora', rank: 2}});
      close(await run(model, x), before);
      fill(peft);
      const place = memory();
      await exportPlain(peft, place);
      // The merged model runs stock tfjs's Einsum.
      close(await run(await loadGraphModel(place), x), await run(model, x), 2e-5);
      peft.detach();
      model.dispose();
    }),
    {numRuns: 60, seed: 1},
  );
});

test.each([
  ['ab,bc', 'not of the form a,b->c'],
  ['aab,bc->ac', 'repeats a letter within one operand'],
  ['abc,bcd->abd', 'not a single product of x and a matrix'],
  ['ab,cd->abcd', 'sums over no axis'],
  ['ab,bcd->ac', 'not a single product of x and a matrix'],
])('%s is no site', async (equation, why) => {
  const terms = equation.split(/,|->/);
  const graph = new GraphBuilder();
  graph.input(
    'x',
    [...terms[0]!].map(() => 2),
  );
  graph.weight(
    'w',
    [...terms[1]!].map(() => 2),
  );
  graph.weight('square', [2, 2]);
  graph.integers('shape', [2, 2]);
  graph.node('Reshape', 'rows', ['x', 'shape']);
  graph.node('MatMul', 'other', ['rows', 'square']);
  graph.node('Einsum', 'site', ['x', 'w'], {equation, N: 2});
  const {sites} = inspect(await graph.output('other').load());
  const site = sites.find(({name}) => name === 'site')!;
  expect(site.status).toBe('frozen');
  expect(site.reason).toContain(why);
});
