"""From arrays to tables: every measure is partial, merge, finish, so that it adds over blocks.

`shape` is all of them together: `regions` (size, place, axes, brightness), `surface` and `euler`.
`nearest` finds the faces of a membrane nearest to points. `corners` and `clouds` are objects as
points, for what needs more than sums: `nearest_objects` finds the nearest other objects, `null`
what correlations with distances would be if objects lay at random in the `cytoplasm`, on a
`working_grid`. `statistics` and `classes` start from tables.
"""

from fibseg.measure import regions

__all__ = ["regions"]
