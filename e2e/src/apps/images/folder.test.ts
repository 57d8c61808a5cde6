import {cpSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {SPLITS} from '../../data/tasks/task.js';
import {readImagesFolder} from './folder.js';
import {splitSource} from './tasks.js';
import {writePictures} from './testing/pictures.js';

describe('readImagesFolder', () => {
  let folder: string;
  let warnings: string[];
  const read = () => readImagesFolder(folder, false, (message) => warnings.push(message));
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'folder-'));
    warnings = [];
  });
  afterEach(() => rmSync(folder, {recursive: true, force: true}));

  it('takes the pictures of every folder as a label', () => {
    writePictures(folder, 6);
    const {pictures, mirror} = read();
    expect(mirror).toBe(false);
    expect(pictures.map(({label}) => label)).toEqual([
      ...Array(6).fill('blue'),
      ...Array(6).fill('rote Äpfel'),
    ]);
    expect(warnings).toEqual([]);
  });

  it('says what it leaves out, and what may be wrong', () => {
    writePictures(folder, 6);
    cpSync(join(folder, 'blue'), join(folder, 'Blue'), {recursive: true});
    writeFileSync(join(folder, 'notes.txt'), '');
    for (const name of ['a.gif', 'b.txt']) writeFileSync(join(folder, 'blue', name), '');
    mkdirSync(join(folder, 'blue', 'more'));
    read();
    expect(warnings.slice(0, 3)).toEqual([
      `${folder}: 1 files beside the labels' folders are left out, such as notes.txt`,
      'the labels "Blue" and "blue" are two classes; are they meant to be one?',
      `${join(folder, 'blue')}: 3 left out that are not .png, .jpg or .jpeg: more/, a.gif, b.txt`,
    ]);
    expect(warnings[3]).toBe(
      'the same picture is in the folders "Blue" and "blue", so one of its labels is wrong',
    );
  });

  it('keeps copies of a picture on one side of a split', () => {
    writePictures(folder, 8);
    for (let copy = 0; copy < 4; copy++)
      cpSync(join(folder, 'blue', '0 ü.PNG'), join(folder, 'blue', `copy ${copy}.png`));
    const sides = splitSource(read(), {train: 100, validation: 100, test: 100}, 3);
    const group = new Set(
      SPLITS.filter((split) => {
        const groups = sides[split].map((picture) => picture.group);
        return groups.length > new Set(groups).size;
      }),
    );
    expect(group.size).toBe(1);
    expect(SPLITS.reduce((sum, split) => sum + sides[split].length, 0)).toBe(20);
  });

  it.each<[string, () => void, RegExp]>([
    [
      'no folder',
      () => rmSync(folder, {recursive: true}),
      /--images-dir: .* is not a folder; give one with a folder per label/,
    ],
    ['no label', () => {}, /has no label; a task needs a folder for each of at least 2 labels/],
    [
      'one label',
      () => {
        writePictures(folder, 6);
        rmSync(join(folder, 'blue'), {recursive: true});
      },
      /has one label, "rote Äpfel"/,
    ],
    [
      'a label with few pictures',
      () => {
        writePictures(folder, 4);
      },
      /blue: 4 pictures .* a label needs at least 5/,
    ],
    [
      'a link to nothing',
      () => {
        writePictures(folder, 6);
        symlinkSync('/nowhere', join(folder, 'blue', 'x.png'));
      },
      /x\.png: a link to something that is not there/,
    ],
    [
      'a folder that looks like a picture',
      () => {
        writePictures(folder, 4);
        mkdirSync(join(folder, 'blue', 'x.png'));
      },
      /blue: 4 pictures/,
    ],
  ])('refuses %s', (_, make, why) => {
    make();
    expect(read).toThrow(why);
  });
});
