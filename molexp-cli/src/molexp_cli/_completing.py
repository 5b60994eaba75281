"""Completion of values: which words may stand in the place of an option or argument. Imported only where a shell asks."""

from __future__ import annotations

import importlib.util
import os
import re
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from molexp.completion import Glance

_SAFE = re.compile(r"[\w@%+=:,./~-]+")  # a shell takes these as they are: names may come from a stranger's workspace
_LAST = re.compile(r"""(?P<head>.*?(?:==?|!=)\s*(?P<quote>["'])|(?:.*[^\w.])?)(?P<word>[\w.-]*)$""", re.DOTALL)
_STATUSES = ("succeeded", "failed", "interrupted", "cancelled", "running", "queued", "pending")
_ROOTS = ("params.", "results.", "metrics.", "config.", "provenance.", "tags", "notes", "id", "project", "experiment", "path", "archived", "user", "status", "created_at", "seconds", "attempts", "host", "cause", "profile", "replica", "started_at", "ended_at")  # fmt: skip

Complete = Callable[[Any, str], Iterable[str]]
"""Returns words, given the context of the command and what is typed of the word."""


class _Word(NamedTuple):
    """A word that is offered, as Typer's classes for shells take it."""

    value: str
    type: str = "plain"
    help: str = ""


def complete(run: Callable[[list[str]], int]) -> None:
    """Answer a shell, and end the process: nothing is said on standard error, and nothing is an error.

    Args:
        run: runs the program.
    """
    try:
        nothing = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nothing, 2)
        sys.modules["rich"] = None  # type: ignore[assignment]  # Typer would import it to format each description
        from typer.completion import get_completion_inspect_parameters

        get_completion_inspect_parameters()  # that registers the shells
        run([])
    except BaseException:  # noqa: BLE001, S110 - a shell that completes a word has no use for an error
        pass
    with suppress(Exception):
        sys.stdout.flush()
    os._exit(0)


def attach(command: Any, name: str) -> None:
    """Let the options and arguments of a command complete their values."""
    for parameter in command.params:
        option = next((text for text in parameter.opts if text in _BY_OPTION), "")
        found = _BY_OPTION.get(option) or _BY_METAVAR.get(_plain(parameter.metavar))
        if (name, parameter.name) in _OTHERWISE:
            found = _OTHERWISE[name, parameter.name]
        if found is not None:
            parameter.shell_complete = partial(_offered, found)


def _plain(metavar: str | None) -> str:
    """Return a metavar without the marks that say how often it may be given."""
    text = (metavar or "").removesuffix("...")
    return text[1:-1] if text.startswith("[") and text.endswith("]") else text


def _offered(found: Complete, ctx: Any, incomplete: str) -> list[_Word]:
    with suppress(Exception):  # a shell has no use for it
        return [_Word(word) for word in dict.fromkeys(found(ctx, incomplete)) if _may_stand(word, incomplete)]
    return []


def _may_stand(word: str, incomplete: str) -> bool:
    """Tell whether a word goes on with what is typed, by characters that mean nothing to a shell."""
    return word.startswith(incomplete) and (word == incomplete or _SAFE.fullmatch(word[len(incomplete) :]) is not None)


# ---------------------------------------------------------------------------------------------------------- the workspace


@contextmanager
def _bare_package() -> Iterator[None]:
    """Let modules of MolExp be imported that need little, without what the package itself imports."""
    found = importlib.util.find_spec("molexp") if "molexp" not in sys.modules else None
    if found is None or not found.submodule_search_locations:
        yield
        return
    bare = ModuleType("molexp")
    bare.__path__ = [*found.submodule_search_locations]
    sys.modules["molexp"] = bare
    try:
        yield
    finally:
        for name in [name for name in sys.modules if name.partition(".")[0] == "molexp"]:
            del sys.modules[name]


def _glance(ctx: Any) -> Glance:
    with _bare_package():
        from molexp.completion import Glance
    given = ctx.params.get("workspace") or ctx.find_root().params.get("workspace")
    return Glance(str(given) if given else None)


def _runs(ctx: Any, text: str) -> Iterable[str]:
    return _glance(ctx).paths(text)


def _assets(ctx: Any, text: str) -> Iterable[str]:
    run, colon, _ = text.partition(":")
    glance = _glance(ctx)
    if colon:
        return [f"{run}:{name}" for name in glance.assets(run)]
    return [word if word.endswith("/") else f"{word}:" for word in glance.paths(text)]


def _either(ctx: Any, text: str) -> Iterable[str]:
    return _assets(ctx, text) if ":" in text else _runs(ctx, text)


