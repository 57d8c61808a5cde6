import {createAdapter, type MoloraConfig} from '../../index.js';
import {type DoubleSite, describeAdapter} from '../../testing/describe-adapter.js';
import {gatesOf, type Matrix, product} from '../../testing/double.js';

/** Σ_e g_e (x A_e) B_e with the experts' blocks cut out of the packed A and B. */
function molora(rank: number, scale: number, router?: Parameters<typeof gatesOf>[2]) {
  return ({x, z, act, weight}: DoubleSite): Matrix => {
    const gates = gatesOf(x, weight('router'), router);
    const u = z.map((row) => [...row]);
    for (let e = 0; e < gates[0]!.length; e++) {
      const a = weight('lora_A').map((row) => row.slice(e * rank, (e + 1) * rank));
      const b = weight('lora_B').slice(e * rank, (e + 1) * rank);
      const expert = product(product(x, a), b);
      u.forEach((row, i) => {
        row.forEach((_, j) => {
          row[j]! += scale * gates[i]![e]! * expert[i]![j]!;
        });
      });
    }
    return act(u);
  };
}

describeAdapter({type: 'molora', experts: 3, rank: 2, alpha: 5}, molora(2, 2.5));
describeAdapter({type: 'molora', experts: 1, rank: 3, alpha: 3}, molora(3, 1));
describeAdapter(
  {type: 'molora', experts: 4, rank: 1, alpha: 2, router: {type: 'softmax', topK: 2, temperature: 0.8}},
  molora(1, 2, {topK: 2, temperature: 0.8}),
);
describeAdapter(
  {type: 'molora', experts: 4, rank: 2, router: {type: 'softmax', topK: 2, renormalize: true}},
  molora(2, 8, {topK: 2, renormalize: true}),
);

test('molora defaults: 4 experts of rank 4, alpha 16, soft merging', () => {
  const config: MoloraConfig = {
    type: 'molora',
    experts: 4,
    rank: 4,
    alpha: 16,
    router: {type: 'softmax', temperature: 1, renormalize: false},
  };
  expect(createAdapter({type: 'molora'}).getConfig()).toEqual(config);
  expect(createAdapter(config).getConfig()).toEqual(config);
});
