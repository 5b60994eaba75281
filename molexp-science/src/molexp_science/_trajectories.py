"""Trajectories of ASE as extended XYZ: they grow frame by frame, and are read frame by frame."""

from __future__ import annotations

import math
import operator
import sys
from array import array
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from threading import Lock
from typing import TYPE_CHECKING, Any, overload

from msgspec import Struct

from molexp import Asset
from molexp.contracts import AssetKind, Preview, Sink, Source
from molexp_science._libraries import class_name, imported, library
from molexp_science._structures import StructureFields, atom_lines, atoms_facts, first_rows

if TYPE_CHECKING:
    from ase import Atoms


class TrajectoryFields(Struct, frozen=True):
    """The fields of a trajectory.

    Attributes:
        n_frames: the number of its frames.
        n_atoms: the number of atoms in each frame; None if it varies.
        n_atoms_min: the number of atoms in the smallest frame.
        n_atoms_max: the number of atoms in the largest frame.
        formula: the formula of each frame, in Hill's order; None if it varies.
        elements: the symbols of all elements, in alphabetical order.
        energy_min: the least energy of a frame in eV; None if no frame has a finite one.
        energy_max: the greatest energy of a frame in eV.
        energy_last: the energy of the last frame in eV; None if it has none.
    """

    n_frames: int
    n_atoms: int | None = None
    n_atoms_min: int = 0
    n_atoms_max: int = 0
    formula: str | None = None
    elements: tuple[str, ...] = ()
    energy_min: float | None = None
    energy_max: float | None = None
    energy_last: float | None = None


class Growth:
    """Encodes frames, and finds the fields of all of them."""

    def __init__(self) -> None:
        self._fields = TrajectoryFields(0)

    def append(self, item: Atoms, /) -> bytes:
        """Return a frame of extended XYZ.

        Raises:
            SerializationError: something of the atoms can be kept by nothing; the error names it.
            TypeError: they are no `ase.Atoms`.
        """
        from molexp_science._extxyz import write_frame

        data, energy = write_frame(item, f"frames[{self._fields.n_frames}]")
        self._fields = _with_frame(self._fields, atoms_facts(item, energy))
        return data

    def fields(self) -> TrajectoryFields:
        """Return the fields of all frames so far."""
        return self._fields


def _with_frame(all_: TrajectoryFields, one: StructureFields) -> TrajectoryFields:
    """Return the fields with one frame more."""
    is_first = not all_.n_frames
    energies = [one.energy] if one.energy is not None and math.isfinite(one.energy) else []
    least = [*energies, *([] if all_.energy_min is None else [all_.energy_min])]
    most = [*energies, *([] if all_.energy_max is None else [all_.energy_max])]
    return TrajectoryFields(
        n_frames=all_.n_frames + 1,
        n_atoms=one.n_atoms if is_first or all_.n_atoms == one.n_atoms else None,
        n_atoms_min=one.n_atoms if is_first else min(all_.n_atoms_min, one.n_atoms),
        n_atoms_max=max(all_.n_atoms_max, one.n_atoms),
        formula=one.formula if is_first or all_.formula == one.formula else None,
        elements=tuple(sorted({*all_.elements, *one.elements})),
        energy_min=min(least, default=None),
        energy_max=max(most, default=None),
        energy_last=one.energy,
    )


class _Part:
    """The frames of one payload, whose places in it are found as they are asked for.

    Args:
        source: the payload.
    """

    def __init__(self, source: Source[TrajectoryFields]) -> None:
        self.source = source
        self._starts = array("q", [0])  # of each frame that was found, and of the next one
        self._is_whole = False
        self._lock = Lock()

    def count(self, most: int = sys.maxsize) -> int:
        """Return the number of frames, or `most` if there are as many; it reads no further."""
        from molexp_science._extxyz import skip_frame

        with self._lock:
            if len(self._starts) <= most and not self._is_whole:
                with self.source.open() as stream:
                    stream.seek(self._starts[-1])
                    while len(self._starts) <= most and not self._is_whole:
                        size = skip_frame(stream, self.source.name)
                        if size:
                            self._starts.append(self._starts[-1] + size)
                        self._is_whole = not size
            return min(len(self._starts) - 1, most)

    def frames(self, numbers: Iterable[int] | None = None) -> Iterator[Atoms]:
        """Yield all frames from the first to the last, or those of some numbers, one at a time."""
        from molexp_science._extxyz import read_frame

        with self.source.open() as stream:
            if numbers is None:
                while (found := read_frame(stream, self.source.name)) is not None:
                    yield found
                return
            for number in numbers:
                stream.seek(self._starts[number])
                found = read_frame(stream, self.source.name)
                assert found is not None
                yield found


