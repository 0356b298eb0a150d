// Beside the 3D view: what is shown, where it is cut, from where it is seen.

const GROUNDS = { dark: [0.047, 0.075, 0.102], light: [1, 1, 1] };

/** Connects the controls of the 3D view. */
function showPanel(state, viewer, panel) {
  for (const slider of panel.querySelectorAll("[data-opacity]")) connectOpacity(viewer, slider);
  connectCut(viewer, panel);
  for (const button of panel.querySelectorAll("[data-from]")) {
    button.addEventListener("click", () => viewer.reset(VIEWS[button.dataset.from]));
  }
  panel.querySelector("#light").addEventListener("change", (event) => {
    viewer.ground = GROUNDS[event.target.checked ? "light" : "dark"];
    viewer.canvas.parentElement.classList.toggle("light", event.target.checked);
    viewer.requestDraw();
  });
  panel.querySelector("#save").addEventListener("click", () => savePicture(state, viewer));
  state.watch(["selected", "active", "columns"], () => showChosen(state, panel.querySelector("#chosen")));
  panel.hidden = false;
}

/** A slider for the opacity of a kind. */
function connectOpacity(viewer, slider) {
  const parts = viewer.parts.filter((part) => part.mesh.kind === Number(slider.dataset.opacity));
  slider.closest("li").hidden = !parts.length;
  if (parts.length) slider.value = parts[0].opacity;
  slider.addEventListener("input", () => {
    for (const part of parts) part.opacity = Number(slider.value);
    viewer.requestDraw();
  });
}

/** Axis, place and side of the cut. */
function connectCut(viewer, panel) {
  const [slider, flip, where] = ["cut", "flip", "cut-at"].map((id) => panel.querySelector(`#${id}`));
  const update = () => {
    const axis = panel.querySelector("[name=axis]:checked").value;
    slider.disabled = flip.disabled = axis === "";
    const place = Number(slider.value);
    viewer.cut = axis === "" ? null : { axis: Number(axis), place, flipped: flip.checked };
    const um = viewer.cut && viewer.low[viewer.cut.axis] + place * (viewer.high[viewer.cut.axis] - viewer.low[viewer.cut.axis]);
    where.textContent = viewer.cut ? `${"xyz"[viewer.cut.axis]} = ${um.toFixed(2)} µm` : "";
    viewer.requestDraw();
  };
  for (const input of panel.querySelectorAll("[name=axis], #cut, #flip")) input.addEventListener("input", update);
  update();
}

/** The object that is selected, with its values. */
function showChosen(state, box) {
  const { selected } = state;
  box.hidden = !selected;
  if (!selected) return;
  box.replaceChildren(element("h3", { textContent: objectTitle(state, selected) }), valueList(state, selected, 8));
}
