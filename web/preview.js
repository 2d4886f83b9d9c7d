// Showing a look before it is chosen: while a mouse is over its button, or a finger is held on it.

const HOVER_MS = 250; // a mouse that only passes shows nothing
const HOLD_MS = 400; // a shorter touch is a press

/**
 * @param {HTMLButtonElement} button
 * @param {{begin: () => void, end: () => void}} handlers each `begin` is followed by one `end`.
 */
export function previewOn(button, { begin, end }) {
  let [timer, shown, held] = [0, false, false];
  const show = (/** @type {number} */ after, /** @type {boolean} */ byTouch) => {
    clearTimeout(timer);
    timer = setTimeout(() => {
      [shown, held] = [true, byTouch];
      begin();
    }, after);
  };
  const stop = () => {
    clearTimeout(timer);
    if (!shown) return;
    shown = false;
    end();
  };
  button.addEventListener("pointerenter", ({ pointerType }) => pointerType === "mouse" && show(HOVER_MS, false));
  button.addEventListener("pointerdown", ({ pointerType }) => {
    held = false;
    if (pointerType !== "mouse") show(HOLD_MS, true);
  });
  for (const event of ["pointerup", "pointerleave", "pointercancel", "blur"]) button.addEventListener(event, stop);
  button.addEventListener("contextmenu", (event) => held && event.preventDefault());
  // In the capturing phase: before what a press does. The finger that held the button chooses nothing when it is lifted.
  button.addEventListener(
    "click",
    (event) => {
      stop();
      if (held) event.stopImmediatePropagation();
      held = false;
    },
    { capture: true },
  );
}
