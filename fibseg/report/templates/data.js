// What Python embedded, unpacked, and what the reader has chosen.

/** Bytes of a text made by Python's `packed`: base64 of a zlib stream. */
async function unpack(text) {
  const binary = atob(text);
  const bytes = new Uint8Array(binary.length);
  for (let i = 0; i < binary.length; i++) bytes[i] = binary.charCodeAt(i);
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Response(stream).arrayBuffer();
}

/** Turns differences into numbers, in place. */
function summed(numbers) {
  for (let i = 1; i < numbers.length; i++) numbers[i] += numbers[i - 1];
  return numbers;
}

/** All objects of one kind: a column is an array of numbers, words or null. */
class Table {
  constructor(about, lists) {
    Object.assign(this, about);
    this.values = new Map(about.columns.map((column, i) => [column.name, lists[i]]));
    this.byName = new Map(about.columns.map((column) => [column.name, column]));
    this.labels = this.values.get("label");
    this.rowOf = new Map(this.labels.map((label, row) => [label, row]));
  }

  static async read(about) {
    return new Table(about, JSON.parse(new TextDecoder().decode(await unpack(about.values))));
  }

  value(name, row) { return this.values.get(name)[row]; }
}

/** Reads the data of the page; tables become `Table`s. */
async function readData() {
  const data = JSON.parse(document.getElementById("data").textContent);
  for (const kind of data.kinds) {
    if (kind.table) kind.table = await Table.read(kind.table);
  }
  return data;
}

/** What is chosen now; whoever shows it listens to "change", whose detail names what changed. */
class State extends EventTarget {
  constructor(data) {
    super();
    this.data = data;
    this.active = data.kinds.findIndex((kind) => kind.table); // coloured by a column, in the table
    this.columns = data.kinds.map((kind) => (kind.table ? kind.table.color_by : ""));
    this.palette = Object.keys(data.palettes)[0];
    this.selected = null; // {kind, label}
    this.hovered = null;
    this.found = null; // of the active kind: 1 for rows that the search found, null for all
    this.visible = data.kinds.map(() => true);
  }

  get kind() { return this.data.kinds[this.active]; }
  get table() { return this.kind ? this.kind.table : null; }
  get column() { return this.columns[this.active] || ""; }

  set(changes) {
    Object.assign(this, changes);
    this.dispatchEvent(new CustomEvent("change", { detail: new Set(Object.keys(changes)) }));
  }

  /** Calls `listener` now, and whenever one of `names` changes. */
  watch(names, listener) {
    this.addEventListener("change", (event) => {
      if (names.some((name) => event.detail.has(name))) listener();
    });
    listener();
  }

  setColumn(name) {
    this.set({ columns: this.columns.map((old, i) => (i === this.active ? name : old)) });
  }

  is(what, kind, label) {
    return what !== null && what.kind === kind && what.label === label;
  }
}

/** Element with properties and children; text goes in as text, never as HTML. */
function element(tag, properties = {}, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}

/** Value as a reader wants it: four digits, a true minus; missing is a dash. */
function shownValue(value) {
  if (value === null || value === "") return "–";
  if (typeof value !== "number") return String(value);
  if (Number.isInteger(value)) return String(value).replace("-", "−");
  return String(Number(value.toPrecision(4))).replace("-", "−");
}

/** Whole number with thin spaces between thousands. */
function grouped(n) { return String(n).replace(/\B(?=(\d{3})+$)/g, "\u2009"); }
