const warned = new Set<string>();

/**
 * Warns, once for each kind of router, that renormalising a single gate always gives 1. The router's gradient
 * is then rounding noise, which Adam scales up to full steps.
 */
export function warnOfConstantGates(what: string, experts: number, topK: number, renormalize: boolean): void {
  if (topK !== 1 || experts === 1 || !renormalize || warned.has(what)) return;
  warned.add(what);
  console.warn(
    `${what}: with topK 1, renormalize makes every token's gate 1, so the router cannot learn from the ` +
      'task. Set renormalize: false.',
  );
}
