/** A text with its class, before labels have numbers. */
export interface LabelledText {
  text: string;
  label: string;
  /** Texts of one group (a document) never fall on both sides of a split. */
  group?: string;
}

export interface Example {
  text: string;
  /** Index in {@link Task.labels}. */
  label: number;
}

/** A text classification task; no text is in two of its splits. */
export interface Task {
  name: string;
  labels: string[];
  train: Example[];
  validation: Example[];
  test: Example[];
}

export const SPLITS = ['train', 'validation', 'test'] as const;
export type Split = (typeof SPLITS)[number];

/** The most texts a split may hold. */
export type Limits = Record<Split, number>;
