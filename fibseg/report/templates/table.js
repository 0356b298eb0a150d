// The table of all objects: only rows in sight are elements, so that 20 000 scroll smoothly.

const ROW_PIXELS = 30;
const SPARE_ROWS = 8; // drawn above and below what is in sight

class TableView {
  constructor(state, section) {
    this.state = state;
    const at = (id) => section.querySelector(`#${id}`);
    Object.assign(this, {
      box: at("rows"), head: at("rows-head"), body: at("rows-body"), widths: at("rows-widths"), search: at("search"),
      count: at("count"), complaint: at("complaint"), chooser: at("chooser"), note: at("table-note"),
    });
    this.search.addEventListener("input", () => this.find());
    this.box.addEventListener("scroll", () => this.showRows());
    this.box.addEventListener("keydown", (event) => this.key(event));
    this.body.addEventListener("click", (event) => this.clicked(event));
    this.body.addEventListener("dblclick", () => state.dispatchEvent(new Event("open")));
    this.body.addEventListener("pointerover", (event) => this.over(event));
    this.body.addEventListener("pointerleave", () => state.set({ hovered: null }));
    const chooser = this.chooser.parentElement;
    document.addEventListener("click", (event) => { chooser.open &&= chooser.contains(event.target); });
    at("csv-shown").addEventListener("click", () => this.download(this.order, this.names));
    at("csv-all").addEventListener("click", () => this.download(state.table.labels.map((_, row) => row), [...state.table.byName.keys()]));
    state.watch(["active"], () => this.start());
    state.watch(["found"], () => this.arrange());
    state.watch(["columns", "palette"], () => this.showRows());
    state.watch(["selected"], () => this.showSelected());
    section.hidden = false;
    new ResizeObserver(() => this.showRows()).observe(this.box);
  }

  get table() { return this.state.table; }

  /** Another kind: its columns, unsorted, nothing searched. */
  start() {
    this.names = [...this.table.shown];
    this.sorted = { name: "", down: true };
    this.search.value = "";
    this.complaint.hidden = true;
    this.note.textContent = this.noteText();
    this.chooser.replaceChildren(...this.table.columns.map((column) => this.choice(column)));
    this.arrange();
  }

  noteText() {
    const { n_rows: nRows, n_objects: nObjects } = this.table;
    const part = nRows < nObjects ? `The ${grouped(nRows)} largest of ${grouped(nObjects)} objects; the table of the store has all. ` : "";
    return `${part}Numbers have five significant digits. Click a column to sort by it, a row to find the object in the pictures.`;
  }

  choice(column) {
    const box = element("input", { type: "checkbox", checked: this.names.includes(column.name) });
    box.addEventListener("change", () => {
      const chosen = new Set(this.names);
      if (box.checked) chosen.add(column.name);
      else chosen.delete(column.name);
      this.names = [...this.table.byName.keys()].filter((name) => chosen.has(name));
      this.showHead();
      this.showRows();
    });
    return element("label", { title: column.help }, box, column.title);
  }

  find() {
    try {
      const found = search(this.table, this.search.value);
      this.complaint.hidden = true;
      this.state.set({ found });
    } catch (error) {
      this.complaint.textContent = error.message;
      this.complaint.hidden = false;
    }
  }

  /** Rows found, in order. */
  arrange() {
    const { found } = this.state;
    const rows = this.table.labels.map((_, row) => row);
    this.order = this.inOrder(found ? rows.filter((row) => found[row]) : rows);
    const all = grouped(this.table.n_rows);
    this.count.textContent = found ? `${grouped(this.order.length)} of ${all} objects` : `${all} objects`;
    this.box.scrollTop = 0;
    this.showHead();
    this.showRows();
  }

  /** Missing values stand last in both directions. */
  inOrder(rows) {
    const { name, down } = this.sorted;
    if (!name) return rows;
    const values = this.table.values.get(name);
    const missing = (value) => value === null || value === "";
    const sign = down ? -1 : 1;
    return rows.sort((a, b) => {
      const [va, vb] = [values[a], values[b]];
      if (missing(va) || missing(vb)) return missing(va) - missing(vb);
      return sign * (va < vb ? -1 : va > vb ? 1 : 0);
    });
  }

