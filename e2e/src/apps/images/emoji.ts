import {existsSync, readFileSync} from 'node:fs';
import {join} from 'node:path';
import {packageFolder} from '../../data/models/package-folder.js';
import {readPicture} from './picture.js';
import type {LabelledPicture} from './source.js';

const VENDORS = ['twitter', 'google'] as const;
type Vendor = (typeof VENDORS)[number];

interface Emoji {
  unified: string;
  image: string;
  category: string;
}

/** Emoji that both vendors draw, without components (skin tones, hair), which are none of their own. */
function emojiOf(vendor: Vendor): {emoji: Emoji; path: string}[] {
  const file = join(packageFolder('emoji-datasource-twitter'), 'emoji.json');
  const all = JSON.parse(readFileSync(file, 'utf8')) as Emoji[];
  const drawings = (of: Vendor) => join(packageFolder(`emoji-datasource-${of}`), 'img', of, '64');
  return all
    .filter(
      ({category, image}) =>
        category !== 'Component' && VENDORS.every((of) => existsSync(join(drawings(of), image))),
    )
    .map((emoji) => ({emoji, path: join(drawings(vendor), emoji.image)}));
}

/** Twitter's drawing of an emoji to its category: 9 classes. */
export function emojiCategories(): LabelledPicture[] {
  return emojiOf('twitter').map(({emoji, path}) => ({label: emoji.category, read: () => readPicture(path)}));
}

/** An emoji to the vendor that drew it; both drawings of an emoji are on one side of a split. */
export function emojiVendors(): LabelledPicture[] {
  return VENDORS.flatMap((vendor) =>
    emojiOf(vendor).map(({emoji, path}) => ({
      label: vendor,
      group: emoji.unified,
      read: () => readPicture(path),
    })),
  );
}
