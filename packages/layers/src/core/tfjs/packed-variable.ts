import * as tf from '@tensorflow/tfjs-core';
import {
  ConfigError,
  disposePacked,
  type PackedKernel,
  type PackedMatrix,
  transposePacked,
  unpackMatrix,
} from '@tfjs-peft/kernels';

/** How a matrix lies in a weight of a model. */
export interface MatrixPlace {
  /** The weight's own shape. */
  shape: readonly number[];
  /** Whether the weight is the transpose of the matrix. Default false. */
  transposed?: boolean;
}

/**
 * A frozen weight whose numbers are packed codes. Whoever computes with it takes {@link packedOf}. For all
 * others it is a variable like any other, whose numbers are unpacked while they are needed: for an op until
 * the `tf.tidy` around it ends, for `data` and its relatives until they have read them.
 */
export class PackedVariable extends tf.Variable {
  private plain: tf.Tensor | undefined;
  private readonly views = new Map<boolean, PackedVariable>();

  /**
   * @param name As errors give it.
   * @param owns Whether the codes belong to the variable. Default true.
   */
  constructor(
    readonly packed: PackedMatrix,
    readonly place: MatrixPlace,
    name: string,
    private readonly owns = true,
  ) {
    super({shape: [...place.shape], dtype: 'float32', dataId: {}} as tf.Tensor, false, name, newId());
    // A graph's executor disposes what it does not know to be kept.
    this.kept = true;
    // tfjs declares both as fields.
    Object.defineProperties(this, {
      dataId: {get: () => this.materialized().dataId},
      trainable: {get: () => false, set: () => {}},
    });
  }

  /** The same codes as the matrix of the weight's last two axes, or as the transpose of that. */
  matrix(transposed: boolean): tf.Tensor2D {
    const {packed, place, name} = this;
    let view = this.views.get(transposed);
    if (view === undefined) {
      const turned = transposed !== (place.transposed ?? false);
      const shape = turned ? [packed.shape[1], packed.shape[0]] : packed.shape;
      view = new PackedVariable(packed, {shape, transposed: turned}, name, false);
      this.views.set(transposed, view);
    }
    return view as tf.Tensor as tf.Tensor2D;
  }

  /** What products of ours take in its place, if it is a matrix. */
  get kernel(): PackedKernel {
    return this.place.transposed ? transposePacked(this.packed) : this.packed;
  }

  /** The same weight as a tensor that may be disposed by itself, without a copy of the codes. */
  alias(): PackedVariable {
    const alias = new PackedVariable(this.packed, this.place, this.name, false);
    alias.kept = false;
    return alias;
  }

  /** Its numbers as a tensor of their own, of the weight's shape. */
  unpack(): tf.Tensor {
    return tf.tidy(() => {
      const matrix = unpackMatrix(this.packed);
      return tf.reshape(this.place.transposed ? tf.transpose(matrix) : matrix, [...this.place.shape]);
    });
  }

  override async data<D extends tf.DataType = tf.NumericDataType>(): Promise<tf.DataTypeMap[D]> {
    return this.borrow(async (plain) => (await plain.data<D>()).slice() as tf.DataTypeMap[D]);
  }

  override dataSync<D extends tf.DataType = tf.NumericDataType>(): tf.DataTypeMap[D] {
    const plain = this.lent();
    try {
      return plain.dataSync<D>().slice() as tf.DataTypeMap[D];
    } finally {
      plain.dispose();
    }
  }

  /** @throws ConfigError, because codes for other numbers need a format. */
  override assign(_: tf.Tensor): void {
    throw new ConfigError(
      `Weight '${this.name}' is quantised, so it cannot be set. Call dequantizeModel(model) first, and ` +
        'quantizeModel again afterwards.',
    );
  }

  override dispose(): void {
    if (this.isDisposed) return;
    if (this.owns) disposePacked(this.packed);
    this.plain?.dispose();
    this.isDisposedInternal = true;
  }

  private async borrow<T>(use: (plain: tf.Tensor) => Promise<T>): Promise<T> {
    const plain = this.lent();
    try {
      return await use(plain);
    } finally {
      plain.dispose();
    }
  }

  /** Unpacked, for the caller to dispose in whatever scope it is. */
  private lent(): tf.Tensor {
    this.throwIfDisposed();
    return tf.keep(this.unpack());
  }

  private materialized(): tf.Tensor {
    if (this.plain === undefined || this.plain.isDisposed) {
      this.throwIfDisposed();
      const plain = this.unpack();
      this.plain = plain;
      // Without a scope nobody else disposes it. Ops keep the data that they need.
      if (tf.engine().state.activeScope == null) queueMicrotask(() => plain.dispose());
    }
    return this.plain;
  }
}

/** Not by instanceof, for which tfjs takes every variable for one of a subclass. */
export function isPackedVariable(weight: tf.Tensor): weight is PackedVariable {
  return 'packed' in weight;
}

/** The codes of a weight; undefined if it is not packed. */
export function packedOf(weight: tf.Tensor): PackedMatrix | undefined {
  return isPackedVariable(weight) ? weight.packed : undefined;
}

/** A weight as a kernel that ops of ours multiply by: packed, if it is. */
export function asKernel(weight: tf.Tensor2D): tf.Tensor2D | PackedKernel {
  return isPackedVariable(weight) ? weight.kernel : weight;
}

/** Ids are tfjs's own: it counts them for each tensor. */
function newId(): number {
  const tensor = tf.scalar(0);
  tensor.dispose();
  return tensor.id;
}
