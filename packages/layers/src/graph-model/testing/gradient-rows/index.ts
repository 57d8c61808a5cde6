import {ARITHMETIC} from './arithmetic.js';
import {CONVOLUTIONS} from './convolutions.js';
import {IMAGES} from './images.js';
import type {GradientRow} from './row.js';
import {SEQUENCES} from './sequences.js';

/** Every op that a converted model can have behind a site, by its attributes. */
export const GRADIENT_ROWS: GradientRow[] = [...ARITHMETIC, ...CONVOLUTIONS, ...IMAGES, ...SEQUENCES];
