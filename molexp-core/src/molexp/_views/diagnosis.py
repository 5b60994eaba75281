"""Checking whether MolExp can work here: Python, plugins, a workspace, its storage and file system, the cache, the clock and git."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Literal

from msgspec import Struct

from molexp._hierarchy.location import locate_workspace
from molexp._hierarchy.workspace import Workspace
from molexp._storage.layout import DERIVED
from molexp._values.cache_place import cache_folder
from molexp._values.documents import encode
from molexp._values.times import new_token
from molexp._views.file_systems import dangers_of, look_at_folder
from molexp.errors import KeyExistsError, MolexpError, NotFoundError

Standing = Literal["ok", "warn", "fail"]
"""The end of a check: ``ok``, ``warn`` or ``fail``."""

_PLUGINS: dict[str, Standing] = {"available": "ok", "loaded": "ok", "disabled": "warn", "broken": "fail"}
_OFFSET = 2.0  # seconds: the coarsest times that a file system keeps
_SLOW = 1.0  # seconds for one small file


class Check(Struct, frozen=True):
    """One thing that was looked at.

    Attributes:
        name: the thing, such as ``plugin`` or ``file system``.
        status: ``ok``, ``warn`` or ``fail``.
        found: the facts.
        hint: a way to mend it; "" if there is nothing to do.

    Example:
        >>> [check.status for check in me.diagnose("lab") if check.name == "workspace"]
        ['ok']
    """

    name: str
    status: Standing
    found: str
    hint: str = ""


def diagnose(url: str | None = None) -> tuple[Check, ...]:
    """Check whether MolExp can work here, and say what to do where it cannot; nothing raises.

    To measure what the storage can do, and by how much its clock is off, a small file is written into the workspace's
    ``.molexp`` and removed.

    Args:
        url: the workspace, as in `locate_workspace`; there need be none.

    Example:
        >>> sorted({check.name for check in me.diagnose("lab")})[:3]
        ['cache', 'clock', 'distributions']
    """
    checks = [*_guarded("python", _python), *_guarded("distributions", _distributions), *_guarded("plugin", _plugins)]
    workspace, found = _workspace(url)
    checks.append(found)
    if workspace is not None:
        opened = workspace
        checks += _guarded("storage", lambda: _storage(opened))
        checks += _guarded("durability", lambda: _durability(opened))
        checks += _guarded("file system", lambda: _file_system(opened))
    checks += _guarded("cache", lambda: _cache(workspace))
    checks += _guarded("git", _git)
    return tuple(checks)


def _guarded(name: str, look: Callable[[], Iterator[Check]]) -> list[Check]:
    found: list[Check] = []
    try:
        found.extend(look())
    except Exception as error:  # noqa: BLE001 - whatever it is, it is what was looked for
        found.append(_failure(name, error))
    return found


def _failure(name: str, error: Exception) -> Check:
    """Return the check that ended in an error."""
    if isinstance(error, FileNotFoundError) and error.filename is None:
        try:
            os.getcwd()
        except FileNotFoundError:
            return Check(name, "fail", "the current folder was removed", "Change to another one with cd.")
    hint = str(getattr(error, "hint", ""))
    what = str(error).removesuffix(hint).rstrip()
    return Check(name, "fail", what if isinstance(error, MolexpError) else f"{type(error).__name__}: {what}", hint)


def _python() -> Iterator[Check]:
    import platform

    version, where = platform.python_version(), sys.executable or "an interpreter without a path"
    yield Check("python", "ok", f"{version}, {where}, on {platform.system()} {platform.release()}")


def _distributions() -> Iterator[Check]:
    from importlib.metadata import PackageNotFoundError, version

    from molexp.plugins._sorts import OURS

    found = dict[str, str]()
    for name in ("molexp-core", "molexp-cli", *sorted(OURS - {"molexp-core"})):
        with suppress(PackageNotFoundError):
            found[name] = version(name)
    told = ", ".join(f"{name} {number}" for name, number in found.items()) or "none is installed, only imported"
    same = len(set(found.values())) <= 1
    hint = "" if same else "Install the same version of all of them."
    yield Check("distributions", "ok" if same else "warn", told, hint)


def _plugins() -> Iterator[Check]:
    from molexp.plugins import PluginManager

    manager = PluginManager()
    for one in manager.plugins():
        status = _PLUGINS.get(one.status, "warn")
        why = f": {one.cause}" if one.cause else ""
        hint = f"molexp plugins check {one.name} tries it." if status == "fail" else ""
        told = f"{one.name}, {one.distribution} {one.version}, {one.status}{why}"
        yield Check("plugin", status, told, hint)
    for name, where in manager.unknown_names().items():
        yield Check("plugin", "warn", f"{where} names {name!r}, which is not installed", f"Correct {where}.")


def _workspace(url: str | None) -> tuple[Workspace | None, Check]:
    try:
        opened = locate_workspace(url)
    except NotFoundError as error:
        if url is None and not os.environ.get("MOLEXP_WORKSPACE"):
            return None, Check(
                "workspace", "ok", "none is named, and none lies around this folder", "molexp init makes one."
            )
        return None, Check("workspace", "fail", str(error), "Check the name.")
    except (MolexpError, OSError, ValueError) as error:
        return None, _failure("workspace", error)
    try:
        document = opened._session.workspace.read()
    except MolexpError as error:
        return opened, Check("workspace", "fail", f"{opened.url}: {error}", "molexp fsck --repair writes it again.")
    told = f"{opened.url}, format {document.get('schema')}"
    if not opened._session.workspace.may_be_written():
        return opened, Check("workspace", "fail", f"{told}, which is newer than this MolExp", "Upgrade molexp-core.")
    if opened.read_only:
        return opened, Check("workspace", "warn", f"{told}, can only be read here")
    return opened, Check("workspace", "ok", told)


def _storage(opened: Workspace) -> Iterator[Check]:
    store = opened._session.store
    told = f"{type(getattr(store, 'beneath', store)).__name__} can {', '.join(sorted(store.capabilities)) or 'hold whole objects only'}"
    if opened.read_only or not opened._session.workspace.may_be_written():
        yield Check("storage", "ok", f"{told}; nothing was written to try it")
        return
    key, content = f"{DERIVED}/probe/{new_token()}", encode({"probe": new_token()})
    began, clock = time.monotonic(), time.time()
    store.create(key, content)
    took, after = time.monotonic() - began, time.time()
    try:
        modified = store.stat(key).modified
        kept = _keeps_first(opened, key, content)
    finally:
        store.delete(key)
    if not kept:
        hint = "Two writers can create one key here, and records would be lost. Use a file system, or a server that honours it."
        yield Check("storage", "fail", f"{told}; exclusive creation does not work", hint)
    else:
        slow = took > _SLOW
        hint = "Every step of a run waits for that: look at the load of the server, or of the disk." if slow else ""
        told = f"{told}; exclusive creation works, a small file takes {took * 1000:.3g} ms"
        yield Check("storage", "warn" if slow else "ok", told, hint)
    yield from _clock(modified, clock, after)


def _keeps_first(opened: Workspace, key: str, content: bytes) -> bool:
    store = opened._session.store
    try:
        store.create(key, encode({"probe": new_token()}))
    except KeyExistsError:
        return store.read(key) == content
    return False


def _clock(modified: float, before: float, after: float) -> Iterator[Check]:
    if not modified:
        return
    offset = max(before - modified, modified - after, 0.0)
    late = offset > _OFFSET
    hint = "Set the clock of this machine, or of the server, by NTP: lists sort by time." if late else ""
    told = f"{offset:.3g} s apart from that of the storage" if late else "agrees with that of the storage"
    yield Check("clock", "warn" if late else "ok", told, hint)


def _durability(opened: Workspace) -> Iterator[Check]:
    session = opened._session
    if session.durability_given:
        found, where = session.store.durability, "MOLEXP_DURABILITY or storage.toml"
    elif (wanted := session.workspace.durability()) is not None:
        found, where = wanted, "the workspace's settings"
    else:
        found, where = session.store.durability, "the default"
    never = found == "never"
    hint = "A power loss can take what was recorded. Use 'end', unless you can repeat everything." if never else ""
    yield Check("durability", "warn" if never else "ok", f"{found}, by {where}", hint)


def _file_system(opened: Workspace) -> Iterator[Check]:
    store = opened._session.store
    if "local_path" not in store.capabilities:
        return
    place = look_at_folder(str(store.local_path("workspace.json").parent))
    told = f"{place.sort or 'of an unknown sort'}, {place.free / 1e9:.3g} of {place.size / 1e9:.3g} GB free"
    dangers = [*dangers_of(place)]
    for danger in dangers:
        yield Check("file system", "fail" if danger.is_acute else "warn", f"{told}: {danger.what}", danger.hint)
    if not dangers:
        yield Check("file system", "ok", told)


def _cache(workspace: Workspace | None) -> Iterator[Check]:
    folder = cache_folder()
    if not folder:
        yield Check(
            "cache", "warn", "there is no place for it", "Let MOLEXP_CACHE_DIR name a folder: each query reads all."
        )
        return
    above = folder
    while not os.path.lexists(above):
        above = os.path.dirname(above)
    if not (os.path.isdir(above) and os.access(above, os.W_OK | os.X_OK)):
        hint = "Let MOLEXP_CACHE_DIR name a folder that you may write to: each query reads all."
        yield Check("cache", "warn", f"{folder} cannot be written", hint)
        return
    told = f"{folder}, {_megabytes(_sizes(folder))} MB"
    location = workspace._session.index.location if workspace is not None else ""
    if location and os.path.exists(location):
        told += f"; the index of this workspace has {_megabytes(os.path.getsize(location))} MB"
    if look_at_folder(above).sort in ("nfs", "nfs4", "cifs", "smb3"):
        hint = "Let MOLEXP_CACHE_DIR name a folder on a disk of this machine: SQLite's locks are slow there, or do not work."
        yield Check("cache", "warn", f"{told}, on a network file system", hint)
        return
    yield Check("cache", "ok", told)


def _sizes(folder: str) -> int:
    total = 0
    for root, _, files in os.walk(folder):
        for name in files:
            with suppress(OSError):
                total += os.lstat(os.path.join(root, name)).st_size
    return total


def _megabytes(size: int) -> str:
    return f"{size / 1e6:.3g}"


def _git() -> Iterator[Check]:
    import shutil

    from molexp._provenance.git import describe_git

    if shutil.which("git") is None:
        yield Check("git", "warn", "is not installed", "Install it, so that runs record the commit of their code.")
        return
    found = describe_git(os.getcwd())
    if found is None:
        yield Check("git", "ok", "this folder is in no repository")
    elif problem := found.get("problem"):
        yield Check(
            "git", "warn", str(problem), "Runs of code in this repository record no commit until that is mended."
        )
    else:
        changed = " with uncommitted changes" if found.get("dirty") else ""
        yield Check("git", "ok", f"commit {str(found.get('commit'))[:12]}{changed}")