class Frames(Sequence["Atoms"]):
    """The frames of a trajectory, each read when it is asked for.

    Iterating reads one frame after the other. A number, or a slice, reads the file up to where it is, and remembers where each
    frame begins. A slice is a sequence of this sort, too. Several threads and processes can read one.

    Args:
        sources: the payloads of its parts, oldest first.
        chosen: the numbers of the frames that are in it; None for all.

    Example:
        >>> from ase.build import molecule
        >>> with exp.Run().start() as ctx:
        ...     with ctx.trajectory.growing("md") as frames:
        ...         for _ in range(5):
        ...             frames.append(molecule("H2O"))
        ...     frames = ctx.trajectory.load("md")
        >>> len(frames), len(frames[-2:]), frames[0].get_chemical_formula()
        (5, 2, 'H2O')
    """

    def __init__(self, sources: Iterable[Source[TrajectoryFields]], chosen: range | None = None) -> None:
        self._parts = tuple(map(_Part, sources))
        self._chosen = chosen

    def __reduce__(self) -> tuple[Any, ...]:
        return Frames, (self.sources, self._chosen)

    def __repr__(self) -> str:
        names = ", ".join(repr(source.name) for source in self.sources)
        return f"<{type(self).__name__} of {names}{'' if self._chosen is None else f', {self._chosen}'}>"

    @property
    def sources(self) -> tuple[Source[TrajectoryFields], ...]:
        """The payloads of its parts, oldest first."""
        return tuple(part.source for part in self._parts)

    def __len__(self) -> int:
        return self._count() if self._chosen is None else len(self._chosen)

    def __iter__(self) -> Iterator[Atoms]:
        if self._chosen is not None:
            return self._of(self._chosen)
        return (atoms for part in self._parts for atoms in part.frames())

    @overload
    def __getitem__(self, index: int) -> Atoms: ...

    @overload
    def __getitem__(self, index: slice) -> Frames: ...

    def __getitem__(self, index: int | slice) -> Atoms | Frames:
        if isinstance(index, slice):
            return self._sliced(index)
        number = operator.index(index)
        if self._chosen is not None:
            number = self._chosen[number]
        elif number < 0:
            number += len(self)
        if number < 0 or self._count(number + 1) <= number:
            raise IndexError(f"there is no frame {index} in {self!r}")
        return next(self._of(range(number, number + 1)))

    def _sliced(self, index: slice) -> Frames:
        found = Frames(())
        found._parts = self._parts  # with the places of the frames that are known
        if self._chosen is not None:
            found._chosen = self._chosen[index]
            return found
        start, stop, step = index.start or 0, index.stop, index.step or 1
        if stop is None or min(start, stop, step) < 0:
            found._chosen = range(len(self))[index]
        else:
            found._chosen = range(self._count(stop))[index]
        return found

    def _count(self, most: int = sys.maxsize) -> int:
        found = 0
        for part in self._parts:
            found += part.count(most - found)
            if found >= most:
                break
        return found

    def _of(self, numbers: range) -> Iterator[Atoms]:
        """Yield the frames of some numbers, all of which are known; each part is opened once if they are in order."""
        first = 0
        places = []
        for part in self._parts:
            count = part.count(max(numbers, default=-1) + 1 - first)
            places.append((range(first, first + count), part))
            first += count
        for part, some in groupby(numbers, lambda number: next(part for place, part in places if number in place)):
            begin = next(place.start for place, one in places if one is part)
            yield from part.frames(number - begin for number in some)


class TrajectoryKind(AssetKind[Sequence["Atoms"], TrajectoryFields]):
    """Trajectories of ASE: any iterable of Atoms is saved, of which one is in memory at a time; `Frames` is loaded.

    They grow frame by frame, ``with ctx.trajectory.growing("md") as frames: frames.append(atoms)``. What several attempts at a run
    have under one name is loaded as one.
    """

    name = "trajectory"
    suffix = ".xyz"
    types = ("ase.TrajectoryReader", "ase.SlicedTrajectory", "molexp_science.Frames")

    def validate(self, obj: object, /) -> None:
        """Raise `ValueError` for what has no frames."""
        if isinstance(obj, imported("ase.atoms", "Atoms")):
            raise ValueError("One structure is no trajectory: save [atoms], or use ctx.structure.save(...).")
        if not isinstance(obj, Iterable) and not hasattr(obj, "__getitem__"):
            raise ValueError(f"A trajectory is an iterable of ase.Atoms, not {class_name(obj)}.")

    def restores(self, obj: object, /) -> bool:
        """Tell whether it is what `load` returns."""
        return type(obj) is Frames

    def save(self, obj: Iterable[Atoms], sink: Sink) -> TrajectoryFields:
        """Write the frames, one at a time."""
        growth = self.growing()
        with sink.open() as stream:
            for atoms in obj:
                stream.write(growth.append(atoms))
        return growth.fields()

    def growing(self) -> Growth:
        """Return what encodes frames."""
        return Growth()

    def load(self, source: Source[TrajectoryFields]) -> Frames:
        """Return the frames, none of which is read yet."""
        library("ase", source.name)
        return Frames([source])

    def merge(self, parts: Sequence[Sequence[Atoms]], /) -> Frames:
        """Return the frames of all attempts, oldest first."""
        return Frames([source for part in parts if isinstance(part, Frames) for source in part.sources])

    def describe(self, asset: Asset[Any, TrajectoryFields], /) -> str:
        """Return one line: number of frames, formula, energies."""
        return _line(asset.fields)

    def preview(self, source: Source[TrajectoryFields], /) -> Preview:
        """Show the first atoms of the first frame."""
        fields = source.fields
        if not fields.n_frames:
            return Preview(text=_line(fields))
        with source.open() as stream:
            size, rows = first_rows(stream)
        return Preview(text="\n".join([_line(fields), "first frame:", *atom_lines(rows, size)]))


def _line(fields: TrajectoryFields) -> str:
    """Return a trajectory for people."""
    if fields.n_atoms is None:
        atoms = f"{fields.n_atoms_min} to {fields.n_atoms_max} atoms" if fields.n_frames else ""
    else:
        atoms = f"{fields.n_atoms} atom{'' if fields.n_atoms == 1 else 's'}"
    parts = [f"{fields.n_frames} frame{'' if fields.n_frames == 1 else 's'}", fields.formula or "", atoms]
    if fields.energy_min is not None:
        parts.append(f"energies {fields.energy_min:.6f} to {fields.energy_max:.6f} eV")
    return f"trajectory of {', '.join(part for part in parts if part)}"
