// A step of Adam for one variable, in one pass over its numbers.

/**
 * newM = beta1 m + (1 - beta1) g; newV = beta2 v + (1 - beta2) g²; newValue = value - rate newM /
 * (sqrt(newV / correction2) + epsilon). The complements of beta1 and beta2 are given, since 1 -
 * beta2 loses three digits in float32.
 */
export function adam(
  value: usize, m: usize, v: usize, gradient: usize, newValue: usize, newM: usize, newV: usize, size: i32,
  beta1: f32, rest1: f32, beta2: f32, rest2: f32, rate: f32, correction2: f32, epsilon: f32,
): void {
  const b1 = f32x4.splat(beta1), r1 = f32x4.splat(rest1), b2 = f32x4.splat(beta2), r2 = f32x4.splat(rest2);
  const step = f32x4.splat(rate), c2 = f32x4.splat(correction2), e = f32x4.splat(epsilon);
  for (; size >= 4; size -= 4) {
    const g = v128.load(gradient);
    const first = f32x4.add(f32x4.mul(b1, v128.load(m)), f32x4.mul(r1, g));
    const second = f32x4.add(f32x4.mul(b2, v128.load(v)), f32x4.mul(r2, f32x4.mul(g, g)));
    const divisor = f32x4.add(f32x4.sqrt(f32x4.div(second, c2)), e);
    v128.store(newM, first);
    v128.store(newV, second);
    v128.store(newValue, f32x4.sub(v128.load(value), f32x4.div(f32x4.mul(step, first), divisor)));
    value += 16; m += 16; v += 16; gradient += 16; newValue += 16; newM += 16; newV += 16;
  }
  for (; size > 0; --size) {
    const g = load<f32>(gradient);
    const first = beta1 * load<f32>(m) + rest1 * g;
    const second = beta2 * load<f32>(v) + rest2 * (g * g);
    store<f32>(newM, first);
    store<f32>(newV, second);
    store<f32>(newValue, load<f32>(value) - rate * first / (sqrt<f32>(second / correction2) + epsilon));
    value += 4; m += 4; v += 4; gradient += 4; newValue += 4; newM += 4; newV += 4;
  }
}
