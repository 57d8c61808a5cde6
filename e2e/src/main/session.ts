import {existsSync, mkdirSync, readFileSync, rmSync, statSync} from 'node:fs';
import {dirname, join} from 'node:path';
import {loadBuiltinTasks} from '../tasks/builtin.js';
import {loadTaskFolder} from '../tasks/folder.js';
import {InputError, type Task} from '../tasks/task.js';
import {adapterConfig} from './adapter.js';
import {useBackend} from './backend.js';
import {checkpointPath, readCheckpoint} from './checkpoint.js';
import {encodeTask} from './corpus.js';
import {Crew} from './crew.js';
import {writeWhole} from './files.js';
import type {Interrupt} from './interrupt.js';
import {type Options, RUN_OPTIONS, type RunOptions} from './options.js';
import {meanResult, type Result, type SeedsResult} from './result.js';
import {runSeed} from './run.js';

const runPath = (out: string) => join(out, 'run.json');
const resultPath = (folder: string) => join(folder, 'result.json');

/** The options of the run in the out folder, which a resumed run keeps; flags may repeat them, not change them. */
function resumedOptions(options: Options): Options {
  const path = runPath(options.out);
  if (!existsSync(path)) {
    throw new InputError(`--resume: ${options.out} holds no run; start without --resume`);
  }
  let stored: RunOptions;
  try {
    stored = JSON.parse(readFileSync(path, 'utf8')) as RunOptions;
  } catch (error) {
    throw new InputError(`${path}: cannot be read (${(error as Error).message}); start without --resume`);
  }
  for (const key of options.given) {
    if (JSON.stringify(options[key]) !== JSON.stringify(stored[key])) {
      throw new InputError(
        `--resume: the run in ${options.out} has ${key} ${JSON.stringify(stored[key])}, not ${JSON.stringify(options[key])}; leave the option out, or start without --resume`,
      );
    }
  }
  return {...options, ...stored};
}

/** What would otherwise fail only after minutes of work. */
function checkEarly({json}: Options): void {
  if (json === undefined) return;
  if (existsSync(json) && statSync(json).isDirectory()) {
    throw new InputError(`--json: ${json} is a folder; name a file`);
  }
  mkdirSync(dirname(json), {recursive: true});
}

/** A new run takes the folder over: an old checkpoint must not be what a later --resume goes on with. */
function beginRun(options: Options, folders: string[]): void {
  mkdirSync(options.out, {recursive: true});
  for (const folder of folders) {
    rmSync(checkpointPath(folder), {force: true});
    rmSync(resultPath(folder), {force: true});
  }
  const run = Object.fromEntries(RUN_OPTIONS.map((key) => [key, options[key]]));
  writeWhole(runPath(options.out), `${JSON.stringify(run, null, 2)}\n`);
}

function loadTasks(options: Options, seed: number): Task[] {
  const warn = (message: string) => process.stderr.write(`warning: ${message}\n`);
  return options.tasksDir === undefined
    ? loadBuiltinTasks(options.tasks, options.limits, seed)
    : loadTaskFolder(options.tasksDir, options.limits, seed, warn);
}

/** Runs every seed, or what is left of them, and gives the figures. */
export async function runSession(given: Options, interrupt: Interrupt): Promise<Result | SeedsResult> {
  const options = given.resume ? resumedOptions(given) : given;
  checkEarly(options);
  const several = options.seeds.length > 1;
  const folderOf = (seed: number) => (several ? join(options.out, `seed-${seed}`) : options.out);
  const loaded = new Map([[options.seeds[0]!, loadTasks(options, options.seeds[0]!)]]);
  await useBackend(options.backend);
  const crew = await Crew.gather(options.model, options.backend);
  const adapter = adapterConfig(options, {tasks: loaded.get(options.seeds[0]!)!.length, width: crew.width});
  if (!given.resume) beginRun(options, options.seeds.map(folderOf));
  const results: Result[] = [];
  for (const seed of options.seeds) {
    const out = folderOf(seed);
    if (given.resume && existsSync(resultPath(out))) {
      results.push(JSON.parse(readFileSync(resultPath(out), 'utf8')) as Result);
      continue;
    }
    if (several && !options.quiet) process.stderr.write(`seed ${seed}\n`);
    const tasks = (loaded.get(seed) ?? loadTasks(options, seed)).map((task) =>
      encodeTask(task, crew.encoder, options.maxTokens),
    );
    const checkpoint = given.resume ? readCheckpoint(out) : undefined;
    const result = await runSeed({
      crew,
      tasks,
      options,
      adapter,
      seed,
      out,
      alone: !several,
      checkpoint,
      interrupt,
    });
    writeWhole(resultPath(out), `${JSON.stringify(result, null, 2)}\n`);
    rmSync(checkpointPath(out), {force: true});
    results.push(result);
  }
  return several ? meanResult(results) : results[0]!;
}
