"""Whose network and probabilities stand where ``fibseg pores`` writes its own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fibseg.errors import ExistsError, FibsegError
from fibseg.pipeline.pseudolabels import PAINTED
from fibseg.pipeline.train_folder import FOLDER, recorded_sources
from fibseg.volume import Volume

NAME = "pores"
"""Of the model, the probabilities, the objects and their table."""


def learned_from_older(folder: Path, store: Volume) -> bool:
    """Whether a training in that folder has learned from pseudo-labels of before."""
    source = _learned_here(folder, store)
    now = store.labels_info(PAINTED).digest
    return source is not None and source.get("annotation_digest") != now


def refuse_foreign_training(folder: Path, store: Volume, *, overwrite: bool) -> None:
    """Nothing, if a network of pseudo-labels of the store may be trained into a folder.

    Raises
    ------
    ExistsError
        If it holds another training that is not to be replaced, or no training at all.
    """
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return
    if not (folder / FOLDER).exists() and not (folder / "model.json").exists():
        raise ExistsError(
            f"{folder} holds other files, where the network of pores is to stand. Move them."
        )
    if not overwrite and _learned_here(folder, store) is None:
        raise ExistsError(
            f"{folder} holds a model that has learned from something else than labels/{PAINTED} "
            f"of {store.path}. Use overwrite=true to replace it, or move it."
        )


def refuse_foreign_probabilities(store: Volume, model: str, *, overwrite: bool) -> None:
    """Nothing, if probabilities of the network of a folder may be written.

    Raises
    ------
    ExistsError
        If others stand there and are not to be replaced.
    """
    if overwrite or NAME not in store.probability_names() or inferred_here(store, model):
        return
    by = store.probabilities_info(NAME).attributes.get("model")
    raise ExistsError(
        f"probabilities/{NAME} of {store.path} stand already and were not made by the model "
        f"{model}{f', but by one called {by}' if by else ''}. Use overwrite=true to replace them."
    )


def inferred_here(store: Volume, model: str) -> bool:
    """Whether the probabilities that stand there were made with the model of that folder.

    As it is now, or as it was before it was trained again. Store and folder may have moved
    together since.
    """
    if NAME in store.probability_names() and _is_of(store, model):
        return True
    made = [
        run for run in store.runs(skip_damaged=True)
        if f"probabilities/{NAME}" in (run.get("products") or {})
    ]
    return bool(made) and (
        Path(str(made[-1]["config"].get("model"))).parts[-2:] == Path(model).parts[-2:]
    )


def learned_painting(store: Volume, model: Path) -> str | None:
    """Digest of the painting of the store that the network behind the probabilities learned from.

    None where that network does not lie in the folder any more, or has learned from another image.
    """
    from fibseg.export import load_spec

    if NAME not in store.probability_names() or not _is_of(store, str(model)):
        return None
    learned = [
        source for source in load_spec(model).training.get("volumes", [])
        if source["annotation"] == PAINTED and source["raw_digest"] == store.raw_digest
    ]
    return str(learned[0]["annotation_digest"]) if len(learned) == 1 else None


def _is_of(store: Volume, model: str) -> bool:
    """Whether the probabilities are of the weights that lie in that folder now."""
    from fibseg.export import weights_digest  # brings torch, which other steps do without

    try:
        now = weights_digest(model)
    except (FibsegError, OSError):  # none there, or damaged
        return False
    return bool(store.probabilities_info(NAME).attributes.get("model_digest") == now)


def _learned_here(folder: Path, store: Volume) -> dict[str, Any] | None:
    """What a training in that folder learns from, if those are pseudo-labels of this store."""
    sources = recorded_sources(folder)
    if len(sources) != 1 or sources[0].get("annotation") != PAINTED:
        return None
    return sources[0] if sources[0].get("raw_digest") == store.raw_digest else None
