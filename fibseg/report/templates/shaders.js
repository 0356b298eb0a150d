// What the graphics card computes for every vertex and pixel.

const MESH_VERTEX = `#version 300 es
uniform mat4 u_view;
uniform mat3 u_turn;
uniform vec3 u_origin, u_extent;
layout(location = 0) in vec3 a_place;
layout(location = 1) in vec3 a_normal;
layout(location = 2) in uint a_object;
out vec3 v_normal, v_um;
out float v_depth;
flat out uint v_object;
void main() {
  v_um = u_origin + a_place * u_extent;
  v_normal = u_turn * a_normal;
  v_object = a_object;
  gl_Position = u_view * vec4(v_um, 1.0);
  v_depth = gl_Position.z;
}`;

// Colours come from a texture with a texel per object: another column is a small upload.
const MESH_FRAGMENT = `#version 300 es
precision highp float;
precision highp int;
uniform highp sampler2D u_colors;
uniform vec4 u_cut;        // cut away where dot(place, xyz) > w
uniform vec3 u_ground, u_mark;
uniform float u_opacity;
uniform int u_selected, u_hovered, u_part;
uniform bool u_picking;
in vec3 v_normal, v_um;
in float v_depth;
flat in uint v_object;
out vec4 color;

vec3 shaded(vec3 base, vec3 normal) {
  float key = 0.5 + 0.5 * dot(normal, normalize(vec3(-0.45, 0.65, 0.75)));
  float fill = 0.5 + 0.5 * dot(normal, normalize(vec3(0.7, -0.4, 0.3)));
  float gloss = pow(max(dot(normal, normalize(vec3(-0.26, 0.37, 0.9))), 0.0), 40.0);
  return base * (0.46 + 0.62 * key * key + 0.16 * fill) + 0.03 * key + 0.12 * gloss;
}

void main() {
  if (dot(v_um, u_cut.xyz) > u_cut.w) discard;
  int width = textureSize(u_colors, 0).x;
  vec4 base = texelFetch(u_colors, ivec2(int(v_object) % width, int(v_object) / width), 0);
  if (base.a == 0.0) discard;
  if (u_picking) {
    uint n = v_object + 1u;
    color = vec4(float(n & 255u), float((n >> 8) & 255u), float((n >> 16) & 255u), float(u_part + 1)) / 255.0;
    return;
  }
  vec3 normal = normalize(v_normal);
  bool inside = !gl_FrontFacing;
  if (inside) normal = -normal;
  bool solid = u_opacity >= 1.0;
  // The inside of a solid object is seen where it is cut: flat, as the face of the cut.
  vec3 lit = solid && inside ? base.rgb * 0.62 : shaded(base.rgb, normal);
  if (int(v_object) == u_selected) lit = mix(lit, u_mark, 0.7);
  else if (int(v_object) == u_hovered) lit = mix(lit, vec3(1.0), 0.38);
  lit = mix(lit, u_ground, 0.26 * smoothstep(-0.4, 0.9, v_depth));
  // A shell is seen best at its rim (as glass is), and through in its middle.
  float rim = pow(1.0 - abs(normal.z), 1.8);
  color = vec4(lit, solid ? 1.0 : u_opacity * mix(0.42, 1.6, rim));
}`;

const LINE_VERTEX = `#version 300 es
uniform mat4 u_view;
layout(location = 0) in vec3 a_place;
void main() { gl_Position = u_view * vec4(a_place, 1.0); }`;

const LINE_FRAGMENT = `#version 300 es
precision mediump float;
uniform vec4 u_color;
out vec4 color;
void main() { color = u_color; }`;

/** A program and the places of its uniforms. */
function buildProgram(gl, vertex, fragment) {
  const program = gl.createProgram();
  for (const [type, source] of [[gl.VERTEX_SHADER, vertex], [gl.FRAGMENT_SHADER, fragment]]) {
    const shader = gl.createShader(type);
    gl.shaderSource(shader, source);
    gl.compileShader(shader);
    gl.attachShader(program, shader);
  }
  gl.linkProgram(program);
  if (!gl.getProgramParameter(program, gl.LINK_STATUS) && !gl.isContextLost()) {
    throw new Error(`The graphics driver refuses the 3D view: ${gl.getProgramInfoLog(program)}`);
  }
  const at = {};
  const n = gl.getProgramParameter(program, gl.ACTIVE_UNIFORMS) || 0;
  for (let i = 0; i < n; i++) {
    const { name } = gl.getActiveUniform(program, i);
    at[name] = gl.getUniformLocation(program, name);
  }
  return { program, at };
}
