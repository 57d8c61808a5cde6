import {ACTIVATIONS, addRow, type Matrix, product, softmax, zip} from '../../testing/double.js';
import type {FullIsmoeConfig, FullSideConfig} from '../config.js';

/** Gives a weight by its name, a vector as one row. */
export type Read = (name: string) => Matrix;

const ACTIVATION = {relu: 'relu', gelu: 'gelu', gelu_tanh: 'gelu_new'} as const;

function transposed(a: Matrix): Matrix {
  return a[0]!.map((_, j) => a.map((row) => row[j]!));
}

function sumOf(row: readonly number[]): number {
  return row.reduce((sum, value) => sum + value, 0);
}

function normalize(row: number[], epsilon: number): number[] {
  const mean = sumOf(row) / row.length;
  const variance = sumOf(row.map((value) => (value - mean) ** 2)) / row.length;
  return row.map((value) => (value - mean) / Math.sqrt(variance + epsilon));
}

const NORMS: Record<FullIsmoeConfig['norm'], (row: number[]) => number[]> = {
  softmax,
  l2: (row) => row.map((value) => value / Math.max(Math.hypot(...row), 1e-12)),
  layernorm: (row) => normalize(row, 1e-5),
};

/** The scores g' of one sample's tokens x, and the gates that come of them. */
export function gatesOf(
  x: Matrix,
  salient: number[],
  read: Read,
  config: FullIsmoeConfig,
): {scores: Matrix; gates: Matrix} {
  const logits = product(x, read('router'));
  const own = config.routerBias ? addRow(logits, read('router_bias')[0]!) : logits;
  const correlation = config.interaction
    ? NORMS[config.norm](product([salient], transposed(read('interaction')))[0]!)
    : [];
  const scores = own.map((row) => {
    if (!config.interaction) return config.gates === 'raw' ? softmax(row) : row;
    return softmax(row).map((p, e) => (p + correlation[e]!) / 2);
  });
  const gates = scores.map((row) => {
    const order = row.map((_, e) => e).sort((i, j) => row[j]! - row[i]! || i - j);
    const kept = new Set(order.slice(0, config.topK));
    const given = row.map((score, e) => (kept.has(e) ? score : 0));
    if (config.gates === 'raw') return given;
    if (config.gates === 'renorm' && config.interaction) return given.map((score) => score / sumOf(given));
    const powers = row.map((score, e) => (kept.has(e) ? Math.exp(score) : 0));
    return powers.map((power) => power / sumOf(powers));
  });
  return {scores, gates};
}

/** A mixture of one sample's tokens, expert by expert. */
export function ismoe(x: Matrix, salient: number[], read: Read, config: FullIsmoeConfig): Matrix {
  const {gates} = gatesOf(x, salient, read, config);
  const [w1, b1, w2, b2] = ['w1', 'b1', 'w2', 'b2'].map(read) as [Matrix, Matrix, Matrix, Matrix];
  const hidden = w1[0]!.length / config.experts;
  const outputs = Array.from({length: config.experts}, (_, e) => {
    const run = (row: number[]) => row.slice(e * hidden, (e + 1) * hidden);
    const inner = addRow(product(x, w1.map(run)), run(b1[0]!)).map(
      ACTIVATIONS[ACTIVATION[config.activation]]!,
    );
    return addRow(product(inner, w2.slice(e * hidden, (e + 1) * hidden)), b2[e]!);
  });
  return x.map((_, t) =>
    b2[0]!.map((_, j) => sumOf(outputs.map((output, e) => gates[t]![e]! * output[t]![j]!))),
  );
}

function linear(x: Matrix, name: string, read: Read): Matrix {
  return addRow(product(x, read(`${name}_w`)), read(`${name}_b`)[0]!);
}

function norm(x: Matrix, name: string, read: Read): Matrix {
  const [gain, shift] = [read(`${name}_g`)[0]!, read(`${name}_b`)[0]!];
  return x.map((row) => normalize(row, 1e-5).map((value, j) => value * gain[j]! + shift[j]!));
}

