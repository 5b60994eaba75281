"""The resources that a call needs, and how people write them."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Final, NoReturn

from msgspec import Struct, field
from msgspec.structs import force_setattr

from molexp._values.ids import did_you_mean
from molexp._values.numbers import real, whole
from molexp._values.patterns import late

_BYTES: Final = late(r"\s*(\d+(?:\.\d+)?)\s*([KMGT]?)(i?B|)\s*", re.IGNORECASE)
_CLOCK: Final = late(r"\s*(?:(\d+)-)?(\d+):(\d\d):(\d\d)\s*")
_SPANS: Final = late(r"\s*(\d+(?:\.\d+)?)\s*(d|h|min|m|s)[a-z]*\s*", re.IGNORECASE)
_SECONDS: Final = {"d": 86400.0, "h": 3600.0, "min": 60.0, "m": 60.0, "s": 1.0}


class Resources(Struct, frozen=True):
    """The resources that a call needs.

    Attributes:
        cores: processor cores, of each task.
        memory: bytes of memory on each node, if it matters.
        gpus: accelerators on each node.
        walltime: seconds, if there is a limit.
        nodes: the number of machines.
        tasks: the number of processes that the call starts on them, as its ranks.
        extra: other requests that an executor understands, by its own names.

    Raises:
        ValueError: a value has no meaning. Texts are read as by `of`.

    Example:
        >>> from molexp.contracts import Resources
        >>> Resources(cores=4, memory=8 << 30, walltime=3600.0).cores
        4
    """

    cores: int = 1
    memory: int | None = None
    gpus: int = 0
    walltime: float | None = None
    nodes: int = 1
    tasks: int = 1
    extra: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, read in _READERS.items():
            given = getattr(self, name)
            if (value := read(name, given)) is not given:
                force_setattr(self, name, value)

    @classmethod
    def of(cls, given: Mapping[str, Any]) -> Resources:
        """Return the resources that a mapping asks for, as in the ``resources`` of a profile.

        Memory is a number of bytes, or a text: ``8GB`` is decimal; ``8GiB`` and ``8G`` are binary, as Slurm reads them. The wall time
        is a number of seconds, or a text: ``1:30:00``, ``2-00:00:00``, ``90 min``, ``1h30m``.

        Raises:
            ValueError: a name or value has no meaning; with the nearest name.

        Example:
            >>> from molexp.contracts import Resources
            >>> Resources.of({"memory": "8 GiB", "walltime": "1:30:00"})
            Resources(cores=1, memory=8589934592, gpus=0, walltime=5400.0, nodes=1, tasks=1, extra={})
        """
        for name in given:
            if name not in _READERS:
                meant = did_you_mean(str(name), _READERS)
                raise ValueError(f"resources has {name!r}, which is not one of {', '.join(_READERS)}.{meant}")
        return cls(**given)


def _count(least: int) -> Callable[[str, Any], int]:
    def read(name: str, value: Any) -> int:
        number = whole(value)
        if number is None or number < least:
            _refuse(name, value, f"a whole number, at least {least}")
        return number

    return read


def _memory(name: str, value: Any) -> int | None:
    if value is None or ((number := whole(value)) is not None and number > 0):
        return None if value is None else number
    found = _BYTES.fullmatch(value) if isinstance(value, str) else None
    if found is None or not float(found[1]):
        _refuse(name, value, "a number of bytes, or a text such as 8GB or 512MiB")
    base = 1000 if found[3].upper() == "B" else 1024
    return int(float(found[1]) * base ** " KMGT".index(found[2].upper() or " "))


def _walltime(name: str, value: Any) -> float | None:
    if value is None:
        return None
    found = _seconds(value)
    if found is None or found <= 0:
        _refuse(name, value, "a number of seconds, or a text such as 1:30:00, 2-00:00:00 or 90 min")
    return found


def _seconds(value: Any) -> float | None:
    if (number := real(value)) is not None:
        return float(number)
    if not isinstance(value, str):
        return None
    if (clock := _CLOCK.fullmatch(value)) is not None:
        days, hours, minutes, seconds = (int(part or 0) for part in clock.groups())
        return float(((days * 24 + hours) * 60 + minutes) * 60 + seconds)
    parts = _SPANS.findall(value)
    return sum(float(number) * _SECONDS[unit.lower()] for number, unit in parts) if not _SPANS.sub("", value) else None


def _others(name: str, value: Any) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        _refuse(name, value, "a mapping")
    return dict(value)


_READERS: Final[Mapping[str, Callable[[str, Any], Any]]] = {
    "cores": _count(1),
    "memory": _memory,
    "gpus": _count(0),
    "walltime": _walltime,
    "nodes": _count(1),
    "tasks": _count(1),
    "extra": _others,
}


def _refuse(name: str, value: Any, wanted: str) -> NoReturn:
    raise ValueError(f"resources.{name} is {value!r}; it must be {wanted}")
