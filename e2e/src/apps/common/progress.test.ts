import {clock, Progress} from './progress.js';

function record(isTTY: boolean, quiet = false) {
  const written: string[] = [];
  const progress = new Progress('work', 20, {isTTY, columns: 60, write: (text) => written.push(text)}, quiet);
  return {written, progress};
}

describe('Progress', () => {
  it('redraws one line on a terminal, within its width', () => {
    const {written, progress} = record(true);
    for (let i = 0; i < 20; i++) progress.advance(1, `loss ${'x'.repeat(40)}`);
    progress.end();
    expect(written[0]!.startsWith('\r\u001b[2K[')).toBe(true);
    for (const line of written.slice(0, -1)) expect(line.replace('\r\u001b[2K', '').length).toBeLessThan(60);
    expect(written.at(-2)).toContain('20/20');
    expect(written.at(-1)).toBe('\n');
  });

  it('writes a line each tenth of the work elsewhere', () => {
    const {written, progress} = record(false);
    for (let i = 0; i < 20; i++) progress.advance(1, 'loss 1');
    progress.end();
    expect(written).toHaveLength(10);
    expect(written[0]).toMatch(/^work 2\/20 {2}loss 1 {2}\d+:\d\d left\n$/);
  });

  it('puts a note on a line of its own', () => {
    const {written, progress} = record(true);
    progress.note('half-way');
    expect(written).toEqual(['\r\u001b[2Khalf-way\n']);
  });

  it('is silent when it is to be', () => {
    const {written, progress} = record(true, true);
    progress.advance(20);
    progress.end();
    expect(written).toEqual([]);
  });
});

describe('clock', () => {
  it('is minutes and seconds', () => {
    expect(clock(0.4)).toBe('0:00');
    expect(clock(75)).toBe('1:15');
    expect(clock(3600)).toBe('60:00');
  });
});