const add = (a: Matrix, b: Matrix) => zip(a, b, (p, q) => p + q);

/** Attention of one sample, head by head; with one token, its value. */
function attention(x: Matrix, heads: number, mask: readonly number[], read: Read, alone: boolean): Matrix {
  if (alone) return linear(linear(x, 'v', read), 'o', read);
  const [q, k, v] = ['q', 'k', 'v'].map((name) => linear(x, name, read)) as [Matrix, Matrix, Matrix];
  const each = x[0]!.length / heads;
  const joined = x.map((): number[] => []);
  for (let head = 0; head < heads; head++) {
    const run = (row: number[]) => row.slice(head * each, (head + 1) * each);
    const scores = product(q.map(run), transposed(k.map(run))).map((row) =>
      row.map((score, t) => (mask[t] === 0 ? -1e9 : score / Math.sqrt(each))),
    );
    const heard = product(scores.map(softmax), v.map(run));
    for (const [t, row] of heard.entries()) joined[t]!.push(...row);
  }
  return linear(joined, 'o', read);
}

function meanOf(x: Matrix, mask: readonly number[]): number[] {
  const count = Math.max(sumOf(mask), 1);
  return x[0]!.map((_, j) => sumOf(x.map((row, t) => row[j]! * mask[t]!)) / count);
}

const within =
  (part: string, read: Read): Read =>
  (name) =>
    read(`${part}/${name}`);

function ladder(taps: Matrix[], mask: readonly number[], read: Read, config: FullSideConfig): Matrix {
  const embedded = config.init === 'embedding';
  let state = embedded ? linear(taps[0]!, 'down0', read) : undefined;
  for (const [i, tokens] of taps.slice(embedded ? 1 : 0).entries()) {
    const own = within(`block${i + 1}`, read);
    const salient = config.salient === 'first' ? tokens[0]! : meanOf(tokens, mask);
    const projected = linear(tokens, 'down', own);
    let x = projected;
    if (state !== undefined && config.combine === 'sum') x = add(state, projected);
    else if (state !== undefined) {
      const share = 1 / (1 + Math.exp(-own('share')[0]![0]! / 0.1));
      x = zip(state, projected, (s, d) => share * s + (1 - share) * d);
    }
    const u = norm(add(x, attention(x, config.heads, mask, own, tokens.length === 1)), 'norm1', own);
    state = norm(add(u, ismoe(u, salient, own, config)), 'norm2', own);
  }
  return state!;
}

function unipt(taps: Matrix[], mask: readonly number[], read: Read, config: FullSideConfig): Matrix {
  const tokens = taps.map((tap, i) => {
    const own = within(`tap${i + 1}`, read);
    return norm(linear(tap, 'down', own), 'norm', own);
  });
  const anchor = tokens.at(-1)!;
  const merged = tokens.map((each) => {
    const weights = product(anchor, transposed(each)).map((row) => {
      const kept = row.map((value, t) => Math.max(value, 0) * mask[t]!);
      return kept.map((value) => value / (sumOf(kept) + 1e-6));
    });
    return add(product(weights, each), each);
  });
  const target = meanOf(anchor, mask);
  const shares = softmax(
    merged.map((each) => sumOf(meanOf(each, mask).map((value, j) => value * target[j]!))),
  );
  const joined = merged.reduce((sum, each, i) => zip(sum, each, (p, q) => p + shares[i]! * q), anchor);
  const u = norm(joined, 'norm1', read);
  const last = taps.at(-1)!;
  const salient = config.salient === 'first' ? last[0]! : meanOf(last, mask);
  return norm(add(u, ismoe(u, salient, read, config)), 'norm2', read);
}

/** A side network beside the taps of one sample, each [T, D]; with `up` and the last tap. */
export function sideNetwork(
  taps: Matrix[],
  mask: readonly number[],
  read: Read,
  config: FullSideConfig,
): Matrix {
  const state = (config.wiring === 'unipt' ? unipt : ladder)(taps, mask, read, config);
  return add(taps.at(-1)!, linear(state, 'up', read));
}
