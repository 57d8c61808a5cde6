type N = number;

/**
 * What the wasm module exports (see assembly/). Pointers and strides are in bytes, booleans 0 or 1, sizes in
 * elements.
 */
export interface WasmExports {
  // biome-ignore format: one line an operand group
  gemm(
    a: N, b: N, out: N,
    batch: N, m: N, n: N, k: N,
    strideA: N, strideB: N, ldb: N,
    transposeA: N, transposeB: N,
    scratch: N,
  ): void;
  // biome-ignore format: one line an operand group
  gemmPair(
    x: N, a: N, rank: N, w: N, ldw: N, columns: N,
    h: N, z: N, rows: N, k: N, scratch: N,
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
  // biome-ignore format: one line an operand group
  adam(
    value: N, m: N, v: N, gradient: N,
    newValue: N, newM: N, newV: N, size: N,
    beta1: N, rest1: N, beta2: N, rest2: N,
    rate: N, correction2: N, epsilon: N,
  ): void;
  layerNorm(x: N, gamma: N, beta: N, out: N, rows: N, width: N, epsilon: N): void;
  // biome-ignore format: one line an operand group
  layerNormGradient(
    dy: N, x: N, gamma: N, out: N,
    rows: N, width: N, epsilon: N, scratch: N,
  ): void;
  softmaxRows(x: N, rows: N, width: N, scale: N): void;
  softmaxGradient(dy: N, y: N, out: N, rows: N, width: N, scale: N): void;
  // biome-ignore format: one line an operand group
  streamGates(
    a: N, b: N, p: N, gates: N,
    rows: N, width: N, weightA: N, weightB: N, theta: N, floor: N,
  ): void;
  // biome-ignore format: one line an operand group
  streamGatesGradient(
    dp: N, dGates: N, a: N, b: N, p: N, gates: N, da: N, db: N,
    rows: N, width: N, weightA: N, weightB: N, floor: N, scratch: N,
  ): void;
  columnSum(a: N, b: N, out: N, rows: N, width: N): void;
  packedProduct(matrix: N, x: N, m: N, transposed: N, bias: N, out: N, scratch: N): void;
  packedScratch(k: N): N;
  unpackRows(matrix: N, list: N, count: N, out: N, scratch: N): void;
  transpose(src: N, lds: N, rows: N, columns: N, dst: N, ldd: N): void;
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
