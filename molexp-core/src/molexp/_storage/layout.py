"""Where everything lies in a workspace: the one place that spells keys.

A *path* names an entity for people: ``""`` the workspace, ``metals``, ``metals/cu``, ``metals/cu/cu-large``. A *folder*
is the key prefix that belongs to it.
"""

from __future__ import annotations

from functools import lru_cache
from hashlib import sha256

from molexp._values.numbers import is_number

WORKSPACE = "workspace.json"
SETTINGS = "settings"
PROVENANCE = "provenance"
PROJECTS = "projects"
JOURNALS = ".molexp/journals"
SEALED = ".molexp/sealed"
SNAPSHOTS = ".molexp/snapshots"
LIVE = ".molexp/live"
DERIVED = ".molexp"

_LEASE_NAME = 200  # characters, of the 255 bytes that a segment may take

_LEVELS = ("projects", "experiments", "runs")
_DOCUMENTS = ("workspace.json", "project.json", "experiment.json", "run.json")


@lru_cache(maxsize=1024)
def folder(path: str) -> str:
    """The folder of the entity at `path`; "" for the workspace."""
    if not path:
        return ""
    return "/".join(f"{level}/{part}" for level, part in zip(_LEVELS, path.split("/"), strict=False))


@lru_cache(maxsize=1024)
def document(path: str) -> str:
    """The key of the document that makes the entity at `path` exist."""
    if not path:
        return WORKSPACE
    return f"{folder(path)}/{_DOCUMENTS[path.count('/') + 1]}"


def below(path: str, name: str) -> str:
    """The key `name` in the folder of the entity at `path`."""
    return f"{folder(path)}/{name}" if path else name


def members(path: str) -> str:
    """The folder that holds the entities one level below `path`."""
    depth = path.count("/") + 1 if path else 0
    return below(path, _LEVELS[depth])


def owner_of(key: str) -> str:
    """The path of the innermost entity that `key` lies in."""
    parts = key.split("/")
    path: list[str] = []
    for level, name in zip(parts[0::2], parts[1::2], strict=False):
        if len(path) == len(_LEVELS) or level != _LEVELS[len(path)]:
            break
        path.append(name)
    if len(path) * 2 >= len(parts):  # the last part named a file, not a folder
        path = path[: (len(parts) - 1) // 2]
    return "/".join(path)


def payloads(run_folder: str, attempt: int) -> str:
    """The folder of an attempt's artifacts, logs and checkpoints."""
    return run_folder if attempt == 1 else f"{run_folder}/executions/{attempt}"


def lease(path: str, attempt: int) -> str:
    """The key of an attempt's lease; for ids too long for one segment, a hash stands for them."""
    name = path.replace("/", "~")
    if len(name) > _LEASE_NAME:
        name = sha256(path.encode()).hexdigest()
    return f"{LIVE}/{name}~{attempt}"


def leased(key: str) -> str:
    """The path of the run whose attempt has this lease; "" where a hash stands for it, or the key is foreign."""
    parts = key.rpartition("/")[2].split("~")
    return "/".join(parts[:3]) if len(parts) == len(_LEVELS) + 1 and is_number(parts[3]) else ""
