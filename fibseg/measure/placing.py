"""Rigid objects at random places and in random orientations, wholly inside, without overlap.

Every arrangement without overlap is to be as likely as any other. Objects are put in one after the
other, the largest first, as long as there is room for it: turned at random (all rotations alike)
and put at a random place until every point of the cloud is in a voxel that is free. That favours
arrangements in which those that came first leave little room for others. So then each is taken out
and put in anew among all others, some times over: the Gibbs sampler of equally likely arrangements
(Geman and Geman, IEEE PAMI 6:721, 1984), which forgets the order.

To reject fast, a place is drawn for the deepest point of the object only
where its largest ball has room, and of those that are left a few far points are looked up first,
then more and more, in no order. Only the first of the tries that pass some hundreds is looked at
point by point. Many simulations advance together, so that NumPy's loops are long.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from fibseg.errors import UsageError
from fibseg.measure.bodies import FAR_POINTS, Body, Points, depth_um
from fibseg.measure.clouds import Clouds
from fibseg.measure.runs import first_of_equal
from fibseg.progress import track
from fibseg.types import Mask, Spacing

_FIRST_POINTS = 8
_SOME_POINTS = 512
_AT_ONCE = 2**16
_CANDIDATES = 512
OCCUPIED_BYTES = 2**27
"""So much memory the voxels of all simulations that advance together may take."""


@dataclass(frozen=True)
class Room:
    """Where objects may be: voxels of a working grid.

    Attributes
    ----------
    free
        Shape (z, y, x). What lies beyond the grid is not free.
    spacing
        Size of its voxels in nm.
    first_um
        Where in the volume the centre of its first voxel is, (z, y, x); a grid whose voxels are
        made of f of the volume's has it at (f - 1) / 2 of these.
    """

    free: Mask
    spacing: Spacing
    first_um: tuple[float, float, float] = (0.0, 0.0, 0.0)

    def places(self, points_um: Points) -> Points:
        """Points in voxels: the centre of the first voxel at 0; shape (…, 3)."""
        places = (points_um - np.asarray(self.first_um)) / (np.asarray(self.spacing) * 1e-3)
        return np.asarray(places)

    def without(self, points_um: Points) -> Room:
        """The same room, less the voxels that points (n, 3) are in."""
        where = np.floor(self.places(points_um) + 0.5).astype(np.intp)
        inside = ((where >= 0) & (where < self.free.shape)).all(axis=1)
        free = self.free.copy()
        free[tuple(where[inside].T)] = False
        return Room(free, self.spacing, self.first_um)


def placed_at_random(
    clouds: Clouds, room: Room, *, n_simulations: int, n_tries: int = 2000, n_sweeps: int = 2,
    seed: int = 0,
) -> Points:
    """Centres of geometry of all objects in every simulation, µm; (simulations, objects, 3).

    NaN where an object found no place in `n_tries`.

    Parameters
    ----------
    clouds
        The objects. Cells at most half as wide as the voxels of the room leave no gaps in an
        object, however it is turned.
    room
        Where they may be.
    n_simulations, n_tries
        Simulations, and places tried for an object in each.
    n_sweeps
        How often every object is put in anew after all have been put in.
    seed
        Where random numbers begin.

    Raises
    ------
    UsageError
        If there is nothing to simulate.
    """
    if n_simulations < 1 or n_tries < 1 or n_sweeps < 0:
        raise UsageError(
            f"n_simulations={n_simulations} with n_tries={n_tries} and n_sweeps={n_sweeps} place "
            "nothing. Give at least 1, 1 and 0."
        )
    grid = _Grid.of(room)
    bodies = [Body.of(clouds, row) for row in range(len(clouds))]
    order = np.argsort(-clouds.sizes, kind="stable")
    centres = np.full((n_simulations, len(clouds), 3), np.nan)
    at_once = min(n_simulations, max(1, OCCUPIED_BYTES // grid.taken.size))
    starts, turns = range(0, n_simulations, at_once), (*order,) * (1 + n_sweeps)
    n_steps = len(starts) * len(turns)
    bar = track(range(n_steps), total=n_steps, label="spatial null", unit="placing")
    for start in starts:
        rng = np.random.default_rng([seed, start])
        taken = np.repeat(grid.taken[None], min(at_once, n_simulations - start), axis=0)
        standing: dict[int, _Tries] = {}
        for row, _ in zip(turns, bar, strict=False):
            before = standing.get(row, _Tries.none())
            standing[row] = grid.put_anew(bodies[row], before, taken, rng, n_tries)
        for row, each in standing.items():
            places = each.moved(bodies[row].centre[None], grid.voxel_um)[..., 0]
            centres[start + each.simulation, row] = (places - 1.5) * grid.voxel_um
    next(bar, None)  # it ends after the last one
    return np.asarray(centres + np.asarray(room.first_um))


@dataclass(frozen=True)
class _Grid:
    """A room with a rim of one voxel around it, in which nothing is free.

    Places in it are in voxels, corners at whole numbers: its first voxel's centre is at 1.5.
    """

    taken: NDArray[np.bool_]
    anchors: NDArray[np.intp]
    """All free voxels, the deepest first, shape (voxels, 3)."""
    depth_um: NDArray[np.float64]
    """From each of them to the nearest that is not free."""
    voxel_um: Points

    @classmethod
    def of(cls, room: Room) -> _Grid:
        """Grid of a room in which nothing is placed yet."""
        taken = np.pad(~room.free, 1, constant_values=True)
        voxel_um = np.asarray(room.spacing) * 1e-3
        depth = depth_um(taken, voxel_um)[~taken].astype(np.float64)
        deepest_first = np.argsort(-depth, kind="stable")
        anchors = np.stack(np.nonzero(~taken), axis=1)[deepest_first]
        return cls(taken, anchors, depth[deepest_first], voxel_um)

    def put_anew(
        self, body: Body, before: _Tries, taken: NDArray[np.bool_], rng: np.random.Generator,
        n_tries: int,
    ) -> _Tries:
        """Where the body comes to be in every simulation; where it was, if no other place is found.

        `taken` is that of all simulations, and follows.
        """
        self._mark(before, body, taken, False)
        needed = body.inner_um - math.hypot(*self.voxel_um) / 2
        anchors = self.anchors[: np.searchsorted(-self.depth_um, -needed, side="right")]
        waiting, tried, found = np.arange(len(taken)), 0, [_Tries.none()]
        while len(waiting) and tried < n_tries and len(anchors):
            each = min(n_tries - tried, max(4, _CANDIDATES // len(waiting)))
            tries = _Tries.drawn(anchors, waiting.repeat(each), rng)
            best = self._first_fits(tries, body, taken)
            found.append(tries.only(best))
            waiting = np.setdiff1d(waiting, tries.simulation[best], assume_unique=True)
            tried += each
        found.append(before.only(np.flatnonzero(np.isin(before.simulation, waiting))))
        new = _Tries.joined(found)
        self._mark(new, body, taken, True)
        return new

    def _first_fits(
        self, tries: _Tries, body: Body, taken: NDArray[np.bool_]
    ) -> NDArray[np.intp]:
        """The first try of every simulation that fits; those of a simulation are together."""
        left = self._fitting(np.arange(len(tries.simulation)), tries, body.points[:_SOME_POINTS],
                             taken)
        rest, found = body.points[_SOME_POINTS:], [left[:0]]
        while len(left):
            first = left[first_of_equal(tries.simulation[left])]
            fit = self._fitting(first, tries, rest, taken)
            found.append(fit)
            over = np.isin(tries.simulation[left], tries.simulation[fit]) | np.isin(left, first)
            left = left[~over]
        return np.sort(np.concatenate(found))

    def _fitting(
        self, rows: NDArray[np.intp], tries: _Tries, points: Points, taken: NDArray[np.bool_]
    ) -> NDArray[np.intp]:
        """Those of some tries for which all points are in free voxels; few points of all first."""
        start, stop = 0, _FIRST_POINTS
        while start < len(points) and len(rows):
            inside = self._voxels(tries.only(rows), points[start:stop])
            rows = rows[~taken.reshape(-1)[inside].any(axis=1)]
            more = min(3 * stop, max(FAR_POINTS, _AT_ONCE // max(1, len(rows))))
            start, stop = stop, stop + more
        return rows

    def _mark(self, tries: _Tries, body: Body, taken: NDArray[np.bool_], value: bool) -> None:
        step = max(1, _AT_ONCE // max(1, len(tries.simulation)))
        for start in range(0, len(body.points), step):
            taken.reshape(-1)[self._voxels(tries, body.points[start : start + step])] = value

    def _voxels(self, tries: _Tries, points: Points) -> NDArray[np.intp]:
        """Which voxel of the grids of all simulations each point is in, shape (tries, points)."""
        places = tries.moved(points, self.voxel_um)
        last = np.array(self.taken.shape, np.float32)[:, None] - 1
        np.minimum(np.maximum(places, 0, out=places), last, out=places)
        where = places.astype(np.int32)  # not below 0: cutting off decimals rounds down
        flat = tries.simulation[:, None].repeat(len(points), axis=1)
        for axis, n in enumerate(self.taken.shape):
            flat *= n
            flat += where[:, axis]
        return flat


@dataclass(frozen=True)
class _Tries:
    """Places and orientations, and the simulation that each of them is for."""

    simulation: NDArray[np.intp]
    place: Points
    """Of the deepest point, in voxels of the grid with its rim."""
    turn: Points
    """Matrices, shape (tries, 3, 3)."""

    @classmethod
    def drawn(
        cls, anchors: NDArray[np.intp], simulation: NDArray[np.intp], rng: np.random.Generator
    ) -> _Tries:
        """A place and a turn at random for each simulation."""
        n = len(simulation)
        place = anchors[rng.integers(0, len(anchors), n)] + rng.random((n, 3))
        quaternion = rng.normal(size=(n, 4))  # of random direction: all rotations alike
        return cls(simulation, place, Rotation.from_quat(quaternion).as_matrix())

    @classmethod
    def none(cls) -> _Tries:
        """No tries."""
        return cls(np.zeros(0, np.intp), np.zeros((0, 3)), np.zeros((0, 3, 3)))

    @classmethod
    def joined(cls, parts: Sequence[_Tries]) -> _Tries:
        """All tries, one part after the other."""
        return cls(
            np.concatenate([part.simulation for part in parts]),
            np.concatenate([part.place for part in parts]),
            np.concatenate([part.turn for part in parts]),
        )

    def only(self, rows: NDArray[np.intp]) -> _Tries:
        """Tries of these rows."""
        return _Tries(self.simulation[rows], self.place[rows], self.turn[rows])

    def moved(self, points: Points, voxel_um: Points) -> NDArray[np.float32]:
        """Where points (n, 3) of the body come to be, in voxels; shape (tries, 3, n)."""
        turn = (self.turn / voxel_um[:, None]).astype(np.float32)
        places = turn @ points.T.astype(np.float32)
        places += self.place[:, :, None].astype(np.float32)
        return places
