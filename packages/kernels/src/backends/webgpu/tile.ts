import {spread} from './program.js';

/**
 * Rows, columns and depth of the tile that one workgroup of 8 x 8 invocations computes; each invocation holds
 * 4 x 4 of it.
 */
export const TILE = 32;

/** WGSL of the tile's workgroup memory and of the multiply-add over one depth of it. */
export const tileDeclarations = `
  var<workgroup> leftTile : array<array<f32, ${TILE + 1}>, ${TILE}>;
  var<workgroup> rightTile : array<array<vec4<f32>, ${TILE / 4}>, ${TILE}>;

  fn multiplyTile(sums : ptr<function, array<vec4<f32>, 4>>) {
    let row = i32(localId.y) * 4;
    let column = i32(localId.x);
    for (var k = 0; k < ${TILE}; k = k + 1) {
      let right = rightTile[k][column];
      for (var r = 0; r < 4; r = r + 1) {
        (*sums)[r] = fma(vec4<f32>(leftTile[row + r][k]), right, (*sums)[r]);
      }
    }
  }`;

/** WGSL that fills an element of the left tile; `left` is its expression at (row, k), read within bounds. */
const fillLeft = (depth: string, left: string): string => `
          let row = rowStart + major;
          let k = start + minor;
          var value = 0.0;
          if (row < rows && k < ${depth}) { value = ${left}; }
          leftTile[major][minor] = value;`;

/** WGSL of the loop over the depth that fills both tiles and multiplies them into the invocation's sums. */
const depthLoop = (sums: string, depth: string, fill: string): string => `
    for (var start = 0; start < ${depth}; start = start + ${TILE}) {${fill}
      workgroupBarrier();
      multiplyTile(&${sums});
      workgroupBarrier();
    }`;

/**
 * WGSL of the loop that adds left · right to the invocation's 4 x 4 sums.
 *
 * @param left WGSL expression of the left factor at (row, k), read only within bounds.
 * @param right WGSL expression of the right factor at (k, column), likewise.
 */
export function productLoop(sums: string, depth: string, left: string, right: string): string {
  return depthLoop(
    sums,
    depth,
    `
      for (var i = i32(localIndex); i < ${TILE * TILE}; i = i + 64) {
        let major = i / ${TILE};
        let minor = i % ${TILE};
        {${fillLeft(depth, left)}
        }
        {
          let k = start + major;
          let column = columnStart + minor;
          var value = 0.0;
          if (k < ${depth} && column < columns) { value = ${right}; }
          rightTile[major][minor / 4][minor % 4] = value;
        }
      }`,
  );
}

/**
 * The same for a right factor that comes in other pieces than elements.
 *
 * @param fillRight WGSL that fills `rightTile` with rows of the right factor from `start` on and columns from
 * `columnStart` on. What it leaves beyond the depth meets zeros of the left factor.
 */
export function filledProductLoop(sums: string, depth: string, left: string, fillRight: string): string {
  return depthLoop(
    sums,
    depth,
    `
      for (var i = i32(localIndex); i < ${TILE * TILE}; i = i + 64) {
        let major = i / ${TILE};
        let minor = i % ${TILE};${fillLeft(depth, left)}
      }${fillRight}`,
  );
}

/** WGSL that does something at each of the invocation's 4 x 4 (row, column) that are within the output. */
export const eachOfTile = (code: string): string => `
        for (var r = 0; r < 4; r = r + 1) {
          let row = rowStart + i32(localId.y) * 4 + r;
          for (var c = 0; c < 4; c = c + 1) {
            let column = columnStart + i32(localId.x) * 4 + c;
            if (row < rows && column < columns) {
              ${code}
            }
          }
        }`;

/**
 * The fields of a program with one workgroup per tile of [batch, rows, columns], numbered one after the other
 * over two dimensions, since each has a limit that rows or batches alone can exceed. {@link tilePlace} finds
 * a workgroup's place.
 */
export function tiled(
  rows: number,
  columns: number,
  batch = 1,
): {
  workgroupSize: [number, number, number];
  dispatch: [number, number, number];
} {
  const tiles = Math.ceil(columns / TILE) * Math.ceil(rows / TILE) * batch;
  return {workgroupSize: [8, 8, 1], dispatch: spread(tiles)};
}

/**
 * WGSL of `rowStart`, `columnStart` and `batch` of the workgroup's tile of [batches, height, columns], and of
 * `rows`, which is the height, or 0 for the workgroups beyond the last tile: all go through the same
 * barriers.
 */
export const tilePlace = (height: string, columns: string, batches: string): string => `
        let columns = ${columns};
        let tileColumns = (columns + ${TILE - 1}) / ${TILE};
        let tileRows = (${height} + ${TILE - 1}) / ${TILE};
        let tile = i32(workgroupId.y) * i32(numWorkgroups.x) + i32(workgroupId.x);
        let columnStart = tile % tileColumns * ${TILE};
        let rowStart = tile / tileColumns % tileRows * ${TILE};
        let batch = tile / (tileColumns * tileRows);
        let rows = select(0, ${height}, batch < ${batches});`;
