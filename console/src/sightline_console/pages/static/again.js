// A part of a page that is shown anew until it has come to its end.

const SECONDS = 1;

/** Show a part again and again, while it says so. */
export async function showing(part) {
  while (part && "again" in part.dataset) {
    await new Promise((done) => setTimeout(done, SECONDS * 1000));
    const answer = await fetch(location.href);
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    const next = page.getElementById(part.id);
    if (!next) return location.reload();
    part.replaceWith(next);
    part = next;
  }
}
