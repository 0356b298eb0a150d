// Camera: parallel projection, so that one scale bar holds for the whole picture.

/** Product of two 3 × 3 matrices, row by row. */
function times(a, b) {
  return a.map((_, i) => {
    const row = 3 * Math.floor(i / 3), column = i % 3;
    return a[row] * b[column] + a[row + 1] * b[column + 3] + a[row + 2] * b[column + 6];
  });
}

/** Turn about axis 0 (right), 1 (up) or 2 (towards the reader). */
function turnAbout(axis, angle) {
  const c = Math.cos(angle), s = Math.sin(angle);
  if (axis === 0) return [1, 0, 0, 0, c, -s, 0, s, c];
  if (axis === 1) return [c, 0, s, 0, 1, 0, -s, 0, c];
  return [c, -s, 0, s, c, 0, 0, 0, 1];
}

/** Product of the transpose of a 3 × 3 matrix and a vector: for a turn, the turn back. */
function timesTransposed(m, v) {
  return [0, 1, 2].map((i) => m[i] * v[0] + m[i + 3] * v[1] + m[i + 6] * v[2]);
}

/** The planes as the page shows them: rows of each are right, up and towards the reader. */
const VIEWS = {
  x: [0, 1, 0, 0, 0, -1, -1, 0, 0],
  y: [1, 0, 0, 0, 0, -1, 0, 1, 0],
  z: [1, 0, 0, 0, -1, 0, 0, 0, -1],
};
const START = times(turnAbout(0, 0.42), times(turnAbout(1, -0.55), VIEWS.z));

class Camera {
  constructor(low, high) {
    this.middle = low.map((v, i) => (v + high[i]) / 2);
    this.half = low.map((v, i) => Math.max((high[i] - v) / 2, 1e-3));
    this.radius = Math.hypot(...this.half);
    this.reset();
  }

  reset(turn = START) {
    this.turn = turn;
    this.center = [...this.middle];
    this.halfHeight = 0; // µm from the middle of the picture to its upper edge; 0 until `fit`
  }

  /** Shows the whole box, once after a reset: the picture may have no size before. */
  fit(aspect) {
    if (this.halfHeight) return;
    const reach = (row) => this.half.reduce((sum, v, i) => sum + Math.abs(this.turn[3 * row + i]) * v, 0);
    this.halfHeight = 1.06 * Math.max(reach(1), reach(0) / aspect);
  }

  rotate(right, down) {
    this.turn = times(turnAbout(0, down), times(turnAbout(1, right), this.turn));
  }

  /** Moves what is seen by a share of the height of the picture. */
  pan(right, up) {
    const step = timesTransposed(this.turn, [2 * right * this.halfHeight, 2 * up * this.halfHeight, 0]);
    this.center = this.center.map((v, i) => v - step[i]);
  }

  /** Larger by `factor` about a place, given as shares of the height from the middle. */
  zoom(factor, right = 0, up = 0) {
    const to = Math.min(Math.max(this.halfHeight / factor, this.radius / 200), this.radius * 4);
    const kept = to / this.halfHeight;
    this.pan(right * (kept - 1), up * (kept - 1));
    this.halfHeight = to;
  }

  /** From µm (x, y, z) to clip coordinates, column by column as WebGL takes it. */
  matrix(aspect) {
    const away = Math.hypot(...this.center.map((v, i) => v - this.middle[i]));
    const scales = [1 / (this.halfHeight * aspect), 1 / this.halfHeight, -1 / (this.radius * 1.1 + away)];
    const out = new Float32Array(16);
    for (let row = 0; row < 3; row++) {
      let shift = 0;
      for (let column = 0; column < 3; column++) {
        const value = this.turn[3 * row + column] * scales[row];
        out[4 * column + row] = value;
        shift -= value * this.center[column];
      }
      out[12 + row] = shift;
    }
    out[15] = 1;
    return out;
  }

  /** The turn alone, column by column. */
  get normals() {
    const t = this.turn;
    return new Float32Array([t[0], t[3], t[6], t[1], t[4], t[7], t[2], t[5], t[8]]);
  }
}
