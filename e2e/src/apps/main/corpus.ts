import {SPLITS, type Split, type Task} from '../../data/tasks/task.js';
import type {Encoder} from './encoders/encoder.js';

/** What a router can read of a text besides its tokens. */
export const CONTEXT_KEYS = ['intuition', 'sentence', 'task'] as const;
export type ContextKey = (typeof CONTEXT_KEYS)[number];

/** One row of each tensor of a batch's context. */
export type TextContext = Partial<Record<ContextKey, Float32Array>>;

/** Texts as the model takes them. */
export interface Texts {
  tokens: Int32Array[];
  /** What each brings along for routers, if they read anything. */
  context?: TextContext[];
}

/** A split as the model takes it; row i of `tokens` has class `labels[i]`. */
export interface EncodedSplit extends Texts {
  texts: string[];
  labels: Int32Array;
}

export interface EncodedTask extends Record<Split, EncodedSplit> {
  name: string;
  classes: string[];
}

/** Tokenises every split, cut at `maxTokens`. */
export function encodeTask(task: Task, encoder: Pick<Encoder, 'tokenize'>, maxTokens: number): EncodedTask {
  const encoded = {name: task.name, classes: task.labels} as EncodedTask;
  for (const split of SPLITS) {
    const examples = task[split];
    encoded[split] = {
      texts: examples.map(({text}) => text),
      tokens: examples.map(({text}) => Int32Array.from(encoder.tokenize(text).slice(0, maxTokens))),
      labels: Int32Array.from(examples, ({label}) => label),
    };
  }
  return encoded;
}

/** Texts of several splits, one after the other. */
export function joined(splits: Texts[]): Texts {
  const tokens = splits.flatMap(({tokens}) => tokens);
  const context = splits.flatMap(({context}) => context ?? []);
  return context.length === 0 ? {tokens} : {tokens, context};
}
