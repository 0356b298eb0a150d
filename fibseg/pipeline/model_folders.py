"""Where models stand that were made for one store, if no other folder is asked for."""

from __future__ import annotations

from pathlib import Path

from fibseg.volume import Volume


def model_folder(store: Volume, name: str) -> Path:
    """Folder beside the store.

    >>> model_folder(Volume("data/a.ome.zarr"), "cell").as_posix()
    'data/a.models/cell'
    """
    return store.path.parent / f"{store.name}.models" / name
