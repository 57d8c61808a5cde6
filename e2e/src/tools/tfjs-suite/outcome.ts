/**
 * One run of the specs. A failure outside of a spec (setting up a suite, an
 * uncaught error) counts as one too.
 */
export interface Outcome {
  specs: number;
  failures: {name: string; message: string}[];
}

export interface SuiteReport {
  backend: string;
  specs: number;
  failures: number;
  stockFailures: number;
  /** Specs that fail with our kernels and pass without. */
  new: string[];
  /** Those that fail because they want what {@link CORRECTED} says is wrong; they count nowhere else. */
  corrected: string[];
}

/**
 * Specs that hold tfjs-core to a gradient which is wrong, or to have none; `kernels/gradients` supplies the
 * right one, as the table of gradients against central differences shows (docs/gradients.md).
 */
const CORRECTED = [
  /^mirrorPad \S+ \S+ grad$/,
  /^mirrorPad \S+ \S+ gradient with clones$/,
  /^depthwiseConv2d gradients \S+ \S+ throws error on dilations > 1$/,
];

/** The names in `a` that are not in `b`; a name that occurs twice must be there twice. */
function surplus(a: string[], b: string[]): string[] {
  const left = [...b];
  return a.filter((name) => {
    const at = left.indexOf(name);
    if (at >= 0) left.splice(at, 1);
    return at < 0;
  });
}

const names = ({failures}: Outcome): string[] => failures.map(({name}) => name);

/**
 * Compares the run with our kernels against the stock one.
 *
 * @throws Error if they did not run the same number of specs: then neither says anything about the other.
 */
export function compare(backend: string, stock: Outcome, ours: Outcome): SuiteReport {
  if (ours.specs !== stock.specs || stock.specs === 0) {
    throw new Error(`${ours.specs} specs ran with our kernels and ${stock.specs} without`);
  }
  const added = surplus(names(ours), names(stock));
  const isCorrected = (name: string) => CORRECTED.some((pattern) => pattern.test(name));
  const corrected = added.filter(isCorrected);
  return {
    backend,
    specs: ours.specs,
    failures: ours.failures.length - corrected.length,
    stockFailures: stock.failures.length,
    new: added.filter((name) => !isCorrected(name)),
    corrected,
  };
}

/** What the specs are about: the name's first word, since tfjs names suites after ops. */
const groupOf = (name: string): string => name.split(/[\s:(]/, 1)[0]!.toLowerCase() || name;

/** Why most of them failed, on one short line. */
function reason(failures: Outcome['failures']): string {
  const counts = new Map<string, number>();
  for (const {message} of failures) {
    const line = message.split('\n', 1)[0]!.slice(0, 90);
    counts.set(line, (counts.get(line) ?? 0) + 1);
  }
  return [...counts].sort(([, a], [, b]) => b - a)[0]?.[0] ?? '';
}

/** Failures by group as text: ours, stock, and the commonest message of what still fails. */
export function table(report: SuiteReport, stock: Outcome, ours: Outcome): string {
  const groups = new Map<string, {ours: Outcome['failures']; stock: Outcome['failures']}>();
  for (const [side, {failures}] of [
    ['stock', stock],
    ['ours', ours],
  ] as const) {
    for (const failure of failures) {
      const group = groupOf(failure.name);
      if (!groups.has(group)) groups.set(group, {ours: [], stock: []});
      groups.get(group)![side].push(failure);
    }
  }
  const rows = [...groups]
    .sort(([, a], [, b]) => b.ours.length - a.ours.length || b.stock.length - a.stock.length)
    .map(([group, sides]) =>
      [
        group.padEnd(28),
        String(sides.stock.length).padStart(6),
        String(sides.ours.length).padStart(6),
        `  ${reason(sides.ours)}`,
      ].join(''),
    );
  return [
    `${'group'.padEnd(28)} stock  ours  why`,
    ...rows,
    ...report.new.map((name) => `new: ${name}`),
    `${report.backend}: ${report.specs} specs, ${report.failures} failed, ${report.stockFailures} stock, ${report.new.length} new`,
  ].join('\n');
}
