/** Photos for requests and products. */
import type { MessageInitShape } from "@bufbuild/protobuf";
import { invalid } from "./errors.js";
import type { QuerySignalSchema } from "./gen/sightline/gateway/v1/recommendation_service_pb.js";

/** Maximum bytes of a photo. */
export const MAX_PHOTO_BYTES = 10 * 1024 * 1024;

const QUALITY = 0.9;

/** A photo: a file of a form, what `fetch` or a canvas gave, or bytes. */
export type Photo = Blob | Uint8Array | ArrayBuffer;

/** What is done to a photo before it is sent. */
export interface PhotoOptions {
  /**
   * In a browser: pixels of the short side above which the photo is made smaller, as a JPEG. 448 are enough for a
   * search. A photo that the browser cannot decode is sent as it is. Default: photos are not changed.
   */
  readonly shortSide?: number;
}

/** An init of a signal of a request. */
export type Signal = MessageInitShape<typeof QuerySignalSchema>;

/**
 * Return the bytes of a photo, such as for `ProductImage.content`.
 *
 * Reject with a SightlineError (IMAGE_TOO_LARGE) above 10 MiB, and with a TypeError if a photo is to be made smaller
 * where there is no canvas.
 */
export async function photoBytes(photo: Photo, { shortSide }: PhotoOptions = {}): Promise<Uint8Array<ArrayBuffer>> {
  const blob = photo instanceof Blob ? photo : new Blob([photo as Uint8Array<ArrayBuffer> | ArrayBuffer]);
  const sent = shortSide === undefined ? blob : await shrink(blob, shortSide);
  if (sent.size > MAX_PHOTO_BYTES) {
    throw invalid("image", `has ${sent.size} bytes; at most ${MAX_PHOTO_BYTES} are allowed`, "IMAGE_TOO_LARGE");
  }
  if (sent.size === 0) throw invalid("image", "is empty", "IMAGE_UNDECODABLE");
  return new Uint8Array(await sent.arrayBuffer());
}

/** Return a signal from a photo; `rest` sets its other fields, such as `box` or `weight`. Rejects as `photoBytes`. */
export async function photoSignal(
  photo: Photo,
  { shortSide, ...rest }: PhotoOptions & Omit<Extract<Signal, { $typeName?: never }>, "content"> = {},
): Promise<Signal> {
  const value = await photoBytes(photo, shortSide === undefined ? {} : { shortSide });
  return { ...rest, content: { case: "image", value } };
}

/** Return the photo as a JPEG whose short side has at most so many pixels. */
async function shrink(blob: Blob, shortSide: number): Promise<Blob> {
  if (typeof createImageBitmap !== "function") throw new TypeError("shortSide: there is no canvas here");
  if (!(shortSide >= 1)) throw new TypeError("shortSide: must be 1 or more");
  let bitmap: ImageBitmap;
  try {
    bitmap = await createImageBitmap(blob, { imageOrientation: "from-image" });
  } catch {
    return blob; // such as HEIC, which the suite decodes
  }
  try {
    const scale = shortSide / Math.min(bitmap.width, bitmap.height);
    return scale < 1 ? await draw(bitmap, scale) : blob;
  } finally {
    bitmap.close();
  }
}

async function draw(bitmap: ImageBitmap, scale: number): Promise<Blob> {
  const width = Math.max(1, Math.round(bitmap.width * scale));
  const height = Math.max(1, Math.round(bitmap.height * scale));
  const canvas = Object.assign(document.createElement("canvas"), { width, height });
  const context = canvas.getContext("2d");
  if (!context) throw new TypeError("shortSide: the browser gives no canvas");
  context.imageSmoothingQuality = "high";
  context.fillStyle = "white"; // a JPEG has no transparency
  context.fillRect(0, 0, width, height);
  context.drawImage(bitmap, 0, 0, width, height);
  return new Promise((resolve, reject) => {
    const done = (made: Blob | null): void =>
      made ? resolve(made) : reject(new TypeError("shortSide: the browser makes no JPEG"));
    canvas.toBlob(done, "image/jpeg", QUALITY);
  });
}
