// The 3D view: draws meshes, solid ones first, then shells from back to front; picks objects.

class Viewer {
  constructor(canvas, meshes, sizeUm) {
    this.canvas = canvas;
    this.parts = meshes.map((mesh) => ({
      mesh, opacity: mesh.opacity, visible: true, colors: new Uint8Array(4 * mesh.labels.length),
    }));
    [this.low, this.high] = boundsOf(meshes, sizeUm);
    this.camera = new Camera(this.low, this.high);
    this.ground = [0.047, 0.075, 0.102];
    this.cut = null; // {axis, place from 0 to 1, flipped}
    this.marked = { selected: null, hovered: null }; // {kind, label}
    this.active = -1; // kind in the table
    this.drawn = new EventTarget();
    this.gl = canvas.getContext("webgl2", { antialias: true, alpha: false });
    if (!this.gl) throw new Error("This browser shows no WebGL 2.");
    this.build();
    canvas.addEventListener("webglcontextlost", (event) => event.preventDefault());
    canvas.addEventListener("webglcontextrestored", () => this.build());
    new ResizeObserver(() => this.requestDraw()).observe(canvas);
  }

  /** Puts all that is drawn onto the graphics card. */
  build() {
    const { gl } = this;
    this.mesh = buildProgram(gl, MESH_VERTEX, MESH_FRAGMENT);
    this.line = buildProgram(gl, LINE_VERTEX, LINE_FRAGMENT);
    for (const part of this.parts) {
      part.buffers = new MeshBuffers(gl, part.mesh);
      part.buffers.setColors(part.colors);
    }
    this.edges = this.buildEdges();
    this.target = null;
    gl.enable(gl.DEPTH_TEST);
    gl.blendFuncSeparate(gl.SRC_ALPHA, gl.ONE_MINUS_SRC_ALPHA, gl.ONE, gl.ONE_MINUS_SRC_ALPHA);
    this.requestDraw();
  }

  /** The twelve edges of the volume. */
  buildEdges() {
    const { gl, low, high } = this;
    const corner = (bits) => low.map((v, axis) => ((bits >> axis) & 1 ? high[axis] : v));
    const places = [];
    for (let bits = 0; bits < 8; bits++) {
      for (let axis = 0; axis < 3; axis++) {
        if (!((bits >> axis) & 1)) places.push(...corner(bits), ...corner(bits | (1 << axis)));
      }
    }
    const array = gl.createVertexArray();
    gl.bindVertexArray(array);
    gl.bindBuffer(gl.ARRAY_BUFFER, gl.createBuffer());
    gl.bufferData(gl.ARRAY_BUFFER, new Float32Array(places), gl.STATIC_DRAW);
    gl.enableVertexAttribArray(0);
    gl.vertexAttribPointer(0, 3, gl.FLOAT, false, 0, 0);
    gl.bindVertexArray(null);
    return { array, n: places.length / 3 };
  }

  setColors(part, colors) {
    part.colors = colors;
    part.buffers.setColors(colors);
    this.requestDraw();
  }

  /** Shows all, turned as given, or as at first. */
  reset(turn) {
    this.camera.reset(turn);
    this.camera.fit(this.aspect);
    this.requestDraw();
  }

  /** Draws with the next frame, once however often it is asked. */
  requestDraw() {
    if (this.frame) return;
    this.frame = requestAnimationFrame(() => {
      this.frame = 0;
      this.draw();
    });
  }

  resize() {
    const ratio = Math.min(window.devicePixelRatio || 1, 3);
    const width = Math.max(1, Math.round(this.canvas.clientWidth * ratio));
    const height = Math.max(1, Math.round(this.canvas.clientHeight * ratio));
    if (this.canvas.width !== width || this.canvas.height !== height) {
      Object.assign(this.canvas, { width, height });
    }
  }

  get isLight() { return this.ground[0] > 0.5; }

  get aspect() { return this.canvas.width / this.canvas.height; }

  draw() {
    const { gl } = this;
    if (gl.isContextLost()) return;
    this.resize();
    this.camera.fit(this.aspect);
    gl.bindFramebuffer(gl.FRAMEBUFFER, null);
    gl.viewport(0, 0, this.canvas.width, this.canvas.height);
    gl.depthMask(true);
    gl.clearColor(...this.ground, 1);
    gl.clear(gl.COLOR_BUFFER_BIT | gl.DEPTH_BUFFER_BIT);
    const view = this.camera.matrix(this.aspect);
    this.drawEdges(view);
    const shown = this.parts.filter((part) => part.visible && part.opacity > 0);
    this.useMeshes(view, false);
    this.drawSolids(shown.filter((part) => part.opacity >= 1));
    this.drawShells(shown.filter((part) => part.opacity < 1));
    this.drawn.dispatchEvent(new Event("drawn"));
  }

  drawEdges(view) {
    const { gl } = this;
    gl.disable(gl.BLEND);
    gl.useProgram(this.line.program);
    gl.uniformMatrix4fv(this.line.at.u_view, false, view);
    gl.uniform4fv(this.line.at.u_color, this.isLight ? [0.8, 0.83, 0.86, 1] : [0.2, 0.26, 0.31, 1]);
    gl.bindVertexArray(this.edges.array);
    gl.drawArrays(gl.LINES, 0, this.edges.n);
  }

  useMeshes(view, picking) {
    const { gl } = this;
    const { program, at } = this.mesh;
    gl.useProgram(program);
    gl.uniformMatrix4fv(at.u_view, false, view);
    gl.uniformMatrix3fv(at.u_turn, false, this.camera.normals);
    gl.uniform3fv(at.u_ground, this.ground);
    gl.uniform3fv(at.u_mark, this.isLight ? [0.84, 0.05, 0.28] : [1, 0.97, 0.62]);
    gl.uniform4fv(at.u_cut, this.cutPlane());
    gl.uniform1i(at.u_picking, picking ? 1 : 0);
  }

