// What a reader takes along: tables as CSV, the 3D view as PNG, the methods on the clipboard.

/** Comma-separated values as RFC 4180 has them. */
function csvText(table, rows, names) {
  const lines = [names, ...rows.map((row) => names.map((name) => table.value(name, row)))];
  return lines.map((line) => line.map(csvCell).join(",") + "\r\n").join("");
}

function csvCell(value) {
  const text = value === null ? "" : String(value);
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

/** A name that every file system takes. */
function fileName(text) { return text.replace(/[^\p{L}\p{N}._-]+/gu, "_").slice(0, 80) || "fibseg"; }

function save(blob, name) {
  const url = URL.createObjectURL(blob);
  element("a", { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), 10000);
}

/** The 3D view with its scale bar and the meaning of its colours, as PNG. */
function savePicture(state, viewer) {
  viewer.draw(); // the browser forgets what was drawn in an earlier task
  const { width, height } = viewer.canvas;
  const canvas = element("canvas", { width, height });
  const context = canvas.getContext("2d");
  context.drawImage(viewer.canvas, 0, 0);
  const unit = width / viewer.canvas.clientWidth;
  context.fillStyle = context.strokeStyle = viewer.isLight ? "#1b2733" : "#ffffff";
  context.font = `600 ${13 * unit}px system-ui, sans-serif`;
  drawBar(context, viewer, unit);
  drawLegend(context, state, unit);
  canvas.toBlob((blob) => save(blob, `${fileName(state.data.name)}-3d.png`));
}

function drawBar(context, viewer, unit) {
  const { um, share } = scaleBar(viewer);
  const { width, height } = context.canvas;
  const length = share * width;
  context.fillRect(width - length - 18 * unit, height - 22 * unit, length, 4 * unit);
  context.textAlign = "center";
  context.fillText(lengthText(um), width - length / 2 - 18 * unit, height - 30 * unit);
}

function drawLegend(context, state, unit) {
  const about = state.table && state.table.byName.get(state.column);
  if (!about || (about.type === "number" && !about.range)) return;
  context.textAlign = "left";
  const ink = context.fillStyle;
  context.fillText(about.title, 18 * unit, 28 * unit);
  if (about.type === "number") drawScale(context, state, about.range, unit);
  else {
    about.classes.forEach((word, i) => {
      const y = (38 + 20 * i) * unit;
      context.fillStyle = css(about.colors[i]);
      context.fillRect(18 * unit, y, 12 * unit, 12 * unit);
      context.fillStyle = ink;
      context.fillText(word, 36 * unit, y + 11 * unit);
    });
  }
}

function drawScale(context, state, [low, high], unit) {
  const stops = state.data.palettes[state.palette];
  const gradient = context.createLinearGradient(18 * unit, 0, 178 * unit, 0);
  stops.forEach((color, i) => gradient.addColorStop(i / (stops.length - 1), css(color).replaceAll(" ", ",")));
  const ink = context.fillStyle;
  context.fillStyle = gradient;
  context.fillRect(18 * unit, 38 * unit, 160 * unit, 10 * unit);
  context.fillStyle = ink;
  context.fillText(shownValue(low), 18 * unit, 64 * unit);
  context.textAlign = "right";
  context.fillText(shownValue(high), 178 * unit, 64 * unit);
}

/** Buttons that put the text of an element on the clipboard. */
function connectCopy(button) {
  const source = document.getElementById(button.dataset.copy);
  button.hidden = false;
  button.addEventListener("click", async () => {
    const text = [...source.children].map((paragraph) => paragraph.textContent).join("\n\n");
    try {
      await navigator.clipboard.writeText(text);
      button.textContent = "Copied";
    } catch {
      getSelection().selectAllChildren(source); // no clipboard for files in some browsers
      button.textContent = "Selected: press Ctrl+C";
    }
    setTimeout(() => { button.textContent = "Copy"; }, 2500);
  });
}
