type N = number;

/** What the wasm module exports (see assembly/). Pointers and strides are in bytes, booleans 0 or 1, sizes in elements. */
export interface WasmExports {
  // biome-ignore format: one line an operand group
  gemm(
    a: N, b: N, out: N,
    batch: N, m: N, n: N, k: N,
    strideA: N, strideB: N, ldb: N,
    transposeA: N, transposeB: N,
    scratch: N,
  ): void;
  gemmScratch(m: N, n: N, k: N, transposeA: N): N;
  combine(struct: N, scale: N, scratch: N): void;
  combineScratch(dIn: N, dOut: N, depth: N): N;
  // biome-ignore format: one line an operand group
  gatherRows(
    src: N, lds: N, list: N, count: N, width: N,
    factors: N, factorStride: N, scale: N, out: N,
  ): void;
  scatterAddRows(rows: N, list: N, count: N, width: N, factor: N, out: N, ldo: N): void;
  spreadRows(rows: N, count: N, width: N, out: N, ldo: N): void;
  mixExperts(h: N, gates: N, out: N, rows: N, experts: N, rank: N): void;
  mixExpertsGates(dhm: N, h: N, dGates: N, rows: N, experts: N, rank: N): void;
  mixDense(h: N, gates: N, out: N, rows: N, rank: N, width: N): void;
  mixDenseGradient(dhm: N, h: N, gates: N, dh: N, dGates: N, rows: N, rank: N, width: N): void;
  activationGradient(dy: N, ref: N, out: N, size: N, activation: N): void;
  tile(src: N, dst: N, axes: N, count: N): N;
  segmentSum(x: N, ids: N, out: N, rows: N, width: N, segments: N): void;
  patches(image: N, out: N, channels: N, sizes: N): void;
  addTo(x: N, out: N, size: N): void;
  // biome-ignore format: one line an operand group
  depthwiseGradient(
    image: N, dy: N, filter: N,
    channels: N, multiplier: N, toFilter: N, sizes: N,
  ): void;
  maxPoolGradient(x: N, dy: N, dx: N, channels: N, sizes: N): void;
}
