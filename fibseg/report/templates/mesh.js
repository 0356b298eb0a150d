// Meshes: from packed numbers to what the graphics card holds.

/** Numbers of a mesh, ready to upload; kept, since a graphics card can lose what it holds. */
async function readMesh(packed) {
  const [places, faces, objects, labels] = await Promise.all(
    ["places", "faces", "objects", "labels"].map((name) => unpack(packed[name])),
  );
  const mesh = {
    ...packed,
    places: interleaved(new Uint16Array(places)),
    faces: summed(new Uint32Array(faces)),
    objects: summed(new Uint32Array(objects)),
    labels: Array.from(new Uint32Array(labels)),
  };
  mesh.normals = normalsOf(mesh);
  mesh.placeOf = new Map(mesh.labels.map((label, i) => [label, i]));
  return mesh;
}

/** x x … y y … z z … becomes x y z 0 x y z 0 …: graphics cards like multiples of four bytes. */
function interleaved(rows) {
  const n = rows.length / 3;
  const out = new Uint16Array(4 * n);
  for (let i = 0; i < n; i++) {
    for (let axis = 0; axis < 3; axis++) out[4 * i + axis] = rows[axis * n + i];
  }
  return out;
}

/** Place of a vertex in µm along an axis. */
function placeUm(mesh, vertex, axis) {
  return mesh.origin[axis] + (mesh.places[4 * vertex + axis] / 65535) * mesh.extent[axis];
}

/** Normals of vertices: those of the faces around, larger faces count more. Four bytes each. */
function normalsOf(mesh) {
  const { faces, places, extent } = mesh;
  const n = places.length / 4;
  const sums = new Float32Array(3 * n);
  const unit = extent.map((length) => length / Math.max(...extent));
  for (let f = 0; f < faces.length; f += 3) {
    const [a, b, c] = [4 * faces[f], 4 * faces[f + 1], 4 * faces[f + 2]];
    const ux = (places[b] - places[a]) * unit[0], vx = (places[c] - places[a]) * unit[0];
    const uy = (places[b + 1] - places[a + 1]) * unit[1], vy = (places[c + 1] - places[a + 1]) * unit[1];
    const uz = (places[b + 2] - places[a + 2]) * unit[2], vz = (places[c + 2] - places[a + 2]) * unit[2];
    const nx = uy * vz - uz * vy, ny = uz * vx - ux * vz, nz = ux * vy - uy * vx;
    for (let k = 0; k < 3; k++) {
      const at = 3 * faces[f + k];
      sums[at] += nx;
      sums[at + 1] += ny;
      sums[at + 2] += nz;
    }
  }
  const out = new Int8Array(4 * n);
  for (let i = 0; i < n; i++) {
    const [x, y, z] = [sums[3 * i], sums[3 * i + 1], sums[3 * i + 2]];
    const scale = 127 / (Math.hypot(x, y, z) || 1);
    out[4 * i] = Math.round(x * scale);
    out[4 * i + 1] = Math.round(y * scale);
    out[4 * i + 2] = Math.round(z * scale);
  }
  return out;
}

/** Middle of the box around an object, in µm. */
function middleOf(mesh, label) {
  const place = mesh.placeOf.get(label);
  const low = [Infinity, Infinity, Infinity], high = [-Infinity, -Infinity, -Infinity];
  mesh.objects.forEach((object, vertex) => {
    if (object !== place) return;
    for (let axis = 0; axis < 3; axis++) {
      const um = placeUm(mesh, vertex, axis);
      low[axis] = Math.min(low[axis], um);
      high[axis] = Math.max(high[axis], um);
    }
  });
  return low.map((v, i) => (v + high[i]) / 2);
}

/** Buffers of a mesh on the graphics card. */
class MeshBuffers {
  constructor(gl, mesh) {
    this.gl = gl;
    this.nIndices = mesh.faces.length;
    this.array = gl.createVertexArray();
    gl.bindVertexArray(this.array);
    this.attribute(0, mesh.places, () => gl.vertexAttribPointer(0, 3, gl.UNSIGNED_SHORT, true, 8, 0));
    this.attribute(1, mesh.normals, () => gl.vertexAttribPointer(1, 3, gl.BYTE, true, 4, 0));
    this.attribute(2, mesh.objects, () => gl.vertexAttribIPointer(2, 1, gl.UNSIGNED_INT, 4, 0));
    gl.bindBuffer(gl.ELEMENT_ARRAY_BUFFER, gl.createBuffer());
    gl.bufferData(gl.ELEMENT_ARRAY_BUFFER, mesh.faces, gl.STATIC_DRAW);
    gl.bindVertexArray(null);
    this.width = Math.min(Math.max(mesh.labels.length, 1), 2048);
    this.height = Math.max(1, Math.ceil(mesh.labels.length / this.width));
    this.texture = gl.createTexture();
  }

  attribute(place, values, point) {
    const { gl } = this;
    gl.bindBuffer(gl.ARRAY_BUFFER, gl.createBuffer());
    gl.bufferData(gl.ARRAY_BUFFER, values, gl.STATIC_DRAW);
    gl.enableVertexAttribArray(place);
    point();
  }

  /** RGBA of every object, four bytes each. */
  setColors(colors) {
    const { gl } = this;
    const texels = new Uint8Array(4 * this.width * this.height);
    texels.set(colors);
    gl.bindTexture(gl.TEXTURE_2D, this.texture);
    gl.texImage2D(gl.TEXTURE_2D, 0, gl.RGBA8, this.width, this.height, 0, gl.RGBA, gl.UNSIGNED_BYTE, texels);
    gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_MIN_FILTER, gl.NEAREST);
    gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_MAG_FILTER, gl.NEAREST);
  }

  draw() {
    const { gl } = this;
    gl.bindTexture(gl.TEXTURE_2D, this.texture);
    gl.bindVertexArray(this.array);
    gl.drawElements(gl.TRIANGLES, this.nIndices, gl.UNSIGNED_INT, 0);
  }
}
