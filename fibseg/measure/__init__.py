"""From arrays to tables: every measure is partial, merge, finish, so that it adds over blocks.

`shape` is all of them together: `regions` (size, place, axes, brightness), `surface` and `euler`.
`nearest` finds the faces of a membrane nearest to points. `corners` and `clouds` are objects as
points, for what needs more than sums: `nearest_objects` finds the nearest other objects, `null`
what correlations with distances would be if objects lay at random in the `cytoplasm`, on a
`working_grid`. `statistics` and `classes` start from tables.

`distribution` is how small objects lie on the envelope of a nucleus: `envelope_faces` and
`envelope` make the surface, `connected_balls`, `surface_pairs` and `surface_patches` say what is
near along it,
`surface_density`, `curvature`, `pair_correlation` and `surface_clusters` look at objects on it,
`furrow` parts it, and `section_tests` compare the parts.
"""

from fibseg.measure import regions

__all__ = ["regions"]
