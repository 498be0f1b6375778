// What the console's pages do better with a script. Each works without one.
import { showing } from "./again.js";
import { cropping } from "./crop.js";
import { choosing } from "./photo.js";
import { moving } from "./shelf.js";

const crop = document.querySelector("[data-crop]");
const drop = document.querySelector("[data-drop]");
if (crop && drop) choosing(drop, cropping(crop));
showing(document.querySelector("[data-again]"));
const shelf = document.querySelector("[data-shelf]");
if (shelf) moving(shelf, document.querySelector("[data-says][role=status]"));

function offerCopies() {
  for (const button of document.querySelectorAll("[data-copy]")) button.hidden = !navigator.clipboard;
}

document.addEventListener("click", async ({ target }) => {
  if (!(target instanceof HTMLButtonElement) || !("copy" in target.dataset)) return;
  await navigator.clipboard.writeText(target.parentElement.querySelector("pre").textContent);
  target.textContent = target.dataset.done;
});

// An answer without products, such as that of an ended session, is a page of its own.
document.addEventListener("htmx:beforeSwap", (event) => {
  if (event.detail.xhr.responseText.includes('id="found"')) return;
  event.detail.shouldSwap = false;
  location.assign(event.detail.pathInfo.finalRequestPath);
});
document.addEventListener("htmx:afterSettle", () => {
  offerCopies();
  document.getElementById("found-title")?.focus();
});
offerCopies();
