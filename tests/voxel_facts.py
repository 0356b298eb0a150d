"""The digest of an array, taken box by box in one go: what blocks, in whatever order, must give."""

from __future__ import annotations

import numpy as np

from fibseg.volume.digests import box_facts, note, to_records, total
from fibseg.volume.layout import BLOCK, boxes


def voxel_digest(array) -> str:
    records = to_records((), array.shape)
    for box in boxes(array.shape, BLOCK):
        note(records, box_facts(np.asarray(array[box.slices]), box, array.shape))
    return total(array.shape, array.dtype, records["digest"])