  sortBy(name) {
    const again = this.sorted.name === name;
    if (again && !this.sorted.down) this.sorted = { name: "", down: true };
    else this.sorted = { name, down: !again };
    this.arrange();
  }

  showHead() {
    const columns = this.names.map((name) => this.table.byName.get(name));
    this.widths.replaceChildren(...columns.map((column) => {
      const made = element("col");
      made.style.width = `${Math.max(92, 28 + 7.2 * Math.min(column.title.length, 24))}px`;
      return made;
    }));
    this.head.replaceChildren(element("tr", {}, ...columns.map((column) => this.heading(column))));
  }

  heading(column) {
    const { name, down } = this.sorted;
    const button = element("button", { type: "button", title: `${column.help || column.title} (${column.name})` });
    button.append(column.title, element("span", { className: "arrow", textContent: column.name === name ? (down ? "↓" : "↑") : "" }));
    button.addEventListener("click", () => this.sortBy(column.name));
    const cell = element("th", { scope: "col", className: column.type }, button);
    cell.setAttribute("aria-sort", column.name === name ? (down ? "descending" : "ascending") : "none");
    return cell;
  }

  showRows() {
    const first = Math.max(0, Math.floor(this.box.scrollTop / ROW_PIXELS) - SPARE_ROWS);
    const n = Math.ceil(this.box.clientHeight / ROW_PIXELS) + 2 * SPARE_ROWS;
    const shown = this.order.slice(first, first + n);
    const columns = this.names.map((name) => this.table.byName.get(name));
    const color = colorer(this.state, this.state.active);
    this.body.replaceChildren(
      this.spacer(first), ...shown.map((row) => this.row(row, columns, color)),
      this.spacer(this.order.length - first - shown.length),
    );
  }

  spacer(n) {
    const row = element("tr", { ariaHidden: "true" });
    row.style.height = `${n * ROW_PIXELS}px`;
    return row;
  }

  row(row, columns, color) {
    const label = this.table.labels[row];
    const made = element("tr", { className: this.state.is(this.state.selected, this.state.active, label) ? "chosen" : "" });
    made.dataset.row = row;
    columns.forEach((column) => {
      const cell = element("td", { className: column.type, textContent: shownValue(this.table.value(column.name, row)) });
      if (column.name === "label") {
        const dot = element("span", { className: "swatch" });
        dot.style.background = css(color(label, row));
        cell.prepend(dot);
      }
      made.append(cell);
    });
    return made;
  }

  rowOf(event) {
    const row = event.target.closest("tr[data-row]");
    return row ? { kind: this.state.active, label: this.table.labels[Number(row.dataset.row)] } : null;
  }

  clicked(event) {
    const object = this.rowOf(event);
    if (object) this.state.set({ selected: object });
  }

  over(event) {
    const object = this.rowOf(event);
    if (object && !this.state.is(this.state.hovered, object.kind, object.label)) this.state.set({ hovered: object });
  }

  /** Arrows move the selection. */
  key(event) {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (!step || !this.order.length || event.target !== this.box) return;
    event.preventDefault();
    const now = this.state.selected ? this.order.indexOf(this.table.rowOf.get(this.state.selected.label)) : -1;
    const next = this.order[Math.min(Math.max(now + step, 0), this.order.length - 1)];
    this.state.set({ selected: { kind: this.state.active, label: this.table.labels[next] } });
  }

  /** Scrolls the table, and only the table, to the row of what is selected. */
  showSelected() {
    const { selected, active } = this.state;
    if (selected && selected.kind !== active && this.state.data.kinds[selected.kind].table) {
      this.state.set({ active: selected.kind, found: null });
    }
    const place = selected ? this.order.indexOf(this.table.rowOf.get(selected.label)) : -1;
    const top = place * ROW_PIXELS;
    const height = this.box.clientHeight - 2 * ROW_PIXELS;
    if (place >= 0 && (top < this.box.scrollTop || top > this.box.scrollTop + height)) {
      this.box.scrollTop = Math.max(0, top - height / 2);
    }
    this.showRows();
  }

  download(rows, names) {
    const name = fileName(`${this.state.data.name}-${this.state.kind.name}`);
    save(new Blob([csvText(this.table, rows, names)], { type: "text/csv" }), `${name}.csv`);
  }
}
