"""What is in STL and PLY files, read with nothing but NumPy."""

from __future__ import annotations

from pathlib import Path

import numpy as np

STL = np.dtype([("normal", "<f4", 3), ("corners", "<f4", (3, 3)), ("attribute", "<u2")])
TYPES = {"float": "<f4", "uchar": "u1", "uint": "<u4"}


def read_stl(path: Path):
    """Header, unit normals (m, 3) and corners (m, 3, 3) of a binary STL, (x, y, z)."""
    data = path.read_bytes()
    n = int.from_bytes(data[80:84], "little")
    assert len(data) == 84 + n * STL.itemsize
    assert not data.startswith(b"solid")
    rows = np.frombuffer(data, STL, offset=84)
    return data[:80].decode().strip(), rows["normal"], rows["corners"].astype(np.float64)


def read_ply(path: Path):
    """Comments, table of vertices and triangles (m, 3) of a binary PLY."""
    data = path.read_bytes()
    text, _, body = data.partition(b"end_header\n")
    lines = text.decode("ascii").splitlines()
    assert lines[:2] == ["ply", "format binary_little_endian 1.0"]
    counts = {w[1]: int(w[2]) for w in map(str.split, lines) if w[0] == "element"}
    fields = [(w[2], TYPES[w[1]]) for w in map(str.split, lines)
              if w[0] == "property" and w[1] != "list"]
    assert "property list uchar int vertex_indices" in lines
    vertices = np.frombuffer(body, np.dtype(fields), counts["vertex"])
    face = np.dtype([("n", "u1"), ("corners", "<i4", 3)])
    assert len(body) == vertices.nbytes + counts["face"] * face.itemsize
    faces = np.frombuffer(body, face, offset=vertices.nbytes)
    assert (faces["n"] == 3).all()
    comments = [line.removeprefix("comment ") for line in lines if line.startswith("comment")]
    return comments, vertices, faces["corners"].astype(np.int64)


def joined(corners):
    """Vertices and triangles of separate triangles: corners at one place are one vertex."""
    places, faces = np.unique(corners.reshape(-1, 3), axis=0, return_inverse=True)
    return places, faces.reshape(-1, 3)


def volume(corners) -> float:
    """What triangles (m, 3, 3) in (x, y, z) enclose, positive if they turn outwards."""
    a, b, c = np.moveaxis(corners, 1, 0)
    return float(np.einsum("ij,ij->i", a, np.cross(b, c)).sum() / 6)


def edge_counts(faces):
    """How often each edge is that of a triangle, in any direction."""
    edges = np.sort(np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]]), axis=1)
    return np.unique(edges, axis=0, return_counts=True)[1]
