/** A part of the sources, and the parts that it may import; itself it may always. */
export interface Part {
  /** Files whose paths start with this belong to the part, unless a longer one fits. */
  path: string;
  uses: string[];
}

const KERNELS = 'packages/kernels/src';
const ROUTERS = 'packages/routers/src';
const QUANT = 'packages/quant/src';
const LAYERS = 'packages/layers/src';
const TESTING = 'packages/testing/src';
const PUBLISHED = [KERNELS, ROUTERS, QUANT, LAYERS];

const COMMON = 'e2e/src/apps/common';
const APPS = ['e2e/src/apps/main', 'e2e/src/apps/images', 'e2e/src/apps/testing'];

const CORE = `${LAYERS}/core`;
const LAYERS_MODEL = `${LAYERS}/layers-model`;
const GRAPH_MODEL = `${LAYERS}/graph-model`;
const REPAIR = `${LAYERS}/repair`;
const SIDE = `${LAYERS}/side`;
const MERGE = `${LAYERS}/merge`;
const QUANTIZE = `${LAYERS}/quantize`;

/**
 * Which part may import which. Tests, and what stands in a folder `testing`, are not bound by
 * the floors of their own package.
 */
export const PARTS: Part[] = [
  {path: KERNELS, uses: []},
  {path: ROUTERS, uses: [KERNELS]},
  {path: QUANT, uses: [KERNELS]},
  {path: CORE, uses: [KERNELS, ROUTERS]},
  {path: LAYERS_MODEL, uses: [CORE, KERNELS, ROUTERS]},
  {path: GRAPH_MODEL, uses: [CORE, KERNELS, ROUTERS]},
  {path: REPAIR, uses: [CORE, KERNELS, ROUTERS]},
  {path: SIDE, uses: [CORE, KERNELS, ROUTERS]},
  {path: MERGE, uses: [CORE, KERNELS]},
  {path: QUANTIZE, uses: [CORE, KERNELS, QUANT]},
  // The entry points.
  {path: LAYERS, uses: [CORE, LAYERS_MODEL, GRAPH_MODEL, REPAIR, SIDE, MERGE, QUANTIZE, KERNELS, ROUTERS]},
  {path: TESTING, uses: []},
  {path: 'e2e/src/data', uses: PUBLISHED},
  {path: 'e2e/src/tools', uses: [...PUBLISHED, TESTING, 'e2e/src/data']},
  {path: COMMON, uses: [...PUBLISHED, 'e2e/src/data', 'e2e/src/tools']},
  // One app knows nothing of another.
  ...APPS.map((path) => ({path, uses: [...PUBLISHED, 'e2e/src/data', 'e2e/src/tools', COMMON]})),
  {
    path: 'e2e/src/tests',
    uses: [...PUBLISHED, TESTING, 'e2e/src/data', 'e2e/src/tools', COMMON, ...APPS],
  },
];

/** The part that a file belongs to: the one with the longest path. */
export function partOf(file: string): Part | undefined {
  return PARTS.filter(({path}) => file.startsWith(`${path}/`)).sort(
    (a, b) => b.path.length - a.path.length,
  )[0];
}

/** The package, or e2e, that a file belongs to. */
export const packageOf = (file: string): string => /^(packages\/[^/]+|e2e)\//.exec(file)![1]!;

/** Whether a file is a test or helps tests of its own package. */
export const isTest = (file: string): boolean => /\.test\.ts$|\/src\/(.+\/)?testing\//.test(file);
