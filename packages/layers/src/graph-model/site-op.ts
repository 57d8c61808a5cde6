/**
 * The op of every node of a loaded model that runs our code; files of the first version have it too. tfjs has one table of ops for all
 * models; so a node says itself which code: by a number in a model that is upgraded, in full in one that was saved with its adapters.
 */
export const SITE_OP = 'TfjsPeftSite';

/** The op of such nodes in files. Where it is not registered, tfjs says no more than its name: so that says what to do. */
export const SAVED_SITE_OP = `${SITE_OP} (import @tfjs-peft/layers/graph)`;

/** All ops that files have, those of 0.1.0 among them. */
export const SITE_OPS: readonly string[] = [SITE_OP, `${SITE_OP} (import @tfjs-peft/layers)`, SAVED_SITE_OP];
