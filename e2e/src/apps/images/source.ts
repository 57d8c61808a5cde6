import type {Picture} from './picture.js';

/** A picture with its class, not yet decoded. */
export interface LabelledPicture {
  label: string;
  /** Pictures of one group never fall on both sides of a split: the same thing drawn twice. */
  group?: string;
  read(): Picture;
}

/** Pictures of one task, before they are split. */
export interface Source {
  name: string;
  pictures: LabelledPicture[];
  /** Whether a mirrored picture is still one of its class. */
  mirror: boolean;
}
