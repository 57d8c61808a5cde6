/** An axis of a tiling: its size, and how often it is repeated. */
export interface TileAxis {
  size: number;
  repeats: number;
}

/**
 * The same tiling with as few axes as possible: an axis that isn't repeated joins the one before it, and an axis of size 1 only
 * multiplies the repeats of the one after it. At least one axis remains.
 */
export function mergeAxes(shape: readonly number[], reps: readonly number[]): TileAxis[] {
  const axes: TileAxis[] = [];
  shape.forEach((size, i) => {
    const last = axes[axes.length - 1];
    const repeats = reps[i]!;
    if (last === undefined) axes.push({size, repeats});
    else if (repeats === 1) last.size *= size;
    else if (last.size === 1) axes[axes.length - 1] = {size, repeats: last.repeats * repeats};
    else axes.push({size, repeats});
  });
  return axes.length === 0 ? [{size: 1, repeats: 1}] : axes;
}
