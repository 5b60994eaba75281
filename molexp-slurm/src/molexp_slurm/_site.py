"""The settings of a cluster, as users write them into the ``scheduler`` of a profile."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, Final, TypedDict

_WORD: Final = re.compile(r"[^\s'\"\\#]+")


class SiteOptions(TypedDict, total=False):
    """The options of `SlurmQueue` and of `SlurmExecutor`.

    Attributes:
        partition: the partition, or several with commas; by default the cluster's.
        account: the account that is charged.
        qos: the quality of service.
        constraint: the features that nodes must have, such as ``"skylake&ib"``.
        modules: names of environment modules to load.
        lines: lines of the batch script before the command. Lines that begin with ``#SBATCH`` become options of the job.
        container: the command that starts another one inside a container, such as ``"apptainer exec --nv md.sif"``.
        export: the environment variables of this process that jobs have, as ``sbatch --export`` takes them: all by default.
        requeue: true if Slurm may start a job again that it has interrupted, which is the default.
        warning: the seconds before the time limit at which a job gets SIGTERM; 90 by default. Of a short job, a fourth of
            its time at most.
        interval: the seconds between two questions to Slurm by somebody who waits: 30 by default. It grows to the sixfold
            while nothing happens.
        python: the interpreter in jobs; by default the one of this process. For containers that have one of their own.
        folder: the folder in which `SlurmExecutor` exchanges files with its jobs; ``.molexp-slurm`` in the current one by
            default. The nodes must see it under the same path.

    Example:
        >>> from molexp_slurm import SiteOptions
        >>> SiteOptions(partition="long", account="chem")
        {'partition': 'long', 'account': 'chem'}
    """

    partition: str
    account: str
    qos: str
    constraint: str
    modules: Sequence[str]
    lines: Sequence[str]
    container: str | Sequence[str]
    export: str
    requeue: bool
    warning: int
    interval: float
    python: str
    folder: str


@dataclass(frozen=True)
class Site:
    """The same, checked."""

    partition: str = ""
    account: str = ""
    qos: str = ""
    constraint: str = ""
    modules: tuple[str, ...] = ()
    lines: tuple[str, ...] = ()
    container: tuple[str, ...] = ()
    export: str = "ALL"
    requeue: bool = True
    warning: int = 90
    interval: float = 30.0
    python: str = ""
    folder: str = ""

    @classmethod
    def of(cls, options: Mapping[str, Any]) -> Site:
        """Return the settings.

        Raises:
            TypeError: there is no such option, or its value has the wrong type.
            ValueError: a value makes no sense.
        """
        found: dict[str, Any] = {}
        for name, value in options.items():
            if name not in _READERS:
                near = get_close_matches(name, _READERS, 1)
                meant = f" Did you mean {near[0]!r}?" if near else ""
                raise TypeError(f"slurm has no option {name!r}; it has {', '.join(_READERS)}.{meant}")
            found[name] = _READERS[name](name, value)
        return cls(**found)


def _text(name: str, value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{name} is {value!r}; it must be a text")
    if any(character in value for character in "\n\r\0"):
        raise ValueError(f"{name} is {value!r}; it must be one line")
    return value


def _word(name: str, value: Any) -> str:
    if (text := _text(name, value)) and not _WORD.fullmatch(text):
        raise ValueError(f"{name} is {value!r}; it must have no blanks, quotes and backslashes")
    return text


def _texts(name: str, value: Any) -> tuple[str, ...]:
    if isinstance(value, str):
        return tuple(line for line in value.splitlines() if line.strip())
    if not isinstance(value, Sequence):
        raise TypeError(f"{name} is {value!r}; it must be a list of texts")
    return tuple(_text(name, one) for one in value)


def _words(name: str, value: Any) -> tuple[str, ...]:
    if isinstance(value, str):
        try:
            return tuple(shlex.split(_text(name, value)))
        except ValueError as error:
            raise ValueError(f"{name} is {value!r}; it is no command: {error}") from None
    return _texts(name, value)


def _flag(name: str, value: Any) -> bool:
    if not isinstance(value, bool):
        raise TypeError(f"{name} is {value!r}; it must be true or false")
    return value


def _seconds(name: str, value: Any) -> float:
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise TypeError(f"{name} is {value!r}; it must be a number of seconds")
    if not 0 < value < float("inf"):
        raise ValueError(f"{name} is {value!r}; it must be more than 0 seconds")
    return float(value)


def _whole_seconds(name: str, value: Any) -> int:
    if (seconds := _seconds(name, value)) != int(seconds) or seconds > 65535:
        raise ValueError(f"{name} is {value!r}; it must be a whole number of seconds, at most 65535")
    return int(seconds)


_READERS: Final[Mapping[str, Callable[[str, Any], Any]]] = {
    "partition": _word,
    "account": _word,
    "qos": _word,
    "constraint": _text,
    "modules": _texts,
    "lines": _texts,
    "container": _words,
    "export": _text,
    "requeue": _flag,
    "warning": _whole_seconds,
    "interval": _seconds,
    "python": _text,
    "folder": _text,
}
