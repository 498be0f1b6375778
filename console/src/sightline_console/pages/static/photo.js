// A photo that is chosen, dropped, pasted or taken, in the form's field for files.

const MOST_BYTES = 2 * 1024 * 1024;
const MOST_PIXELS = 16_000_000;
const SHORT_SIDE = 1024;

/** Let a part of the page take photos; `shown` draws the one that was chosen. */
export function choosing(place, shown) {
  const field = place.querySelector("input[name=file]");
  const camera = place.querySelector("[data-camera]");

  const take = async (file) => {
    if (!file) return;
    const bitmap = await decoded(file);
    const files = new DataTransfer();
    files.items.add(bitmap ? await fitting(file, bitmap) : file);
    field.files = files.files;
    shown(bitmap);
  };

  field.addEventListener("change", () => take(field.files[0]));
  camera.addEventListener("change", () => take(camera.files[0]));
  camera.parentElement.hidden = !matchMedia("(pointer: coarse)").matches;
  place.addEventListener("dragover", (event) => event.preventDefault());
  place.addEventListener("drop", (event) => {
    event.preventDefault();
    take(event.dataTransfer.files[0]);
  });
  document.addEventListener("paste", (event) => {
    const [file] = event.clipboardData.files;
    if (file?.type.startsWith("image/")) take(file);
  });
}

async function decoded(file) {
  try {
    return await createImageBitmap(file);
  } catch {
    return undefined; // such as HEIC, which the suite decodes
  }
}

/** Return the photo, made smaller if it is larger than a search needs. */
async function fitting(file, bitmap) {
  const { width, height } = bitmap;
  if (file.size <= MOST_BYTES && width * height <= MOST_PIXELS) return file;
  const scale = Math.min(1, SHORT_SIDE / Math.min(width, height));
  const canvas = new OffscreenCanvas(Math.round(width * scale), Math.round(height * scale));
  const context = canvas.getContext("2d");
  context.fillStyle = "white"; // what is transparent would become black
  context.fillRect(0, 0, canvas.width, canvas.height);
  context.drawImage(bitmap, 0, 0, canvas.width, canvas.height);
  const blob = await canvas.convertToBlob({ type: "image/jpeg", quality: 0.92 });
  return new File([blob], "photo.jpg", { type: "image/jpeg" });
}
