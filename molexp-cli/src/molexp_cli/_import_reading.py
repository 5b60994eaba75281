"""Old folders read as runs: parameters, results, status, dates and files, by rules that the options set."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any, NamedTuple

from molexp_cli._import_pattern import Match, spelled
from molexp_cli._import_tables import TABLES, rows_of

_VALUES = (".json", ".yaml", ".yml", ".toml")
_LONGEST = 1 << 20  # bytes of a file that says a status or a time, or is searched for a text
_WORDS = {
    **dict.fromkeys(("succeeded", "success", "successful", "ok", "done", "complete", "completed", "finished", "true", "converged"), "succeeded"),
    **dict.fromkeys(("failed", "failure", "fail", "error", "crashed", "false", "out_of_memory", "not converged"), "failed"),
    **dict.fromkeys(("cancelled", "canceled", "aborted"), "cancelled"),
    **dict.fromkeys(("interrupted", "killed", "timeout", "preempted", "running", "started", "pending", "node_fail"), "interrupted"),
}  # fmt: skip


class Rules(NamedTuple):
    """Say how folders are read; the options of ``molexp import`` explain each."""

    params: str | None = None
    results: Sequence[str] = ()
    picked: Mapping[str, str] = {}
    metrics: Sequence[str] = ()
    status: str | None = None
    exit_code: str | None = None
    failed_if: Sequence[str] = ()
    started: str | None = None
    ended: str | None = None
    files: Sequence[str] = ()
    exclude: Sequence[str] = ()
    replica: str | None = None


class Old(NamedTuple):
    """An old folder, as the run that it becomes."""

    folder: Path
    parameters: dict[str, Any]
    replica: int
    status: str
    reason: str
    started_at: str | float | None
    ended_at: str | float | None
    results: dict[str, Any]
    metrics: list[dict[str, Any]]
    files: dict[str, Path]
    size: int
    notes: tuple[str, ...]


class UnfitError(ValueError):
    """A folder cannot become a run."""


def read_old(match: Match, rules: Rules) -> Old:
    """Read a folder.

    Raises:
        UnfitError: it cannot become a run by these rules.
    """
    try:
        return _read(match, rules)
    except OSError as error:
        raise UnfitError(f"it cannot be read: {error.strerror}") from None


def _read(match: Match, rules: Rules) -> Old:
    folder = match.folder
    notes = [f"a link leads to {spelled(match.linked)}, whose files are copied"] if match.linked else []
    there = dict(_files_in(folder, notes))
    said = _said_by_file(folder, rules.params)
    parameters = _merged(match.parameters, said)
    replica = _replica(parameters, rules.replica)
    results, missing = _results(folder, rules)
    results = {name: value for name, value in results.items() if _is_fit(name, value, notes)}
    status, reason = _status(folder, rules, missing, bool(there))
    if missing and not reason:
        notes.append(missing)
    times = [one.st_mtime_ns / 1e9 for one in there.values()]
    started = _time(folder, rules.started, min, min(times, default=None))
    ended = _time(folder, rules.ended, max, max(times, default=None))
    chosen = _chosen(folder, there, rules)
    return Old(
        folder=folder,
        parameters=parameters,
        replica=replica,
        status=status,
        reason=reason,
        started_at=started,
        ended_at=ended,
        results=results,
        metrics=[point for file in _matching(folder, rules.metrics) for point in _points(file)],
        files=chosen,
        size=sum(there[path].st_size for path in chosen.values()),
        notes=tuple(notes),
    )


def _files_in(folder: Path, notes: list[str]) -> Iterator[tuple[Path, os.stat_result]]:
    """Yield all files below a folder, in order; pipes, devices and links that lead out of it or to folders are noted."""
    inside = os.path.realpath(folder)

    def complain(error: OSError) -> None:
        raise error

    for above, folders, names in os.walk(folder, onerror=complain):
        folders.sort()
        notes += [
            f"{spelled(Path(above, name).relative_to(folder))} is left out: it is a link to a folder"
            for name in folders
            if os.path.islink(os.path.join(above, name))
        ]
        for name in sorted(names):
            path = Path(above, name)
            try:
                status = path.stat()
            except OSError as error:
                notes.append(f"{spelled(path.relative_to(folder))} is left out: {error.strerror}")
                continue
            if path.is_file():
                if path.is_symlink() and not (target := Path(os.path.realpath(path))).is_relative_to(inside):
                    notes.append(f"{spelled(path.relative_to(folder))} is a link to {spelled(target)}, which is copied")
                yield path, status
            else:
                notes.append(f"{spelled(path.relative_to(folder))} is left out: it is no file")


def _matching(folder: Path, patterns: Iterable[str]) -> list[Path]:
    """Return the files that match patterns, each once, in order."""
    return sorted({path for pattern in patterns for path in folder.glob(pattern) if path.is_file()})


def _only(folder: Path, pattern: str) -> Path | None:
    """Return the one file that matches; None if there is none."""
    found = _matching(folder, [pattern])
    if len(found) > 1:
        names = " and ".join(str(path.relative_to(folder)) for path in found[:3])
        raise UnfitError(f"{names} match {pattern!r}, and one of them has to be meant")
    return found[0] if found else None


def _chosen(folder: Path, there: Iterable[Path], rules: Rules) -> dict[str, Path]:
    """Return the files to keep, by names."""
    kept = there if not rules.files else _matching(folder, rules.files)
    without = {*_matching(folder, rules.exclude)}
    known = {*there}
    return {path.relative_to(folder).as_posix(): path for path in kept if path in known and path not in without}


# ------------------------------------------------------------------------------------------------------- parameters


def _said_by_file(folder: Path, params: str | None) -> Mapping[str, Any]:
    if params is None:
        return {}
    pattern, _, key = params.partition(":")
    file = _only(folder, pattern)
    if file is None:
        raise UnfitError(f"no file in it matches {pattern!r}, where its parameters are")
    found = _values(file)
    found = _reach(found, key) if key else found
    if not isinstance(found, dict):
        raise UnfitError(f"{file.name} has no mapping of parameters{f' at {key!r}' if key else ''}")
    return found


def _merged(of_path: Mapping[str, Any], of_file: Mapping[str, Any]) -> dict[str, Any]:
    """Return parameters of the path and of a file, which must not contradict each other."""
    found = dict(of_file)
    for name, value in of_path.items():
        if name in found and found[name] != value:
            raise UnfitError(f"its path says {name}={value}, and the file of parameters says {name}={found[name]}")
        found[name] = value
    return found


def _replica(parameters: dict[str, Any], name: str | None) -> int:
    if name is None:
        return 0
    if name not in parameters:
        raise UnfitError(f"it has no parameter {name!r}, which is to be its replica")
    found = parameters.pop(name)
    if type(found) is not int or found < 0:
        raise UnfitError(f"{name}={found!r} cannot be its replica, which is a whole number from 0")
    return found


# ----------------------------------------------------------------------------------------------- results and metrics


def _results(folder: Path, rules: Rules) -> tuple[dict[str, Any], str]:
    """Return the results in its files, and why there are none of some; "" if all can be read."""
    if not rules.results:
        return {}, ""
    own = {
        path
        for path in (_named(folder, rules.params), _named(folder, rules.status), _named(folder, rules.exit_code))
        if path
    }
    files = [path for path in _matching(folder, rules.results) if path not in own]
    if not files:
        return {}, f"no file in it matches {' or '.join(map(repr, rules.results))}"
    found: dict[str, Any] = {}
    whose: dict[str, str] = {}
    missing = ""
    for file in files:
        try:
            values = _results_of(file)
        except UnfitError as error:
            missing = missing or str(error)
            continue
        for name, value in values.items():
            if name in found and found[name] != value:
                raise UnfitError(f"{whose[name]} and {file.name} both have the result {name!r}, with different values")
            found[name], whose[name] = value, file.name
    if rules.picked:
        reached = {name: _reach(found, key) for name, key in rules.picked.items()}
        found = {name: value for name, value in reached.items() if value is not None}
    return found, missing


def _is_fit(name: str, value: Any, notes: list[str]) -> bool:
    """Tell whether a value can be a result; if it cannot, note the reason. The file that has it is kept all the same."""
    import molexp

    try:
        molexp.Context().set_result(name, value)  # without a run, it only checks
    except molexp.MolexpError as error:
        notes.append(f"the result {name!r} is left out: {error}")
        return False
    return True


def _named(folder: Path, source: str | None) -> Path | None:
    return _only(folder, source.partition(":")[0]) if source else None


def _results_of(file: Path) -> dict[str, Any]:
    """Return the results in a file: of a mapping its entries, of a table its last row, else the value itself."""
    if file.suffix in TABLES:
        rows = _points(file)
        return rows[-1] if rows else {}
    found = _values(file)
    return found if isinstance(found, dict) else {file.stem: found}


def _points(file: Path) -> list[dict[str, Any]]:
    try:
        return rows_of(file)
    except (OSError, ValueError) as error:
        raise UnfitError(f"{file.name} cannot be read: {error}") from None


def _values(file: Path) -> Any:
    if file.suffix not in _VALUES:
        known = ", ".join((*_VALUES, *TABLES))
        raise UnfitError(f"{file.name} cannot be read: values are read from files that end in {known}")
    from molexp.errors import ProfileError
    from molexp.scripts import read_values

    try:
        return read_values(file)
    except ProfileError as error:
        raise UnfitError(f"{file.name} cannot be read: {error.reason}") from None


def _reach(values: Any, key: str) -> Any:
    """Return what is at ``scf.energy`` or ``energies.0``; None if there is nothing."""
    if isinstance(values, dict) and key in values:
        return values[key]
    for part in key.split("."):
        if isinstance(values, dict):
            values = values.get(part)
        elif isinstance(values, list) and part.isdecimal() and int(part) < len(values):
            values = values[int(part)]
        else:
            return None
    return values


# ------------------------------------------------------------------------------------------------- status and dates


def _status(folder: Path, rules: Rules, missing: str, has_files: bool) -> tuple[str, str]:
    """Return its status and the reason, by the first rule that can tell."""
    for pattern in rules.failed_if:
        if why := _failed(folder, pattern):
            return "failed", why
    if rules.status is not None and (said := _text_at(folder, rules.status)) is not None:
        word = said.strip().lower()
        if word not in _WORDS:
            raise UnfitError(f"{rules.status} says {said.strip()[:40]!r}, which is no known status")
        return _WORDS[word], "" if _WORDS[word] == "succeeded" else f"{rules.status} says {word}"
    if rules.exit_code is not None and (said := _text_at(folder, rules.exit_code)) is not None:
        try:
            code = int(said)
        except ValueError:
            raise UnfitError(f"{rules.exit_code} says {said.strip()[:40]!r}, which is no exit code") from None
        return ("failed", f"exit code {code}") if code else ("succeeded", "")
    if rules.status is not None or rules.exit_code is not None:
        return "interrupted", f"no file says how it ended: {rules.status or rules.exit_code}"
    if rules.results:
        return ("interrupted", missing) if missing else ("succeeded", "")
    return ("succeeded", "") if has_files else ("interrupted", "there is no file in it")


def _failed(folder: Path, rule: str) -> str:
    """Return why a folder counts as failed: a file is there, or has a text in it; "" if it does not."""
    pattern, _, text = rule.partition(":")
    for file in _matching(folder, [pattern]):
        if not text:
            return f"there is {file.relative_to(folder).as_posix()}"
        with file.open("rb") as stream:
            tail = b""
            while piece := stream.read(_LONGEST):
                if text.encode() in tail + piece:
                    return f"{file.relative_to(folder).as_posix()} has {text!r}"
                tail = piece[-len(text.encode()) :]
    return ""


def _text_at(folder: Path, source: str) -> str | None:
    """Return what a file says, or what is at a key of it; None if there is no such file or key."""
    pattern, _, key = source.partition(":")
    file = _only(folder, pattern)
    if file is None:
        return None
    if key:
        found = _reach(_values(file), key)
        return None if found is None else str(found)
    with file.open("rb") as stream:
        return stream.read(_LONGEST).decode(errors="replace")


def _time(folder: Path, source: str | None, choose: Any, default: float | None) -> str | float | None:
    """Return a time that a field says, or the times of files do."""
    if source is None:
        return default
    pattern, _, key = source.partition(":")
    if not key:
        found = [path.stat().st_mtime_ns / 1e9 for path in _matching(folder, [pattern])]
        if not found:
            raise UnfitError(f"no file in it matches {pattern!r}, whose time counts")
        chosen: float = choose(found)
        return chosen
    file = _only(folder, pattern)
    said = _reach(_values(file), key) if file is not None else None
    if isinstance(said, bool) or not isinstance(said, str | int | float):
        if isinstance(said, date):  # TOML has times
            return said.isoformat()
        raise UnfitError(f"{source} says no time")
    return said


def picked(given: Iterable[str]) -> dict[str, str]:
    """Return the results that ``NAME=KEY`` texts pick.

    Raises:
        ValueError: one is not of that form.
    """
    found: dict[str, str] = {}
    for text in given:
        name, equals, key = text.partition("=")
        if not equals or not name or not key:
            raise ValueError(f"{text!r} picks no result: write NAME=KEY, such as energy=scf.energy.")
        found[name] = key
    return found
