"""The identity of a tracked command: the id that follows from it, its parameters and the content of its inputs."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from molexp._hierarchy.experiment import Experiment
from molexp._provenance.secrets import arguments_without_secrets
from molexp._values.canonical import canonical_hash
from molexp._values.plain import plain_parameters

_DIGITS = 20


def derived_id(
    experiment: Experiment, argv: Sequence[str], parameters: Mapping[str, Any] | None, inputs: Mapping[str, str]
) -> str:
    """Return the id of the run that a command makes: the same for the same command, parameters and inputs.

    Secrets in the command do not count, as they are not recorded.
    """
    own = plain_parameters(parameters, "parameters") if parameters else {}
    known = {
        "scheme": "molexp-exec-1",
        "experiment": experiment.path,
        "command": arguments_without_secrets(argv),
        "parameters": {**experiment.own_params, **own},
        "inputs": dict(inputs),
    }
    return f"exec-{canonical_hash(known)[:_DIGITS]}"


def contents_of(folder: Path, inputs: Iterable[str]) -> dict[str, str]:
    """Return the SHA-256 of each input, by its name; of a folder, that of the names and contents of all its files.

    Raises:
        OSError: one is not there, or cannot be read.
    """
    return {name: _content(folder / name) for name in inputs}


def _content(path: Path) -> str:
    if not path.is_dir():
        return _digest(path)
    whole = hashlib.sha256()
    for file in _files(path):
        whole.update(os.fsencode(file.relative_to(path)) + b"\0" + _digest(file).encode() + b"\0")
    return whole.hexdigest()


def _files(folder: Path) -> Iterator[Path]:
    yield from sorted(path for path in folder.rglob("*") if path.is_file())


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
