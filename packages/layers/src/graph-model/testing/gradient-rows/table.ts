import * as tf from '@tensorflow/tfjs-core';
import {patchReasons} from '@tfjs-peft/kernels';
import {trainer} from '../../training/trainer.js';
import {GRADIENT_ROWS} from './index.js';
import {type Measured, RowModel} from './measure.js';
import {type GradientRow, NODE} from './row.js';

/**
 * What is registered: tfjs alone, `@tfjs-peft/kernels/gradients` too, and
 * `@tfjs-peft/kernels/wasm-training` besides.
 */
export type Stage = 'stock' | 'gradients' | 'wasm-training';
export type TableBackend = 'cpu' | 'wasm';

export interface Cell {
  row: GradientRow;
  measured: Measured | 'endless' | 'breaks the heap';
  /** What the pre-flight names: kernels, and whether it says that nothing passes by nature. */
  gaps: string[];
  ends: boolean;
}

/** A wasm backend whose heap no earlier kernel has damaged. */
async function useFresh(backend: TableBackend): Promise<void> {
  if (backend === 'wasm') {
    const factory = tf.findBackendFactory('wasm');
    tf.removeBackend('wasm');
    tf.registerBackend('wasm', factory, 2);
  }
  await tf.setBackend(backend);
}

async function measureRow(row: GradientRow, stage: Stage, backend: TableBackend): Promise<Cell> {
  const kernel = row.breaksHeap === undefined ? undefined : tf.getKernel(row.breaksHeap, backend);
  // What wasm's Prelu makes has x's size, whatever the shape.
  const unrepaired =
    row.breaksHeap === 'Prelu' || (kernel != null && patchReasons(kernel.kernelFunc).length === 0);
  const harmful = backend === 'wasm' && unrepaired;
  const loaded = await RowModel.load(row);
  const training = trainer(loaded.model, {outputs: row.output === 0 ? NODE : `${NODE}:${row.output}`});
  try {
    const gaps = training.preflight();
    const cell = {row, gaps: gaps.map((gap) => gap.kernel), ends: gaps.some(({ends}) => ends !== undefined)};
    if (harmful) return {...cell, measured: 'breaks the heap'};
    if (row.endless && stage === 'stock') return {...cell, measured: 'endless'};
    if (stage === 'stock' || !loaded.runs()) return {...cell, measured: loaded.measure()};
    // As a step of training runs it, which is not always as the model does.
    const prepared = await training.prepare({});
    const measured = loaded.measure(() => prepared.outputs(true) as tf.Tensor);
    prepared.dispose();
    return {...cell, measured};
  } finally {
    training.dispose();
    loaded.dispose();
  }
}

/** Measures all rows, with what is registered now. */
export async function measureAll(stage: Stage, backend: TableBackend): Promise<Cell[]> {
  await useFresh(backend);
  const cells: Cell[] = [];
  for (const row of GRADIENT_ROWS) cells.push(await measureRow(row, stage, backend));
  return cells;
}

/** A row on one backend: its cells by stage, the later ones with more registered. */
export function stateOf(cells: readonly Cell[]): string {
  const [stock, ours, training] = cells as [Cell, Cell, Cell | undefined];
  if (stock.row.constant) return 'not differentiable by nature';
  if (stock.measured === 'right') return 'right';
  const was = stock.measured === 'no forward' ? 'no values' : stock.measured;
  if (ours.measured === 'right') return `repaired by \`/gradients\`; stock: ${was}`;
  if (training?.measured === 'right') return `repaired by \`/wasm-training\`; stock: ${was}`;
  return (training ?? ours).measured === 'breaks the heap' ? 'stock breaks the heap' : `gap; stock: ${was}`;
}

const HEAD = `# Gradients, op by attribute

For every op that a converted model can have behind a site, this page compares stock tfjs's gradient with
central differences of its own forward pass, on cpu and wasm; and the same with \`@tfjs-peft/kernels/gradients\`
(and, on wasm, \`@tfjs-peft/kernels/wasm-training\`) imported. \`WRITE_PAGE=1 npx jest gradient-table\` writes
this page, and the same test checks that it says what is measured.

- *right*: stock's gradient is right.
- *repaired*: right with the import that is named. What stock does without it comes next: a *wrong* gradient,
  one that *throws* or is *endless*, *no values* even forwards, or a kernel that *breaks the heap* by writing
  outside its tensors.
- *gap*: no right gradient exists. \`trainer(...).preflight()\` names the node, and \`fit\` refuses to start.
- *not differentiable by nature*: small changes do not reach the output. Pre-flight names the node where an
  output, or something that is trained, gets no gradient because of it.

LayersModels are checked when training begins: the first forward pass tells which kernels each layer runs,
your own layers' too. Before any gradient is taken, \`fit\` names the layer, the kernel and the import.
\`report().gaps\` lists what is known beforehand from the layers' classes, and what the last first step met.

Without the imports, pre-flight names every node whose gradient would be wrong, and some whose would be right:
a graph does not tell shapes, so it cannot know whether one operand of a \`Maximum\` of two computed tensors is
broadcast.

| op | attributes and operands | cpu | wasm |
|---|---|---|---|
`;

/** The page of the table: rows of one op in one state are one line. */
export function pageOf(states: readonly {row: GradientRow; cpu: string; wasm: string}[]): string {
  const lines = new Map<string, string[]>();
  for (const {row, cpu, wasm} of states) {
    const key = `| ${row.op} | # | ${cpu} | ${wasm} |`;
    lines.set(key, [...(lines.get(key) ?? []), row.attributes]);
  }
  return (
    HEAD + [...lines].map(([key, attributes]) => key.replace('#', attributes.join('; ')) + '\n').join('')
  );
}
