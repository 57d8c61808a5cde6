/**
 * The op of every node that runs our code. tfjs has one table of ops for all models; so a node says itself which code: by a number in a
 * model that is upgraded, in full in one that was saved with its adapters.
 */
export const SITE_OP = 'TfjsPeftSite';
