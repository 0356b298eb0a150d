"""On which terms a model travels: its licence, who made it and what to cite."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from fibseg.errors import UsageError

LICENCES = (
    "CC-BY-4.0", "CC0-1.0", "CC-BY-SA-4.0", "CC-BY-NC-4.0", "CC-BY-NC-SA-4.0", "CC-BY-ND-4.0",
    "CC-BY-NC-ND-4.0", "MIT", "BSD-2-Clause", "BSD-3-Clause", "Apache-2.0", "ISC", "MPL-2.0",
    "LGPL-3.0-only", "LGPL-3.0-or-later", "GPL-2.0-only", "GPL-3.0-only", "GPL-3.0-or-later",
    "AGPL-3.0-only", "EUPL-1.2", "ODbL-1.0", "PDDL-1.0", "Unlicense",
)
"""Licences that models are given away under, by the names of https://spdx.org/licenses."""

NOT_STATED = "not stated"
UNET = {
    "text": "O. Ronneberger, P. Fischer and T. Brox, U-Net: Convolutional Networks for Biomedical "
            "Image Segmentation, MICCAI (2015) 234",
    "doi": "10.1007/978-3-319-24574-4_28",
}
"""Cited for the architecture, where the makers of the model name nothing of their own."""

_DOI = re.compile(r"10\.\d{4,9}/\S+")
_MOST = 300


@dataclass(frozen=True)
class Terms:
    """Licence, authors and citation of a model.

    Parameters
    ----------
    licence
        SPDX name, one of `LICENCES`.
    authors
        Names; none if they are not stated.
    cite, doi
        Text and DOI of a paper of the authors, both or neither.

    Raises
    ------
    UsageError
        If one of them cannot be meant.
    """

    licence: str = LICENCES[0]
    authors: Sequence[str] = ()
    cite: str | None = None
    doi: str | None = None

    def __post_init__(self) -> None:
        if self.licence not in LICENCES:
            raise UsageError(
                f"licence={self.licence!r} is none that models are given away under. Use one of: "
                f"{', '.join(LICENCES)}."
            )
        names = [str(name).strip() for name in self.authors or ()]
        if any(not name or len(name) > _MOST or not name.isprintable() for name in names):
            raise UsageError(f"authors={names} holds an empty name, or none. Give [A. B,C. D].")
        object.__setattr__(self, "authors", tuple(names))
        if (self.cite is None) != (self.doi is None):
            raise UsageError("cite= and doi= belong together: a text, and the DOI of that paper.")
        if self.doi is not None:
            bare = re.sub(r"^(https?://(dx\.)?doi\.org/|doi:)", "", self.doi)
            if not _DOI.fullmatch(bare):
                raise UsageError(f"doi={self.doi!r} is no DOI. Give e.g. 10.1234/abc.")
            object.__setattr__(self, "doi", bare)

    @property
    def citations(self) -> list[dict[str, Any]]:
        """What to cite: the architecture, and the paper of the authors before it."""
        own = [] if self.cite is None else [{"text": self.cite, "doi": self.doi}]
        return [*own, dict(UNET)]

    def record(self) -> dict[str, Any]:
        """All terms as plain data."""
        return {
            "licence": self.licence, "authors": list(self.authors) or [NOT_STATED],
            "citations": self.citations,
        }
