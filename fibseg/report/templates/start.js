// Brings the page to life; without it every section still stands as Python wrote it.

async function start() {
  for (const button of document.querySelectorAll("[data-copy]")) connectCopy(button);
  const data = await readData();
  const state = new State(data);
  const card = new Card(state, document.getElementById("card"));
  connectSwitches(state);
  await Promise.all([...document.querySelectorAll("[data-view]")].map(
    (figure) => showPlane(state, figure, data.planes[Number(figure.dataset.view)], card),
  ));
  if (state.active >= 0) {
    showColors(state, document.getElementById("colors"));
    new TableView(state, document.getElementById("objects"));
  }
  if (data.meshes.length) await showScene(state, card);
  document.documentElement.classList.add("alive");
}

/** The switches of the planes work without scripts; the 3D view follows them. */
function connectSwitches(state) {
  state.data.kinds.forEach((_, i) => {
    const box = document.getElementById(`show-${i}`);
    const update = () => state.set({ visible: state.visible.map((old, k) => (k === i ? box.checked : old)) });
    box.addEventListener("change", update);
    update();
  });
}

/** Starts the 3D view, or says why it stands still. */
async function showScene(state, card) {
  const [canvas, still, stillNote] = ["canvas", "still", "still-note"].map((id) => document.getElementById(id));
  let viewer;
  try {
    viewer = new Viewer(canvas, await Promise.all(state.data.meshes.map(readMesh)), state.data.size);
  } catch (error) {
    stillNote.textContent = `${error.message} The picture stands still.`;
    stillNote.hidden = false;
    return;
  }
  for (const node of [still, stillNote]) node.hidden = true;
  for (const id of ["canvas", "bar3d", "axes", "help3d"]) document.getElementById(id).removeAttribute("hidden");
  showBearings(viewer, document.getElementById("bar3d"), document.getElementById("axes"));
  showPanel(state, viewer, document.getElementById("panel"));
  connectViewer(state, viewer, card);
}

function connectViewer(state, viewer, card) {
  const hint = document.getElementById("hint3d");
  new Pointer(viewer, {
    hover: (object, event) => {
      card.show(object, event);
      viewer.canvas.style.cursor = object ? "pointer" : "";
      if (object || state.hovered) state.set({ hovered: object });
    },
    click: (object) => state.set({ selected: object }),
    open: (object) => viewer.center(object),
    hint: () => {
      hint.classList.add("seen");
      clearTimeout(hint.timer);
      hint.timer = setTimeout(() => hint.classList.remove("seen"), 1400);
    },
  });
  state.addEventListener("open", () => state.selected && viewer.center(state.selected));
  state.watch(["visible"], () => {
    for (const part of viewer.parts) part.visible = state.visible[part.mesh.kind];
    viewer.requestDraw();
  });
  state.watch(["selected", "hovered"], () => {
    viewer.marked = { selected: state.selected, hovered: state.hovered };
    viewer.requestDraw();
  });
  state.watch(["active", "columns", "palette", "found"], () => {
    viewer.active = state.active;
    for (const part of viewer.parts) viewer.setColors(part, colorsOf(state, part.mesh.kind, part.mesh.labels));
  });
}

start().catch((error) => {
  const note = element("p", { className: "wrap failed", textContent: `The interactive part does not work here: ${error.message}` });
  document.querySelector("main").before(note);
  throw error;
});
