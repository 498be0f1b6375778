// The part of a photo: four number fields, and a rectangle that pointers and keys move.

const MOST_SIDE = 640;
const LEAST = 2; // percent
const STEP = 1;

/** Let a user crop by hand. Return a function that shows another photo. */
export function cropping(fieldset) {
  const frame = fieldset.querySelector("[data-frame]");
  const part = fieldset.querySelector("[data-part]");
  const fields = ["left", "top", "right", "bottom"].map((name) => fieldset.querySelector(`[name=${name}]`));

  const read = () => fields.map((field) => Number(field.value));
  const write = (sides) => {
    sides.forEach((side, at) => (fields[at].value = String(Math.round(side * 10) / 10)));
    draw();
  };
  const draw = () => {
    const [left, top, right, bottom] = read();
    Object.assign(part.style, {
      left: `${left}%`, top: `${top}%`, width: `${right - left}%`, height: `${bottom - top}%`,
    });
    part.hidden = !frame.querySelector("img, canvas");
  };

  for (const field of fields) field.addEventListener("input", draw);
  dragging(frame, part, read, write);
  part.addEventListener("keydown", (event) => {
    const sides = keyed(event, read());
    if (sides) write(sides);
  });
  draw();
  return (bitmap) => {
    frame.querySelector("img, canvas")?.remove();
    if (bitmap) frame.prepend(drawn(bitmap));
    fieldset.toggleAttribute("data-empty", !bitmap);
    write([0, 0, 100, 100]);
  };
}

function drawn(bitmap) {
  const scale = Math.min(1, MOST_SIDE / Math.max(bitmap.width, bitmap.height));
  const canvas = document.createElement("canvas");
  canvas.width = Math.max(1, Math.round(bitmap.width * scale));
  canvas.height = Math.max(1, Math.round(bitmap.height * scale));
  canvas.getContext("2d").drawImage(bitmap, 0, 0, canvas.width, canvas.height);
  return canvas;
}

/** Move the rectangle where it is dragged; draw another one from anywhere else. */
function dragging(frame, part, read, write) {
  frame.addEventListener("pointerdown", (event) => {
    if (part.hidden || event.button) return;
    const from = point(frame, event), before = read();
    const moves = event.target === part && before.join() !== "0,0,100,100";
    frame.setPointerCapture(event.pointerId);
    const drag = (each) => {
      const to = point(frame, each);
      write(moves ? moved(before, to.x - from.x, to.y - from.y) : between(from, to));
    };
    const end = () => frame.removeEventListener("pointermove", drag);
    frame.addEventListener("pointermove", drag);
    for (const name of ["pointerup", "pointercancel"]) frame.addEventListener(name, end, { once: true });
  });
}

function point(frame, { clientX, clientY }) {
  const { left, top, width, height } = frame.getBoundingClientRect();
  return { x: within((100 * (clientX - left)) / width), y: within((100 * (clientY - top)) / height) };
}

function between(one, other) {
  const [left, right] = apart(one.x, other.x), [top, bottom] = apart(one.y, other.y);
  return [left, top, right, bottom];
}

function apart(one, other) {
  const low = Math.min(one, other, 100 - LEAST);
  return [low, Math.max(one, other, low + LEAST)];
}

function moved([left, top, right, bottom], x, y) {
  const across = Math.max(-left, Math.min(100 - right, x)), down = Math.max(-top, Math.min(100 - bottom, y));
  return [left + across, top + down, right + across, bottom + down];
}

/** Return the sides after a key: arrows move, with Shift they change the size. */
function keyed(event, sides) {
  const [x, y] = { ArrowLeft: [-STEP, 0], ArrowRight: [STEP, 0], ArrowUp: [0, -STEP], ArrowDown: [0, STEP] }[event.key] ?? [];
  if (x === undefined) return undefined;
  event.preventDefault();
  if (!event.shiftKey) return moved(sides, x, y);
  const [left, top, right, bottom] = sides;
  return [left, top, Math.max(left + LEAST, within(right + x)), Math.max(top + LEAST, within(bottom + y))];
}

function within(percent) {
  return Math.max(0, Math.min(100, percent));
}
