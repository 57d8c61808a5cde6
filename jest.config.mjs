import {existsSync} from 'node:fs';
import {fileURLToPath} from 'node:url';
import {listKernels} from './scripts/list-kernels.mjs';
import {packages, specifierOf} from './scripts/packages.mjs';

listKernels();

// Dawn asks the process for its Vulkan driver, and a test's own process.env is a copy: so it is set here, for
// the workers to inherit.
const swiftshader = '/usr/lib/chromium/vk_swiftshader_icd.json';
if (existsSync(swiftshader)) process.env.VK_ICD_FILENAMES ??= swiftshader;

// jest puts <rootDir> into patterns as it is, or escaped by halves: a folder named with [brackets] or a + is
// then no longer found.
const root = fileURLToPath(new URL('.', import.meta.url)).replaceAll(/[.*+?^${}()|[\]\\]/g, '\\$&');

// The tests run on the sources: what the packages' exports maps name, and nothing else.
const sources = Object.entries(packages).flatMap(([name, {entries}]) =>
  Object.keys(entries).map((entry) => [
    `^${specifierOf(name, entry)}$`,
    `<rootDir>/packages/${name}/src/${entry}.ts`,
  ]),
);

export default {
  testEnvironment: 'node',
  roots: ['<rootDir>/packages', '<rootDir>/e2e/src'],
  testMatch: ['**/src/**/*.test.ts'],
  transform: {
    '^.+\\.ts$': [
      '@swc/jest',
      {jsc: {parser: {syntax: 'typescript'}, target: 'es2022'}, module: {type: 'commonjs'}},
    ],
  },
  moduleNameMapper: {
    ...Object.fromEntries(sources),
    '^@tfjs-peft/testing/([^/]+)$': '<rootDir>/packages/testing/src/$1.ts',
    '^(\\.{1,2}/.*)\\.js$': '$1',
  },
  modulePathIgnorePatterns: [`^${root}(packages/[^/]+/dist|out)/`],
  setupFiles: process.env.TFJS_PEFT_FUZZ ? ['<rootDir>/scripts/longer-fuzzing.cjs'] : [],
  testTimeout: 60000,
  maxWorkers: 2,
  reporters: ['default', '<rootDir>/scripts/jest-summary.mjs'],
};
