import {OptionDefaults} from 'typedoc';

export default {
  name: 'tfjs-peft',
  tsconfig: './tsconfig.json',
  out: '../../out/api',
  readme: '../../README.md',
  plugin: ['./modules.mjs'],
  excludePrivate: true,
  // npm run check has seen the types, with the TypeScript that the sources are written for.
  skipErrorChecking: true,
  treatWarningsAsErrors: true,
  // tfjs's own tag, by which classes keep their static fields.
  blockTags: [...OptionDefaults.blockTags, '@nocollapse'],
};
