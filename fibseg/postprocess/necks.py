"""Necks between the basins of a watershed: how steeply an object opens on both sides of them."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import KDTree

from fibseg.types import Labels, Probs, Spacing

_AHEAD = [step for step in itertools.product((-1, 0, 1), repeat=3) if step > (0, 0, 0)]


@dataclass(frozen=True)
class Contacts:
    """Every pair of basins that touch, and the places where the way between them is widest.

    Attributes
    ----------
    pairs
        Numbers of both basins, the lower one first, shape (n, 2), sorted.
    height
        How wide it is there: the distance to the surface, shape (n,).
    places
        Of each pair all places that wide, in voxels, between two or on one, each shape (m, 3).
    """

    pairs: NDArray[np.int64]
    height: NDArray[np.float32]
    places: list[NDArray[np.float64]]


def join_over_no_neck(
    basins: Labels, inner: Probs, *, min_slope: float, depth_nm: float, spacing: Spacing
) -> Labels:
    """Basins, joined where they touch but no neck is between, numbered from 1 (uint32).

    Parameters
    ----------
    basins
        Numbered from 1, 0 = none; shape (z, y, x).
    inner
        Distance of every voxel to the surface in nm; where basins meet at 0 or less they stay
        apart.
    min_slope
        At a neck the distance to the surface rises on both sides at least so steeply, in nm per
        nm away from the widest place of the contact.
    depth_nm
        The rise is looked for where it is at least that; what is less may be the grid.
    spacing
        Size of a voxel in nm, (z, y, x).
    """
    contacts = find_contacts(basins, inner)
    n = int(basins.max(initial=0))
    slopes = opening_slopes(contacts, basins, inner, depth_nm=depth_nm, spacing=spacing)
    one = contacts.pairs[(slopes < min_slope) & (contacts.height > 0)]
    graph = coo_array((np.ones(len(one)), (one[:, 0], one[:, 1])), shape=(n + 1, n + 1))
    # Background has no contacts, so that it is the first component, and alone.
    joined = connected_components(graph, directed=False)[1].astype(np.uint32)
    return joined[basins]


def find_contacts(basins: Labels, inner: Probs) -> Contacts:
    """All contacts of basins with 26 neighbours."""
    found = [_one_way(basins, inner, np.array(step)) for step in _AHEAD]
    pairs, height, place = (np.concatenate(parts) for parts in zip(*found, strict=True))
    base = int(basins.max(initial=0)) + 1
    keys, pair_of = np.unique(pairs @ [base, 1], return_inverse=True)
    widest = np.full(len(keys), -np.inf, dtype=np.float32)
    np.maximum.at(widest, pair_of, height)
    at = np.flatnonzero(height == widest[pair_of])
    at = at[np.argsort(pair_of[at], kind="stable")]
    ends = np.cumsum(np.bincount(pair_of[at], minlength=len(keys)))
    places = np.split(place[at] / 2, ends[:-1]) if len(keys) else []
    return Contacts(np.stack(np.divmod(keys, base), axis=1), widest, places)


def opening_slopes(
    contacts: Contacts, basins: Labels, inner: Probs, *, depth_nm: float, spacing: Spacing
) -> NDArray[np.float64]:
    """How steeply the distance to the surface rises from each contact, on its flatter side.

    Shape (n,). In a cone it rises by the sine of the angle between axis and wall [1]_. So where
    two balls of radius R touch in a neck of radius r, it is sqrt((R - r) / (R + r)) or more, and
    along a tube that thickens little; how long or how thick the parts are matters not.

    References
    ----------
    .. [1] Blum and Nagel, Shape description using weighted symmetric axis features, Pattern
       Recognition 10 (1978) 167: the slope of the radius along the medial axis.
    """
    voxels = np.flatnonzero(basins)
    numbers = basins.ravel()[voxels]
    voxels = voxels[np.argsort(numbers, kind="stable")]
    ends = np.cumsum(np.bincount(numbers, minlength=1))
    slopes = np.zeros(contacts.pairs.shape)
    for row, (pair, height, places) in enumerate(
        zip(contacts.pairs, contacts.height, contacts.places, strict=True)
    ):
        nearest = KDTree(places * spacing)
        for side, number in enumerate(pair):
            own = voxels[ends[number - 1] : ends[number]]
            rise = inner.ravel()[own] - height
            own, rise = own[rise >= depth_nm], rise[rise >= depth_nm]
            at = np.stack(np.unravel_index(own, basins.shape), axis=1)
            slopes[row, side] = (rise / nearest.query(at * spacing)[0]).max(initial=0)
    return np.asarray(slopes.min(axis=1, initial=np.inf))


def _one_way(
    basins: Labels, inner: Probs, step: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.float32], NDArray[np.int64]]:
    """Contacts of voxels with their neighbours one step ahead: pairs, widths, doubled places."""
    shape = np.array(basins.shape)
    here, there = (
        tuple(map(slice, np.maximum(0, -way), shape - np.maximum(0, way))) for way in (step, -step)
    )
    first, second = basins[here], basins[there]
    at = np.nonzero((first != second) & (first > 0) & (second > 0))
    pairs = np.sort(np.stack([first[at], second[at]], axis=1).astype(np.int64), axis=1)
    height = np.minimum(inner[here][at], inner[there][at])
    return pairs, height, 2 * (np.stack(at, axis=1) + np.maximum(0, -step)) + step
