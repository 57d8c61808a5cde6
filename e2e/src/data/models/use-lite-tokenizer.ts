import {readFileSync} from 'node:fs';
import {join} from 'node:path';
import {useLiteFolder} from './use-lite-weights.js';

interface TrieNode {
  next: Map<string, TrieNode>;
  id: number;
  score: number;
}

const UNKNOWN = 0;
/** Ids below are control symbols, which no text may produce. */
const RESERVED = 6;
/** Log probability of a character that no piece covers: below every piece of the vocabulary. */
const UNKNOWN_SCORE = -20;
const SPACE = '\u2581';

/**
 * SentencePiece unigram tokenizer (Kudo 2018, arXiv:1804.10959): the segmentation with the highest sum of
 * piece log probabilities, found by Viterbi search. A run of unknown characters is one `<unk>` (id 0).
 */
export class UnigramTokenizer {
  private readonly root: TrieNode = {next: new Map(), id: -1, score: 0};

  /** @param vocabulary `[piece, log probability]` by id; the first six are control symbols. */
  constructor(readonly vocabulary: [string, number][]) {
    vocabulary.forEach(([piece, score], id) => {
      if (id < RESERVED) return;
      let node = this.root;
      for (const character of piece) {
        let child = node.next.get(character);
        if (child === undefined) {
          child = {next: new Map(), id: -1, score: 0};
          node.next.set(character, child);
        }
        node = child;
      }
      node.id = id;
      node.score = score;
    });
  }

  /** Token ids of a text; an empty text has none. */
  encode(text: string): number[] {
    if (text.length === 0) return [];
    const characters = [...(SPACE + text.normalize('NFKC').replaceAll(' ', SPACE))];
    const length = characters.length;
    const best = new Float64Array(length + 1).fill(Number.NEGATIVE_INFINITY);
    const from = new Int32Array(length + 1);
    const token = new Int32Array(length + 1);
    best[0] = 0;
    const offer = (start: number, end: number, id: number, score: number) => {
      if (best[start]! + score > best[end]!) {
        best[end] = best[start]! + score;
        from[end] = start;
        token[end] = id;
      }
    };
    for (let start = 0; start < length; start++) {
      let known = false;
      let node: TrieNode | undefined = this.root;
      for (let end = start; end < length; end++) {
        node = node.next.get(characters[end]!);
        if (node === undefined) break;
        if (node.id < 0) continue;
        if (end === start) known = true;
        offer(start, end + 1, node.id, node.score);
      }
      if (!known) offer(start, start + 1, UNKNOWN, UNKNOWN_SCORE);
    }
    const ids: number[] = [];
    for (let end = length; end > 0; end = from[end]!) {
      if (token[end] !== UNKNOWN || ids.at(-1) !== UNKNOWN) ids.push(token[end]!);
    }
    return ids.reverse();
  }
}

export function loadUseLiteTokenizer(folder = useLiteFolder()): UnigramTokenizer {
  return new UnigramTokenizer(JSON.parse(readFileSync(join(folder, 'vocab.json'), 'utf8')));
}
