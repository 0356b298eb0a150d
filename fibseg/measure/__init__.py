"""From arrays to tables: every measure is partial, merge, finish, so that it adds over blocks.

`shape` is all of them together: `regions` (size, place, axes, brightness), `surface` and `euler`.
`statistics` and `classes` start from their tables.
"""

from fibseg.measure import regions

__all__ = ["regions"]
