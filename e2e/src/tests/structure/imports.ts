import {existsSync, readdirSync, readFileSync} from 'node:fs';
import {dirname, join} from 'node:path';
import {parseSync} from '@swc/core';

export interface Import {
  /** Path of the importing file, from the repository's root. */
  from: string;
  /** What it names: `./a.js`, or a package. */
  specifier: string;
  /** Path of the file that this is, from the repository's root; undefined for packages that are not ours. */
  to: string | undefined;
}

/** Every TypeScript file below a folder, as paths from the root. */
function sourcesIn(root: string, folder: string): string[] {
  return readdirSync(join(root, folder), {recursive: true, encoding: 'utf8'})
    .map((name) => join(folder, name))
    .filter((path) => path.endsWith('.ts') && !path.endsWith('.d.ts'));
}

type Node = {type?: string; value?: unknown} & Record<string, unknown>;

/** The literal by which a node of the syntax tree names a module, if it does. */
function namedBy(node: Node): Node | undefined {
  switch (node.type) {
    case 'ImportDeclaration':
    case 'ExportNamedDeclaration':
    case 'ExportAllDeclaration':
      return node.source as Node;
    case 'TsImportType':
      return node.argument as Node;
    case 'CallExpression':
      if ((node.callee as Node).type === 'Import')
        return (node.arguments as {expression: Node}[])[0]!.expression;
  }
  return undefined;
}

/** The modules that a module names in imports, in exports and in types: a circle of types is one too. */
export function specifiersOf(code: string): string[] {
  const found: string[] = [];
  const visit = (node: unknown): void => {
    if (typeof node !== 'object' || node === null) return;
    const literal = namedBy(node as Node);
    if (literal?.type === 'StringLiteral') found.push(literal.value as string);
    Object.values(node).forEach(visit);
  };
  visit(parseSync(code, {syntax: 'typescript', target: 'es2022'}).body);
  return found;
}

/** The file that a specifier names: ours by its path or by its package, else undefined. */
function resolveOurs(root: string, from: string, specifier: string): string | undefined {
  if (specifier.startsWith('.')) {
    const path = join(dirname(from), specifier);
    return [path.replace(/\.js$/, '.ts'), path].find((candidate) => existsSync(join(root, candidate)));
  }
  const [scope, name, entry = 'index'] = specifier.split('/');
  if (scope !== '@tfjs-peft') return undefined;
  return join('packages', name!, 'src', `${entry}.ts`);
}

/** Every import between the sources of the packages and of e2e. */
export function importsOf(root: string): Import[] {
  const packages = readdirSync(join(root, 'packages')).map((name) => join('packages', name, 'src'));
  return [...packages, 'e2e/src']
    .flatMap((folder) => sourcesIn(root, folder))
    .flatMap((from) =>
      specifiersOf(readFileSync(join(root, from), 'utf8')).map((specifier) => ({
        from,
        specifier,
        to: resolveOurs(root, from, specifier),
      })),
    );
}

/**
 * The groups of files that import each other in a circle (Tarjan's strongly connected
 * components), as one circle each.
 */
export function circlesIn(imports: readonly Import[]): string[][] {
  const next = new Map<string, string[]>();
  for (const {from, to} of imports) if (to !== undefined) next.set(from, [...(next.get(from) ?? []), to]);
  const found: string[][] = [];
  const index = new Map<string, number>();
  const low = new Map<string, number>();
  const stack: string[] = [];
  const visit = (file: string): void => {
    index.set(file, index.size);
    low.set(file, index.get(file)!);
    stack.push(file);
    for (const to of next.get(file) ?? []) {
      if (!index.has(to)) visit(to);
      if (stack.includes(to)) low.set(file, Math.min(low.get(file)!, low.get(to)!));
    }
    if (low.get(file) !== index.get(file)) return;
    const group = stack.splice(stack.indexOf(file));
    if (group.length > 1 || next.get(file)?.includes(file)) found.push(circleOf(group, next));
  };
  for (const file of next.keys()) if (!index.has(file)) visit(file);
  return found;
}

/** A shortest way from a group's first file back to it. */
function circleOf(group: string[], next: ReadonlyMap<string, string[]>): string[] {
  const start = group[0]!;
  const ways = [[start]];
  const seen = new Set<string>();
  for (const way of ways) {
    for (const to of next.get(way.at(-1)!) ?? []) {
      if (to === start) return [...way, start];
      if (!group.includes(to) || seen.has(to)) continue;
      seen.add(to);
      ways.push([...way, to]);
    }
  }
  return group;
}
