"""How much a model file from elsewhere may claim, before anything of that size is made."""

from __future__ import annotations

FILE_BYTES = 2**31 - 1
"""Most that a file may have: protobuf, which ONNX is, holds no more in one message."""

DIRECTORY_BYTES, ENTRIES = 2**20, 1000
"""Most that the table of contents of an archive may take, and name."""

TEXT_BYTES = 2**20
"""Most that a description in JSON or YAML may take."""

TOTAL_BYTES = 2**32
"""Most that all entries of an archive together may unpack to, by what the archive says."""

RATIO, SMALL_BYTES = 200, 2**20
"""An entry of more than `SMALL_BYTES` shrank at most so many times; deflate reaches 1030."""

YAML_EVENTS, DEPTH = 50_000, 32
"""Most parts of a YAML text, and how deep it may be nested."""

NAME_LENGTH = 255
"""Letters of a name."""

SIDE = 8192
"""Most pixels along a side of a window."""

CHANNELS = 256
"""Most values for a pixel that a network may give."""

TENSOR_VALUES = 2**31
"""Most numbers in any one array of a network."""

NODES, BRANCHES = 100_000, 8
"""Most operations in a network, and how deep branches may lie in branches."""