  /** Direction and limit of what is cut away; nothing, if there is no cut. */
  cutPlane() {
    if (!this.cut) return [0, 0, 0, 1];
    const { axis, place, flipped } = this.cut;
    const sign = flipped ? -1 : 1;
    const limit = this.low[axis] + place * (this.high[axis] - this.low[axis]);
    const plane = [0, 0, 0, sign * limit];
    plane[axis] = sign;
    return plane;
  }

  drawPart(part) {
    const { gl } = this;
    const { at } = this.mesh;
    const place = (mark) => {
      const is = mark && mark.kind === part.mesh.kind;
      return is ? part.mesh.placeOf.get(mark.label) ?? -1 : -1;
    };
    gl.uniform3fv(at.u_origin, part.mesh.origin);
    gl.uniform3fv(at.u_extent, part.mesh.extent);
    gl.uniform1f(at.u_opacity, part.opacity);
    gl.uniform1i(at.u_selected, place(this.marked.selected));
    gl.uniform1i(at.u_hovered, place(this.marked.hovered));
    gl.uniform1i(at.u_part, this.parts.indexOf(part));
    part.buffers.draw();
  }

  drawSolids(parts) {
    const { gl } = this;
    gl.disable(gl.CULL_FACE);
    gl.disable(gl.BLEND);
    for (const part of parts) this.drawPart(part);
  }

  /** Shells lie in each other: back faces from the largest to the smallest, front faces back. */
  drawShells(parts) {
    const { gl } = this;
    const bySize = [...parts].sort((a, b) => sizeOf(b.mesh) - sizeOf(a.mesh));
    gl.enable(gl.BLEND);
    gl.enable(gl.CULL_FACE);
    gl.depthMask(false);
    gl.cullFace(gl.FRONT);
    for (const part of bySize) this.drawPart(part);
    gl.cullFace(gl.BACK);
    for (const part of bySize.reverse()) this.drawPart(part);
    gl.disable(gl.CULL_FACE);
    gl.depthMask(true);
  }

  /** The object at a place of the canvas in CSS pixels, or null. */
  pick(x, y) {
    const { gl } = this;
    if (gl.isContextLost()) return null;
    this.bindTarget();
    const ratio = this.canvas.width / this.canvas.clientWidth;
    const [column, row] = [Math.floor(x * ratio), this.canvas.height - 1 - Math.floor(y * ratio)];
    gl.enable(gl.SCISSOR_TEST);
    gl.scissor(column, row, 1, 1);
    gl.clearColor(0, 0, 0, 0);
    gl.clear(gl.COLOR_BUFFER_BIT | gl.DEPTH_BUFFER_BIT);
    this.useMeshes(this.camera.matrix(this.aspect), true);
    this.drawSolids(this.parts.filter((part) => this.canBePicked(part)));
    const bytes = new Uint8Array(4);
    gl.readPixels(column, row, 1, 1, gl.RGBA, gl.UNSIGNED_BYTE, bytes);
    gl.disable(gl.SCISSOR_TEST);
    gl.bindFramebuffer(gl.FRAMEBUFFER, null);
    const part = this.parts[bytes[3] - 1];
    const place = bytes[0] + 256 * bytes[1] + 65536 * bytes[2] - 1;
    return part ? { kind: part.mesh.kind, label: part.mesh.labels[place] } : null;
  }

  /** A click goes through shells, such as the cell, but not through the kind in the table. */
  canBePicked(part) {
    return part.visible && part.opacity > 0 && (part.opacity >= 1 || part.mesh.kind === this.active);
  }

  /** Picture without smoothing of edges, whose colours are numbers of objects. */
  bindTarget() {
    const { gl } = this;
    const { width, height } = this.canvas;
    if (!this.target || this.target.width !== width || this.target.height !== height) {
      if (this.target) gl.deleteFramebuffer(this.target.frame);
      const frame = gl.createFramebuffer();
      gl.bindFramebuffer(gl.FRAMEBUFFER, frame);
      for (const [format, place] of [[gl.RGBA8, gl.COLOR_ATTACHMENT0], [gl.DEPTH_COMPONENT16, gl.DEPTH_ATTACHMENT]]) {
        const buffer = gl.createRenderbuffer();
        gl.bindRenderbuffer(gl.RENDERBUFFER, buffer);
        gl.renderbufferStorage(gl.RENDERBUFFER, format, width, height);
        gl.framebufferRenderbuffer(gl.FRAMEBUFFER, place, gl.RENDERBUFFER, buffer);
      }
      this.target = { frame, width, height };
    }
    gl.bindFramebuffer(gl.FRAMEBUFFER, this.target.frame);
    gl.viewport(0, 0, width, height);
  }

  /** Brings an object to the middle. */
  center({ kind, label }) {
    const part = this.parts.find((p) => p.mesh.kind === kind && p.mesh.placeOf.has(label));
    if (!part) return;
    this.camera.center = middleOf(part.mesh, label);
    this.requestDraw();
  }
}

/** Corners (x, y, z) in µm of the volume, or of all meshes where its size is not told. */
function boundsOf(meshes, sizeUm) {
  if (sizeUm) return [[0, 0, 0], sizeUm];
  const low = [0, 1, 2].map((axis) => Math.min(...meshes.map((m) => m.origin[axis])));
  const high = [0, 1, 2].map((axis) => Math.max(...meshes.map((m) => m.origin[axis] + m.extent[axis])));
  return [low, high];
}

function sizeOf(mesh) { return mesh.extent[0] * mesh.extent[1] * mesh.extent[2]; }
