// A part of a page that is shown anew until it has come to its end.

const SECONDS = 1;

/** Show a part again and again, while it says so, every so many seconds. A link keeps the focus. */
export async function showing(part) {
  while (part && "again" in part.dataset) {
    const seconds = Number(part.dataset.again) || SECONDS;
    await new Promise((done) => setTimeout(done, seconds * 1000));
    const answer = await fetch(location.href);
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    const next = page.getElementById(part.id);
    if (!next) return location.reload();
    const at = part.contains(document.activeElement) && document.activeElement.getAttribute("href");
    part.replaceWith(next);
    if (at) next.querySelector(`a[href="${CSS.escape(at)}"]`)?.focus();
    part = next;
  }
}
