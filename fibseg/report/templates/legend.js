// What colours mean: the choice of a column and of a scale, and the legend of both.

/** Fills the bar of colours, and keeps it right. */
function showColors(state, box) {
  const { data } = state;
  const [tabs, column, palette, legend] = ["tabs", "column", "palette", "legend"].map((id) => box.querySelector(`#${id}`));
  data.kinds.forEach((kind, i) => {
    if (kind.table) tabs.append(kindTab(state, i));
  });
  tabs.hidden = tabs.children.length < 2;
  palette.append(...Object.keys(data.palettes).map((name) => new Option(name, name)));
  column.addEventListener("change", () => state.setColumn(column.value));
  palette.addEventListener("change", () => state.set({ palette: palette.value }));
  state.watch(["active"], () => column.replaceChildren(...columnOptions(state)));
  state.watch(["active", "columns", "palette"], () => {
    column.value = state.column;
    const about = state.table.byName.get(state.column);
    palette.closest("label").hidden = !about || about.type !== "number";
    legend.replaceChildren(...legendOf(state, about));
  });
  box.hidden = false;
}

function kindTab(state, index) {
  const tab = element("button", { type: "button", textContent: state.data.kinds[index].name });
  tab.addEventListener("click", () => state.set({ active: index, found: null, selected: null }));
  state.watch(["active"], () => tab.setAttribute("aria-pressed", String(state.active === index)));
  return tab;
}

function columnOptions(state) {
  const group = (label, types) => {
    const columns = state.table.columns.filter((c) => types.includes(c.type));
    const made = element("optgroup", { label });
    made.append(...columns.map((c) => new Option(c.title, c.name)));
    return made;
  };
  const own = new Option(state.kind.color ? "nothing: one colour" : "object: a colour each", "");
  return [own, group("classes", ["class"]), group("measures", ["number"])].filter((o) => o.value === "" || o.children.length);
}

/** Nodes that say which colour means what. */
function legendOf(state, about) {
  if (!about) return ownLegend(state);
  return about.type === "class" ? classLegend(state, about) : scaleLegend(state, about);
}

function ownLegend(state) {
  const { color, name } = state.kind;
  const text = color ? name : `every one of the ${name} has a colour of its own`;
  return color ? [chip(css(color), text)] : [element("span", { className: "said", textContent: text })];
}

function chip(background, text) {
  const dot = element("span", { className: "swatch" });
  dot.style.background = background;
  return element("span", { className: "chip" }, dot, text);
}

function classLegend(state, about) {
  const chips = about.classes.map((word, i) => chip(css(about.colors[i]), `${word} ${about.counts[i]}`));
  const n = about.counts.reduce((sum, count) => sum + count, 0);
  if (n < state.table.n_objects) chips.push(chip(css(state.data.missing), `none ${state.table.n_objects - n}`));
  return chips;
}

function scaleLegend(state, about) {
  if (!about.range) return [element("span", { className: "said", textContent: "no object has a value" })];
  const [low, high] = about.range;
  const bar = element("span", { className: "scale" });
  bar.style.background = scaleBackground(state);
  const end = (value) => element("span", { className: "end", textContent: shownValue(value) });
  const said = element("span", { className: "said", textContent: "2nd to 98th percentile; grey: no value" });
  return [end(low), bar, end(high), said];
}
