/** What is used of pngjs, which brings no types. */
declare module 'pngjs' {
  interface Image {
    width: number;
    height: number;
    /** Red, green, blue and opacity, 8 bits each. */
    data: Buffer;
  }
  export const PNG: {
    sync: {
      read(bytes: Buffer): Image;
      write(image: Image, options?: {colorType?: number; bitDepth?: number; inputHasAlpha?: boolean}): Buffer;
    };
  };
}
