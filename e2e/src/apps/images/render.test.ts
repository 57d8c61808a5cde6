import {random} from '../../data/tasks/random.js';
import type {Picture} from './picture.js';
import {AS_IT_IS, randomView, render} from './render.js';

/** Red on the left, blue on the right. */
const picture: Picture = {width: 2, height: 1, colours: Uint8Array.of(255, 0, 0, 0, 0, 255)};

function drawn(view = AS_IT_IS, of = picture): Float32Array {
  const pixels = new Float32Array(4 * 4 * 3);
  render(of, view, 4, pixels);
  return pixels;
}

describe('render', () => {
  it('stretches a picture to the square, colours from 0 to 1, between pixels in proportion', () => {
    const row = [...drawn().slice(0, 12)];
    expect(row).toEqual([1, 0, 0, 0.75, 0, 0.25, 0.25, 0, 0.75, 0, 0, 1]);
    expect([...drawn().slice(12, 24)]).toEqual(row);
  });

  it('mirrors left and right', () => {
    expect([...drawn({...AS_IT_IS, mirrored: true}).slice(0, 3)]).toEqual([0, 0, 1]);
  });

  it('moves to where the view says, and lets the edge go on', () => {
    const moved = drawn({...AS_IT_IS, place: [1, 0, 0.5, 0, 1, 0]});
    expect([...moved.slice(0, 12)]).toEqual([0.25, 0, 0.75, 0, 0, 1, 0, 0, 1, 0, 0, 1]);
  });

  it('keeps colours between 0 and 1 whatever the view', () => {
    const next = random(1, 'test');
    for (let i = 0; i < 50; i++) {
      for (const value of drawn(randomView(next, true))) expect(value >= 0 && value <= 1).toBe(true);
    }
  });
});

describe('randomView', () => {
  it('mirrors only what may be mirrored', () => {
    const next = random(2, 'test');
    const views = (mirror: boolean) => Array.from({length: 40}, () => randomView(next, mirror).mirrored);
    expect(views(false)).not.toContain(true);
    expect(new Set(views(true)).size).toBe(2);
  });
});
