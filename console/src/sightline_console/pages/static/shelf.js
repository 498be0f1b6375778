// A shelf whose products are moved to their places by a pointer, or by arrow keys and Enter.

/** Let a user move the cards of a list. A move sends the card's own form. */
export function moving(shelf, says) {
  for (const card of shelf.querySelectorAll("[data-card]")) {
    const handle = card.querySelector("[data-handle]");
    if (!handle) continue;
    handle.hidden = false;
    dragging(handle, card);
    handle.addEventListener("keydown", (event) => {
      const step = { ArrowUp: -1, ArrowLeft: -1, ArrowDown: 1, ArrowRight: 1 }[event.key];
      if (!step) return;
      event.preventDefault();
      const field = place(card);
      field.value = String(Math.max(1, Number(field.value) + step));
      says.textContent = handle.dataset.says.replace("%", field.value);
    });
    // A click by a pointer has a detail, and is the end of a drag.
    handle.addEventListener("click", ({ detail }) => detail || pin(card));
  }
}

function place(card) {
  return card.querySelector("[name=place]");
}

function pin(card) {
  const button = card.querySelector("[name=do][value=pin]");
  if (Number(place(card).value) !== Number(card.dataset.place)) button.form.requestSubmit(button);
}

function dragging(handle, card) {
  handle.addEventListener("pointerdown", (event) => {
    if (event.button) return;
    handle.setPointerCapture(event.pointerId);
    card.classList.add("dragged");
    let target;
    const over = ({ clientX, clientY }) => {
      target?.classList.remove("target");
      target = document.elementFromPoint(clientX, clientY)?.closest("[data-card]");
      target?.classList.add("target");
    };
    const end = ({ type }) => {
      handle.removeEventListener("pointermove", over);
      card.classList.remove("dragged");
      target?.classList.remove("target");
      if (type !== "pointerup" || !target) return;
      place(card).value = target.dataset.place;
      pin(card);
    };
    handle.addEventListener("pointermove", over);
    for (const name of ["pointerup", "pointercancel"]) handle.addEventListener(name, end, { once: true });
  });
}
