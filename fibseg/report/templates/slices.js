// Planes: layers of objects drawn from their numbers, so that any column can colour them.

const INSIDE = { kind: 0.16, own: 0.35, column: 0.6 }; // opacity of the inside of objects
const RIM = 2 ** 31; // bit that marks the rim of an object in the number of a pixel

/** Objects of one kind in one plane. */
class Layer {
  constructor(ids, labels, places, canvas) {
    Object.assign(this, { ids, labels, canvas });
    [this.rows, this.columns] = ids.shape;
    Object.assign(canvas, { width: this.columns, height: this.rows });
    this.pixels = withRims(places, this.rows, this.columns);
    this.picture = new ImageData(this.columns, this.rows);
    this.words = new Uint32Array(this.picture.data.buffer);
    this.placeOf = new Map(labels.map((label, i) => [label, i]));
  }

  static async read(ids, canvas) {
    const [labels, places] = await Promise.all([unpack(ids.labels), unpack(ids.places)]);
    const named = Array.from(new Uint32Array(labels));
    return new Layer(ids, named, named.length < 65536 ? new Uint16Array(places) : new Uint32Array(places), canvas);
  }

  /** The label at a share of width and height, 0 for none. */
  labelAt(right, down) {
    const column = Math.min(this.columns - 1, Math.floor(right * this.columns));
    const row = Math.min(this.rows - 1, Math.floor(down * this.rows));
    const place = this.pixels[row * this.columns + column] & ~RIM;
    return place ? this.labels[place - 1] : 0;
  }

  draw(state) {
    const { inside, rim } = this.palette(state);
    const { pixels, words } = this;
    for (let i = 0; i < pixels.length; i++) {
      const pixel = pixels[i];
      words[i] = pixel >= RIM ? rim[pixel - RIM] : inside[pixel];
    }
    this.canvas.getContext("2d").putImageData(this.picture, 0, 0);
  }

  /** Colour of inside and rim by place in `labels`, as one number per colour (little-endian). */
  palette(state) {
    const { kind } = this.ids;
    const colors = colorsOf(state, kind, this.labels);
    const byColumn = kind === state.active && state.column;
    const alpha = byColumn ? INSIDE.column : state.data.kinds[kind].color ? INSIDE.kind : INSIDE.own;
    const [inside, rim] = [new Uint32Array(this.labels.length + 1), new Uint32Array(this.labels.length + 1)];
    this.labels.forEach((label, i) => {
      if (!colors[4 * i + 3]) return;
      const chosen = state.is(state.selected, kind, label);
      const rgb = colors[4 * i] | (colors[4 * i + 1] << 8) | (colors[4 * i + 2] << 16);
      inside[i + 1] = rgb | (Math.round(255 * (chosen ? 0.75 : alpha)) << 24);
      rim[i + 1] = chosen ? 0xffffffff : rgb | 0xff000000;
    });
    return { inside, rim };
  }
}

/** Numbers of pixels; those at the rim of an object, inside of it, are marked. */
function withRims(places, rows, columns) {
  const out = Uint32Array.from(places);
  const mark = (i, j) => {
    if (places[i] === places[j]) return;
    if (places[i]) out[i] = RIM + places[i];
    if (places[j]) out[j] = RIM + places[j];
  };
  for (let row = 0; row < rows; row++) {
    for (let i = row * columns; i < (row + 1) * columns; i++) {
      if (i + 1 < (row + 1) * columns) mark(i, i + 1);
      if (row + 1 < rows) mark(i, i + columns);
    }
  }
  return out;
}

/** Replaces the still layers of a plane by drawn ones, and answers to the pointer. */
async function showPlane(state, figure, allIds, card) {
  const frame = figure.querySelector(".frame");
  const layers = [];
  for (const ids of allIds) {
    const still = frame.querySelector(`.layer-${ids.kind}`);
    const canvas = element("canvas", { className: `layer layer-${ids.kind}` });
    const layer = await Layer.read(ids, canvas);
    still.replaceWith(canvas);
    layers.push(layer);
  }
  state.watch(["active", "columns", "palette", "found", "selected"], () => layers.forEach((layer) => layer.draw(state)));
  frame.addEventListener("pointermove", (event) => {
    const object = objectAt(state, layers, frame, event);
    card.show(object, event);
    frame.style.cursor = object ? "pointer" : "";
  });
  frame.addEventListener("pointerleave", (event) => card.show(null, event));
  frame.addEventListener("click", (event) => state.set({ selected: objectAt(state, layers, frame, event) }));
}

/** The uppermost object below the pointer; of the active kind, if there is one. */
function objectAt(state, layers, frame, event) {
  const { left, top, width, height } = frame.getBoundingClientRect();
  const [right, down] = [(event.clientX - left) / width, (event.clientY - top) / height];
  const found = layers
    .filter((layer) => state.visible[layer.ids.kind])
    .map((layer) => ({ kind: layer.ids.kind, label: layer.labelAt(right, down) }))
    .filter((object) => object.label);
  return found.find((object) => object.kind === state.active) || found.pop() || null;
}
