// The search: words, labels, and conditions such as volume_um3 > 0.5.

const CONDITION = /([^\s<>=!,"]+)\s*(<=|>=|!=|<|>|=)\s*("[^"]*"|[^\s,]+)/g;

const COMPARE = {
  "<": (a, b) => a < b, "<=": (a, b) => a <= b, ">": (a, b) => a > b, ">=": (a, b) => a >= b,
  "=": (a, b) => a === b, "!=": (a, b) => a !== b,
};

/** Rows that a search finds, as 1 and 0; null where it is empty. Throws with words to show. */
function search(table, text) {
  const tests = [];
  const rest = text.replace(CONDITION, (_, name, sign, value) => {
    tests.push(condition(table, name, sign, value));
    return " ";
  });
  for (const word of rest.split(/[\s,]+/).filter((w) => w && w.toLowerCase() !== "and")) tests.push(wordTest(table, word));
  if (!tests.length) return null;
  return Uint8Array.from(table.labels, (_, row) => (tests.every((test) => test(row)) ? 1 : 0));
}

/** A test of rows by the values of a column; a missing value meets no condition but !=. */
function condition(table, name, sign, quoted) {
  const column = columnNamed(table, name);
  const values = table.values.get(column.name);
  const word = quoted.replaceAll('"', "");
  const compare = COMPARE[sign];
  if (["number", "identity"].includes(column.type)) {
    const limit = Number(word.replace(",", ".").replace("−", "-"));
    if (word === "" || Number.isNaN(limit)) throw new Error(`“${word}” is no number to compare ${column.name} with.`);
    return (row) => values[row] !== null && compare(values[row], limit);
  }
  return (row) => compare(String(values[row]).toLowerCase(), word.toLowerCase());
}

/** The column of this name, or the only one whose name begins with or contains it. */
function columnNamed(table, name) {
  const low = name.toLowerCase();
  const names = [...table.byName.keys()];
  for (const fits of [(n) => n === low, (n) => n.startsWith(low), (n) => n.includes(low)]) {
    const found = names.filter((n) => fits(n.toLowerCase()));
    if (found.length === 1) return table.byName.get(found[0]);
    if (found.length > 1) throw new Error(`“${name}” can be ${found.join(", ")}. Write one of them.`);
  }
  throw new Error(`There is no column “${name}”. There are ${names.join(", ")}.`);
}

/** A number is a label; anything else is looked for in the columns of words. */
function wordTest(table, word) {
  if (/^\d+$/.test(word)) return (row) => table.labels[row] === Number(word);
  const low = word.toLowerCase();
  const columns = table.columns.filter((c) => ["class", "text"].includes(c.type)).map((c) => table.values.get(c.name));
  return (row) => columns.some((values) => values[row] !== null && String(values[row]).toLowerCase().includes(low));
}
