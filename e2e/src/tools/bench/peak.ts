/** What is used of AssemblyScript's compiler. Its own types declare a global `require`, over Node's. */
interface Compiler {
  main(
    args: string[],
    api: {
      readFile(name: string): string | null;
      writeFile(name: string, contents: string | Uint8Array): void;
      listFiles(): string[];
    },
  ): Promise<{error: Error | null; stderr: {toString(): string}}>;
}

const COMPILER: string = 'assemblyscript/asc';

/**
 * Multiply-adds into twelve vectors that do not wait for each other: enough to fill the
 * pipeline, few enough for the registers.
 */
const CHAINS = 12;

const SOURCE = `
export function run(rounds: i32): f32 {
  const a = f32x4.splat(0.999), b = f32x4.splat(0.001);
  ${Array.from({length: CHAINS}, (_, i) => `let c${i} = f32x4.splat(${i}.5);`).join('\n  ')}
  for (let i = 0; i < rounds; i++) {
    ${Array.from({length: CHAINS}, (_, i) => `c${i} = f32x4.add(f32x4.mul(a, c${i}), b);`).join('\n    ')}
  }
  let sum = f32x4.splat(0);
  ${Array.from({length: CHAINS}, (_, i) => `sum = f32x4.add(sum, c${i});`).join('\n  ')}
  return f32x4.extract_lane(sum, 0) + f32x4.extract_lane(sum, 3);
}
`;

/** The multiply-add peak of one thread of this machine's wasm engine, GFLOP/s: the best of 20 runs. */
export async function multiplyAddPeak(): Promise<number> {
  const flags = ['-O3', '--noAssert', '--enable', 'simd', '--runtime', 'stub'];
  const {default: asc} = (await import(COMPILER)) as {default: Compiler};
  let binary: Uint8Array | undefined;
  const {error, stderr} = await asc.main(['peak.ts', '-o', 'peak.wasm', ...flags], {
    readFile: (name) => (name === 'peak.ts' ? SOURCE : null),
    writeFile: (_name, contents) => {
      binary = contents as Uint8Array;
    },
    listFiles: () => [],
  });
  if (error || !binary)
    throw new Error(`AssemblyScript: ${error?.message ?? 'no output'}\n${stderr.toString()}`);
  const {instance} = await WebAssembly.instantiate(binary as BufferSource);
  const run = instance.exports.run as (rounds: number) => number;
  const rounds = 4_000_000;
  let best = Number.POSITIVE_INFINITY;
  for (let i = 0; i < 20; i++) {
    const start = performance.now();
    run(rounds);
    best = Math.min(best, performance.now() - start);
  }
  return (rounds * CHAINS * 4 * 2) / best / 1e6;
}
