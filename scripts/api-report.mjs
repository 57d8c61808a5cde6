// Writes packages/*/api.md from the built types: every public name of every entry point with its signature. A
// change of the public API is a change of these files, which is committed with it. With --check nothing is
// written, and the exit code is 1 if one is stale. It is 1 too if a signature names a type that no entry
// point exports.
import {existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {CompilerState, Extractor, ExtractorConfig} from '@microsoft/api-extractor';
import {packages, root, specifierOf} from './packages.mjs';

const scratch = mkdtempSync(join(tmpdir(), 'tfjs-peft-api-'));
const off = {default: {logLevel: 'none'}};
// Of the extractor's remarks only this counts: a type that a signature names and no entry point exports.
const forgotten = {...off, 'ae-forgotten-export': {logLevel: 'warning', addToApiReportFile: true}};

function configOf(name, entry) {
  const projectFolder = join(root, 'packages', name);
  return ExtractorConfig.prepare({
    configObjectFullPath: undefined,
    packageJsonFullPath: join(projectFolder, 'package.json'),
    configObject: {
      projectFolder,
      mainEntryPointFilePath: join(projectFolder, `dist/esm/${entry}.d.ts`),
      compiler: {
        overrideTsconfig: {
          compilerOptions: {
            target: 'es2022',
            module: 'nodenext',
            moduleResolution: 'nodenext',
            lib: ['es2022', 'dom'],
            strict: true,
            skipLibCheck: true,
            types: [],
          },
          files: Object.keys(packages[name].entries).map((file) => `dist/esm/${file}.d.ts`),
        },
      },
      apiReport: {
        enabled: true,
        reportFolder: scratch,
        reportTempFolder: scratch,
        reportFileName: `${name}-${entry}`,
      },
      docModel: {enabled: false},
      dtsRollup: {enabled: false},
      tsdocMetadata: {enabled: false},
      newlineKind: 'lf',
      messages: {
        compilerMessageReporting: off,
        extractorMessageReporting: forgotten,
        tsdocMessageReporting: off,
      },
    },
  });
}

/** The imports and signatures of one entry point. */
function signatures(name, entry, compilerState) {
  const extractorConfig = configOf(name, entry);
  Extractor.invoke(extractorConfig, {
    compilerState,
    localBuild: true,
    messageCallback: (message) => {
      message.handled = message.logLevel !== 'error';
    },
  });
  const report = readFileSync(join(scratch, `${name}-${entry}.api.md`), 'utf8');
  const [, code] = /^```ts\n([\s\S]*?)^\/\/ \(No @packageDocumentation[\s\S]*^```$/m.exec(report);
  return code
    .replaceAll(/ needs to be exported by the entry point .*/g, ' is not exported')
    .trim()
    .split(/\n\n+/);
}

/** An entry point that has all of the first one too shows the rest alone. */
function section(name, entry, signatures, first) {
  const own = (block) => /^\/\/ @/m.test(block);
  const all = entry !== 'index' && first.filter(own).every((block) => signatures.includes(block));
  const shown = all ? signatures.filter((block) => !own(block) || !first.includes(block)) : signatures;
  const note = all ? `All of ${specifierOf(name, 'index')}, and:\n\n` : '';
  return `## ${specifierOf(name, entry)}\n\n${note}\`\`\`ts\n${shown.join('\n\n')}\n\`\`\`\n`;
}

function report(name, {entries}) {
  const names = Object.keys(entries);
  if (!existsSync(join(root, 'packages', name, 'dist')))
    throw new Error(`packages/${name} has no dist: npm run build`);
  const state = CompilerState.create(configOf(name, names[0]), {
    additionalEntryPoints: names.map((entry) => join(root, 'packages', name, `dist/esm/${entry}.d.ts`)),
  });
  const blocks = names.map((entry) => signatures(name, entry, state));
  const parts = names.map((entry, i) => section(name, entry, blocks[i], blocks[0]));
  return `# Public API of @tfjs-peft/${name}\n\nWritten by \`npm run api\` from the built types.\n\n${parts.join('\n')}`;
}

try {
  for (const [name, listed] of Object.entries(packages)) {
    const path = join(root, 'packages', name, 'api.md');
    const text = report(name, listed);
    const forgotten = [...text.matchAll(/\(ae-forgotten-export\) The symbol "(\w+)"/g)].map(
      ([, symbol]) => symbol,
    );
    if (forgotten.length > 0) {
      console.error(
        `packages/${name}: signatures name ${[...new Set(forgotten)].join(', ')}, which their entry points do ` +
          'not export: export each as a type, or keep it out of the signature',
      );
      process.exitCode = 1;
    }
    if (existsSync(path) && readFileSync(path, 'utf8') === text) continue;
    if (!process.argv.includes('--check')) writeFileSync(path, text);
    else {
      console.error(
        `packages/${name}/api.md is not what the package exports: run npm run build, then npm run api, and commit it`,
      );
      process.exitCode = 1;
    }
  }
} finally {
  rmSync(scratch, {recursive: true, force: true});
}
