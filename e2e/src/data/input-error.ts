/** An error of the input, to be told on one line: what is wrong, where, and what to do. */
export class InputError extends Error {
  override name = 'InputError';
}

/**
 * What Node says of a failed call of the file system, without its codes and paths: "no space left on device".
 */
export function reasonOf(error: unknown): string {
  const {message, code} = error as NodeJS.ErrnoException;
  return code === undefined ? message : (/^\w+: (.*?)(?:, \w+(?: '.*)?)?$/s.exec(message)?.[1] ?? message);
}

/** A value as it was given, cut where it is long. */
export function quoted(value: unknown): string {
  const text = JSON.stringify(value) ?? String(value);
  return text.length > 80 ? `${text.slice(0, 79)}…` : text;
}
