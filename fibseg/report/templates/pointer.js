// Mouse, touch and keyboard on the 3D view.

const TURN_PER_PIXEL = 0.008;
const STEP = 0.12; // of a turn (radians) or of the height, by a key
const CLICK_PIXELS = 4; // a pointer that moved less has clicked

class Pointer {
  /** Calls `hover(object or null, event)`, `click(object or null)` and `open(object)`. */
  constructor(viewer, { hover, click, open, hint }) {
    Object.assign(this, { viewer, hover, click, open, hint });
    this.down = new Map(); // pointers by id
    this.moved = 0;
    const { canvas } = viewer;
    canvas.addEventListener("pointerdown", (event) => this.pressed(event));
    canvas.addEventListener("pointermove", (event) => this.move(event));
    canvas.addEventListener("pointerup", (event) => this.released(event));
    canvas.addEventListener("pointercancel", (event) => this.down.delete(event.pointerId));
    canvas.addEventListener("pointerleave", (event) => this.hover(null, event));
    canvas.addEventListener("contextmenu", (event) => event.preventDefault());
    canvas.addEventListener("wheel", (event) => this.wheel(event), { passive: false });
    canvas.addEventListener("keydown", (event) => this.key(event));
    canvas.addEventListener("dblclick", (event) => {
      const object = viewer.pick(event.offsetX, event.offsetY);
      if (object) this.open(object);
    });
  }

  pressed(event) {
    this.viewer.canvas.focus({ preventScroll: true });
    this.viewer.canvas.setPointerCapture(event.pointerId);
    this.down.set(event.pointerId, { x: event.offsetX, y: event.offsetY });
    if (this.down.size === 1) this.moved = 0;
    this.hover(null, event);
  }

  released(event) {
    const clicked = this.down.size === 1 && this.moved < CLICK_PIXELS && event.button === 0;
    this.down.delete(event.pointerId);
    if (clicked) this.click(this.viewer.pick(event.offsetX, event.offsetY));
  }

  move(event) {
    const before = this.down.get(event.pointerId);
    if (!before) {
      if (event.pointerType === "mouse") this.look(event);
      return;
    }
    const now = { x: event.offsetX, y: event.offsetY };
    const [dx, dy] = [now.x - before.x, now.y - before.y];
    this.moved += Math.abs(dx) + Math.abs(dy);
    const { camera } = this.viewer;
    const height = this.viewer.canvas.clientHeight;
    if (this.down.size === 2) this.pinch(event.pointerId, before, now);
    else if (event.shiftKey || event.buttons & 6) camera.pan(dx / height, -dy / height);
    else camera.rotate(dx * TURN_PER_PIXEL, dy * TURN_PER_PIXEL);
    this.down.set(event.pointerId, now);
    this.viewer.requestDraw();
  }

  /** Two fingers: their distance zooms, their middle moves. */
  pinch(id, before, now) {
    const [other] = [...this.down.entries()].filter(([key]) => key !== id).map(([, place]) => place);
    const far = (a) => Math.hypot(a.x - other.x, a.y - other.y) || 1;
    const height = this.viewer.canvas.clientHeight;
    this.viewer.camera.zoom(far(now) / far(before));
    this.viewer.camera.pan((now.x - before.x) / 2 / height, -(now.y - before.y) / 2 / height);
  }

  /** What the mouse is over, at most once a frame. */
  look(event) {
    this.last = event;
    if (this.looking) return;
    this.looking = requestAnimationFrame(() => {
      this.looking = 0;
      if (!this.down.size) this.hover(this.viewer.pick(this.last.offsetX, this.last.offsetY), this.last);
    });
  }

  /** The wheel scrolls the page until the view has been clicked: a page must stay scrollable. */
  wheel(event) {
    const { canvas, camera } = this.viewer;
    if (document.activeElement !== canvas && !event.ctrlKey) {
      this.hint();
      return;
    }
    event.preventDefault();
    const pixels = event.deltaY * (event.deltaMode === 1 ? 16 : 1);
    const height = canvas.clientHeight;
    camera.zoom(
      Math.exp(-Math.max(-240, Math.min(240, pixels)) * 0.0016),
      (event.offsetX - canvas.clientWidth / 2) / height, (height / 2 - event.offsetY) / height,
    );
    this.viewer.requestDraw();
  }

  key(event) {
    const { camera } = this.viewer;
    const arrows = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
    const arrow = arrows[event.key];
    if (arrow && event.shiftKey) camera.pan(arrow[0] * STEP, -arrow[1] * STEP);
    else if (arrow) camera.rotate(arrow[0] * STEP, arrow[1] * STEP);
    else if (event.key === "+" || event.key === "=") camera.zoom(1.15);
    else if (event.key === "-") camera.zoom(1 / 1.15);
    else if (event.key === "0" || event.key === "Home") this.viewer.reset();
    else if (event.key === "Escape") this.click(null);
    else return;
    event.preventDefault();
    this.viewer.requestDraw();
  }
}
