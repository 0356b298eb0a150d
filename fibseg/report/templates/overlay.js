// What lies over the 3D view and the planes: scale bar, directions, the card at the pointer.

/** Length of a scale bar in µm: 1, 2 or 5 times a power of ten, at most `mostUm`. */
function barLength(mostUm) {
  const power = 10 ** Math.floor(Math.log10(mostUm) + 1e-12);
  return [5, 2, 1].map((m) => m * power).find((um) => um <= mostUm * (1 + 1e-9));
}

function lengthText(um) {
  return um >= 0.9999 ? `${Number(um.toPrecision(3))} µm` : `${Number((um * 1000).toPrecision(3))} nm`;
}

/** Scale bar of the 3D view: its length in µm, and as a share of the width. */
function scaleBar(viewer) {
  const widthUm = 2 * viewer.camera.halfHeight * viewer.aspect;
  const um = barLength(widthUm / 5);
  return { um, share: um / widthUm };
}

/** Keeps the scale bar and the three directions of the 3D view right. */
function showBearings(viewer, bar, axes) {
  const lines = [...axes.querySelectorAll("line")];
  const words = [...axes.querySelectorAll("text")];
  viewer.drawn.addEventListener("drawn", () => {
    const { um, share } = scaleBar(viewer);
    bar.style.width = `${100 * share}%`;
    bar.firstElementChild.textContent = lengthText(um);
    lines.forEach((line, axis) => {
      const [x, y] = [viewer.camera.turn[axis], -viewer.camera.turn[3 + axis]];
      line.setAttribute("x2", 22 * x);
      line.setAttribute("y2", 22 * y);
      words[axis].setAttribute("x", 30 * x);
      words[axis].setAttribute("y", 30 * y);
    });
  });
}

/** Title of an object: its kind and its number. */
function objectTitle(state, { kind, label }) { return `${state.data.kinds[kind].name} ${label}`; }

/** Values of an object as a list of terms; at most `most`, that of the colours first. */
function valueList(state, { kind, label }, most) {
  const list = element("dl");
  const table = state.data.kinds[kind].table;
  const row = table ? table.rowOf.get(label) : undefined;
  if (row === undefined) return list;
  const first = kind === state.active && state.column ? [state.column] : [];
  const names = [...new Set([...first, ...table.shown])].filter((name) => name !== "label");
  for (const name of names.slice(0, most)) {
    const { title } = table.byName.get(name);
    list.append(element("dt", { textContent: title }), element("dd", { textContent: shownValue(table.value(name, row)) }));
  }
  return list;
}

/** The card beside the pointer. */
class Card {
  constructor(state, node) { Object.assign(this, { state, node }); }

  show(object, event) {
    this.node.hidden = !object;
    if (!object) return;
    if (!this.state.is(this.object ?? null, object.kind, object.label) || this.column !== this.state.column) {
      this.node.replaceChildren(
        element("b", { textContent: objectTitle(this.state, object) }), valueList(this.state, object, 4),
      );
      [this.object, this.column] = [object, this.state.column];
    }
    const { width, height } = this.node.getBoundingClientRect();
    const left = Math.min(event.clientX + 16, window.innerWidth - width - 8);
    const below = event.clientY + 18 + height < window.innerHeight;
    this.node.style.left = `${Math.max(8, left)}px`;
    this.node.style.top = `${below ? event.clientY + 18 : event.clientY - height - 12}px`;
  }
}
