const warned = new Set<string>();

/**
 * Warns, once for each kind of router, that a token's one gate is scaled to 1 whatever the router says: its gradient is rounding noise,
 * which Adam blows up to full steps.
 */
export function warnOfConstantGates(what: string, experts: number, topK: number, renormalize: boolean): void {
  if (topK !== 1 || experts === 1 || !renormalize || warned.has(what)) return;
  warned.add(what);
  console.warn(
    `${what}: with topK 1, renormalize makes every token's gate 1, so that the router cannot learn from the task. ` +
      'Set renormalize: false.',
  );
}
