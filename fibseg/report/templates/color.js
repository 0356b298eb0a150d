// Colours of objects: of their kind, their own, or by a column.

/** Colour at a place from 0 to 1 of a scale given as a few colours. */
function mixed(stops, place) {
  const at = Math.min(Math.max(place, 0), 1) * (stops.length - 1);
  const below = Math.min(Math.floor(at), stops.length - 2);
  return stops[below].map((c, i) => Math.round(c + (stops[below + 1][i] - c) * (at - below)));
}

/** The object's own colour, the same as in the pictures that Python draws. */
function ownColor(palette, label) {
  const scattered = BigInt.asUintN(64, BigInt(label) * 2654435761n) >> 13n;
  return palette[Number(scattered % BigInt(palette.length))];
}

/** A function from (label, row) to a colour, for a kind as it is coloured now; row -1: unknown. */
function colorer(state, index) {
  const kind = state.data.kinds[index];
  const table = kind.table;
  const column = table && index === state.active ? table.byName.get(state.column) : null;
  if (!column) {
    return (label) => kind.color || ownColor(state.data.object_colors, label);
  }
  const values = table.values.get(column.name);
  const color = column.type === "class" ? classColorer(state, column) : valueColorer(state, column);
  return (label, row) => (row < 0 || values[row] === null ? state.data.missing : color(values[row]));
}

function classColorer(state, column) {
  const colors = new Map(column.classes.map((word, i) => [word, column.colors[i]]));
  return (word) => colors.get(word) || state.data.missing;
}

function valueColorer(state, column) {
  const stops = state.data.palettes[state.palette];
  const [low, high] = column.range || [0, 1];
  const span = high - low || 1;
  return (value) => mixed(stops, high > low ? (value - low) / span : 0.5);
}

/** RGBA of labels, four bytes each; opacity 0 for objects that the search did not find. */
function colorsOf(state, index, labels) {
  const bytes = new Uint8Array(labels.length * 4);
  const table = state.data.kinds[index].table;
  const color = colorer(state, index);
  const found = index === state.active ? state.found : null;
  labels.forEach((label, i) => {
    const row = table ? (table.rowOf.get(label) ?? -1) : -1;
    bytes.set(color(label, row), 4 * i);
    bytes[4 * i + 3] = found && !(row >= 0 && found[row]) ? 0 : 255;
  });
  return bytes;
}

function css(color) { return `rgb(${color.join(" ")})`; }

/** The scale of the palette in use, as a background. */
function scaleBackground(state) {
  return `linear-gradient(90deg, ${state.data.palettes[state.palette].map(css).join(", ")})`;
}
