import {loadUseLiteTokenizer, UnigramTokenizer} from './use-lite-tokenizer.js';

const control: [string, number][] = Array.from({length: 6}, (_, i) => [`<${i}>`, 0]);

describe('UnigramTokenizer', () => {
  it('finds the most probable segmentation, not the greedy one', () => {
    const tokenizer = new UnigramTokenizer([
      ...control,
      ['\u2581', -1],
      ['\u2581ab', -5],
      ['a', -4],
      ['bc', -1],
      ['\u2581a', -2],
      ['c', -6],
    ]);
    expect(tokenizer.encode('abc')).toEqual([10, 9]);
  });

  it('merges a run of unknown characters into one <unk>', () => {
    const tokenizer = new UnigramTokenizer([...control, ['\u2581', -1], ['a', -1]]);
    expect(tokenizer.encode('axyza')).toEqual([6, 7, 0, 7]);
  });

  it('never produces control symbols and gives nothing for an empty text', () => {
    const tokenizer = new UnigramTokenizer([...control, ['\u2581', -1]]);
    expect(tokenizer.encode('')).toEqual([]);
    expect(tokenizer.encode('<1>')).toEqual([6, 0]);
  });

  it('splits English with the vocabulary of USE-lite', () => {
    const tokenizer = loadUseLiteTokenizer();
    const pieces = tokenizer.encode('How old are you?').map((id) => tokenizer.vocabulary[id]![0]);
    expect(pieces).toEqual(['\u2581How', '\u2581old', '\u2581are', '\u2581you', '?']);
  });
});