def _logs(ctx: Any, _: str) -> Iterable[str]:
    return _glance(ctx).assets(str(ctx.params.get("run") or ""), kind="log")


def _projects(ctx: Any, _: str) -> Iterable[str]:
    return _glance(ctx).projects()


def _paths_of_experiments(ctx: Any, text: str) -> Iterable[str]:
    glance = _glance(ctx)
    return glance.experiments() if "/" in text else [f"{one}/" for one in glance.projects()]


def _experiments(ctx: Any, text: str) -> Iterable[str]:
    found = _glance(ctx).experiments()
    return found if "/" in text else [*(path.partition("/")[2] for path in found), *_paths_of_experiments(ctx, text)]


def _kinds(ctx: Any, _: str) -> Iterable[str]:
    return sorted({*_glance(ctx).kinds(), "artifact", "checkpoint", "data", "log", "metrics"})


def _tags(ctx: Any, _: str) -> Iterable[str]:
    return _glance(ctx).tags()


# ----------------------------------------------------------------------------------------------------------------- queries


def _statuses(_: Any, __: str) -> Iterable[str]:
    return _STATUSES


def _fields(ctx: Any, text: str) -> Iterable[str]:
    if not text:
        return _ROOTS
    known = _glance(ctx).fields()
    # Bash closes a quote after the only word that it is offered: a root is offered only if no field in it is known.
    return [one for one in _ROOTS if not any(name.startswith(one) for name in known)] + known


def _query(ctx: Any, text: str) -> Iterable[str]:
    """Return how a query may go on: by a field, or by a status in quotes."""
    last = _LAST.match(text)
    if last is None:
        return []
    head, word = last["head"], last["word"]
    if last["quote"]:
        return [f"{head}{one}" for one in _STATUSES] if re.search(r"\bstatus\s*(==?|!=)\s*[\"']$", head) else []
    return [f"{head}{one}" for one in _fields(ctx, word)]


def _fields_or_runs(ctx: Any, text: str) -> Iterable[str]:
    return [*_fields(ctx, text), *_runs(ctx, text)]


def _columns(ctx: Any, text: str) -> Iterable[str]:
    head, _, word = text.rpartition(",")
    return [f"{head},{one}" if head else one for one in ("run", "age", "time", *_fields(ctx, word))]


def _sort(ctx: Any, text: str) -> Iterable[str]:
    sign = "-" if text.startswith("-") else ""
    return [sign + one for one in _fields(ctx, text.removeprefix("-"))]


def _parameters(ctx: Any, _: str) -> Iterable[str]:
    names = (name.removeprefix("params.") for name in _glance(ctx).fields() if name.startswith("params."))
    return [f"{name}=" for name in names]


# ------------------------------------------------------------------------------------------------- what the core must tell


def _profiles(ctx: Any, _: str) -> Iterable[str]:
    from molexp.scripts import find_profiles

    config, script = ctx.params.get("config"), ctx.params.get("script")
    found = find_profiles(script=Path(script) if script else None, config=Path(config) if config else None)
    return found.names if found is not None else []


def _executors(_: Any, __: str) -> Iterable[str]:
    from molexp.plugins import default_manager

    return sorted(default_manager().executors())


def _plugins(_: Any, __: str) -> Iterable[str]:
    from molexp.plugins import default_manager

    return [one.name for one in default_manager().plugins()]


_BY_METAVAR: dict[str, Complete] = {
    "RUN": _runs,
    "ASSET": _assets,
    "PROJECT": _projects,
    "PROJECT/EXPERIMENT": _paths_of_experiments,
    "[PROJECT/]ID": _experiments,
    "QUERY": _query,
    "WHERE": _query,
    "STATUS": _statuses,
    "KIND": _kinds,
    "TAG": _tags,
    "SCOPE": _runs,
    "[-]COLUMN": _sort,
    "PROFILE": _profiles,
}
_BY_OPTION: dict[str, Complete] = {
    "--project": _projects,
    "--profile": _profiles,
    "--executor": _executors,
    "--param": _parameters,
    "--columns": _columns,
    "--scope": _runs,
    "--experiment": _experiments,
}
_OTHERWISE: dict[tuple[str, str], Complete] = {
    ("lineage", "of"): _either,
    ("logs", "name"): _logs,
    ("ls", "path"): _runs,
    ("show", "name"): _plugins,
    ("check", "name"): _plugins,
    ("plot", "y"): _fields,
    ("plot", "others"): _fields_or_runs,
    ("plot", "by"): _fields,
    ("watch", "what"): _runs,
}
"""By the name of a command and of its parameter, where the metavar does not tell."""
