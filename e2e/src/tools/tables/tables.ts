import {readdirSync, readFileSync} from 'node:fs';
import {join} from 'node:path';
import {type AdapterConfig, adapterDefinitions, createAdapter} from '@tfjs-peft/layers';
import {
  createFormat,
  createQuantizer,
  type FormatSpec,
  formatDefinitions,
  type QuantizerSpec,
  quantizerDefinitions,
} from '@tfjs-peft/quant';
import {createRouter, type RouterConfig, routerDefinitions} from '@tfjs-peft/routers';

type Plain = Record<string, unknown>;

/** An option with its default, where that is a single value that no example gives. */
function optionCell(option: string, defaults: Plain, given: Plain): string {
  const value = defaults[option];
  const known = option in given || value === undefined || (typeof value === 'object' && value !== null);
  return known ? `\`${option}\`` : `\`${option}\` ${value}`;
}

function optionsCell(options: readonly string[] = [], defaults: object, given: object): string {
  return options.map((option) => optionCell(option, defaults as Plain, given as Plain)).join(', ') || '–';
}

function table(head: string[], rows: string[][]): string {
  const line = (cells: string[]) => `| ${cells.join(' | ')} |`;
  return [line(head), `|${head.map(() => '---|').join('')}`, ...rows.map(line)].join('\n');
}

function routerTable(): string {
  const rows = routerDefinitions().map(({type, options, summary = '', context = [], examples = []}) => {
    const given = examples[0] ?? {type};
    const defaults = createRouter({...given, experts: 4} as RouterConfig).getConfig();
    return [`\`${type}\``, optionsCell(options, defaults, given), summary, context.join(', ')];
  });
  return table(['type', 'options (defaults)', 'gates', 'context'], rows);
}

function adapterTable(): string {
  const rows = adapterDefinitions().map(({type, options, summary = '', learningRate}) => {
    const defaults = createAdapter({type} as AdapterConfig).getConfig();
    return [`\`${type}\``, optionsCell(options, defaults, {}), summary, String(learningRate ?? '')];
  });
  return table(['type', 'options (defaults)', 'y', 'rate to begin with'], rows);
}

function formatTable(): string {
  const rows = formatDefinitions().map(({type, options, summary = ''}) => {
    const format = createFormat(type as FormatSpec);
    return [`\`${type}\``, String(format.bits), optionsCell(options, format.getConfig(), {}), summary];
  });
  return table(['type', 'bits', 'options (defaults)', 'w'], rows);
}

function quantizerTable(): string {
  const rows = quantizerDefinitions().map(({type, options, summary = ''}) => {
    const quantizer = createQuantizer(type as QuantizerSpec);
    const needs = quantizer.calibrated ? 'a `Calibration`' : '';
    return [`\`${type}\``, optionsCell(options, quantizer.getConfig(), {}), summary, needs];
  });
  return table(['type', 'options (defaults)', 'what it does', 'needs'], rows);
}

const names = (definitions: {type: string}[]) => definitions.map(({type}) => `\`${type}\``).join(', ');

/** What stands between the markers of each name. */
const BLOCKS: Record<string, () => string> = {
  'adapter table': () => `\n${adapterTable()}\n`,
  'format table': () => `\n${formatTable()}\n`,
  'format names': () => names(formatDefinitions()),
  'quantizer table': () => `\n${quantizerTable()}\n`,
  'quantizer names': () => names(quantizerDefinitions()),
  'adapter names': () => names(adapterDefinitions()),
  'router table': () => `\n${routerTable()}\n`,
  'router names': () => names(routerDefinitions()),
};

const MARKED = /(<!-- generated: ([^>]*?)\s*-->)[\s\S]*?(<!-- end -->)/g;

/** The pages that have such markers, from the root of the repository. */
export function pages(root: string): string[] {
  const packages = readdirSync(join(root, 'packages')).map((name) => `packages/${name}/README.md`);
  const all = [
    'README.md',
    'FEATURES.md',
    ...readdirSync(join(root, 'docs')).map((name) => `docs/${name}`),
    ...packages,
  ];
  return all.filter((page) => {
    try {
      return readFileSync(join(root, page), 'utf8').search(MARKED) >= 0;
    } catch {
      // A folder, or a package without a page.
      return false;
    }
  });
}

/**
 * A page with all that lies between `<!-- generated: NAME -->` and `<!-- end -->`
 * written anew from the registries.
 *
 * @throws Error if a marker names nothing that can be generated.
 */
export function withTables(page: string): string {
  return page.replaceAll(MARKED, (_, start, name, end) => {
    const block = BLOCKS[name];
    if (block === undefined) {
      throw new Error(`no table "${name}"; choose from ${Object.keys(BLOCKS).join(', ')}`);
    }
    return `${start}${block()}${end}`;
  });
}
