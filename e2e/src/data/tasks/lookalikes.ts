/**
 * Labels that a person would take for the same: they differ in case, white space or the spelling of a letter.
 */
export function lookalikes(labels: string[]): [string, string] | undefined {
  const seen = new Map<string, string>();
  for (const label of labels) {
    const key = label.normalize('NFKC').toLowerCase().replace(/\s+/g, ' ');
    const before = seen.get(key);
    if (before !== undefined) return [before, label];
    seen.set(key, label);
  }
  return undefined;
}
