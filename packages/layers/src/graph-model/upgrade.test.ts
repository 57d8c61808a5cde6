import '@tensorflow/tfjs-backend-cpu';
import '@tfjs-peft/kernels/cpu';
import type {GraphModel} from '@tensorflow/tfjs-converter';
import * as tf from '@tensorflow/tfjs-core';
import {inspect, upgrade} from '../graph.js';
import {DIALECTS, X_SHAPE} from './testing/graphs.js';
import {close, fill, run} from './testing/run.js';

const input = (seed = 7) => tf.randomUniform(X_SHAPE, -1, 1, 'float32', seed);

/** All fields of all nodes, without following them into each other. */
function snapshot(model: GraphModel): unknown {
  const {nodes} = (model as unknown as {executor: {graph: {nodes: Record<string, object>}}}).executor.graph;
  return Object.values(nodes).map((node) => ({node, fields: {...node}}));
}

function same(left: unknown, right: unknown): void {
  const [before, after] = [left, right] as {node: object; fields: Record<string, unknown>}[][];
  expect(after!.length).toBe(before!.length);
  before!.forEach(({node, fields}, i) => {
    expect(after![i]!.node).toBe(node);
    expect(Object.keys(after![i]!.fields)).toEqual(Object.keys(fields));
    for (const [key, value] of Object.entries(fields)) expect(after![i]!.fields[key]).toBe(value);
  });
}

describe.each(Object.keys(DIALECTS))('a graph in the dialect %s', (dialect) => {
  it('starts unchanged, changes with the adapter, and comes back bit for bit', async () => {
    const model = await DIALECTS[dialect]!().load();
    const x = input();
    const before = await run(model, x);
    const nodes = snapshot(model);
    const peft = await upgrade(model, {adapter: {type: 'lora', rank: 2}});
    close(await run(model, x), before);
    fill(peft);
    const adapted = await run(model, x);
    expect(Math.max(...adapted.map((value, i) => Math.abs(value - before[i]!)))).toBeGreaterThan(0.01);
    peft.disable();
    expect(await run(model, x)).toEqual(before);
    same(nodes, snapshot(model));
    peft.enable();
    expect(await run(model, x)).toEqual(adapted);
    peft.detach();
    expect(await run(model, x)).toEqual(before);
    same(nodes, snapshot(model));
  });

  it.each([
    {type: 'lora', rank: 2},
    {type: 'dora', rank: 2},
    {type: 'ia3'},
    {type: 'ia3', position: 'before-activation'},
    {type: 'molora', experts: 3, rank: 2},
    {type: 'mov', experts: 3},
    {type: 'lime', experts: 3, over: {type: 'lora', rank: 2}},
    {type: 'mor1e', r1: 2, r2: 3, intuition: false},
  ] as const)('computes with %j what the fused dialect does', async (adapter) => {
    const outputs: Float32Array[] = [];
    for (const each of [dialect, 'fused']) {
      const model = await DIALECTS[each]!().load();
      fill(await upgrade(model, {adapter: adapter as never}));
      outputs.push(await run(model, input()));
    }
    close(outputs[0]!, outputs[1]!);
  });

  it('is inspected', async () => {
    const model = await DIALECTS[dialect]!().load();
    const {sites, adaptedOutputs} = inspect(model);
    expect(adaptedOutputs).toEqual([sites[1]!.name]);
    expect(sites.map(({status}) => status)).toEqual(['adapted', 'adapted']);
    expect(sites.map(({shape}) => shape)).toEqual([
      [4, 6],
      [6, 5],
    ]);
  });
});
