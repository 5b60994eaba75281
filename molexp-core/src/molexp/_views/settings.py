"""The settings that count in a workspace, and where each comes from."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

from msgspec import Struct

from molexp._hierarchy.session import DEFAULT_SCHEME
from molexp._hierarchy.workspace import Workspace
from molexp._values.cache_place import cache_folder
from molexp._values.storage_settings import options_by_file

_HIDDEN = "(hidden)"


class Setting(Struct, frozen=True):
    """A setting that counts in a workspace.

    Attributes:
        name: its name.
        value: its value; secrets are hidden.
        origin: ``the workspace``, ``the default``, an environment variable, or a file.
        can_be_set: true if it is stored in the workspace, by `Workspace.configure`.

    Example:
        >>> [one.value for one in me.explain_settings(ws) if one.name == "durability"]
        ['end']
    """

    name: str
    value: Any
    origin: str
    can_be_set: bool = False


def explain_settings(workspace: Workspace) -> list[Setting]:
    """Return the settings that count in a workspace, opened as it is here: those that it stores, and those of this machine.

    Raises:
        CorruptRecordError: the stored settings cannot be read.
        StorageSettingsError: ``storage.toml`` says something that makes no sense.

    Example:
        >>> [one.name for one in me.explain_settings(ws) if one.can_be_set]
        ['run_id_scheme', 'durability']
    """
    return [*_stored(workspace), *_of_this_machine(workspace)]


def _stored(workspace: Workspace) -> Iterator[Setting]:
    session, known = workspace._session, workspace.settings
    scheme = known.get("run_id_scheme")
    yield Setting("run_id_scheme", scheme or DEFAULT_SCHEME, "the workspace" if scheme else "the default", True)
    if session.durability_given:
        origin = "MOLEXP_DURABILITY" if os.environ.get("MOLEXP_DURABILITY") else "storage.toml"
        yield Setting("durability", session.store.durability, origin, True)
    elif wanted := session.workspace.durability():
        yield Setting("durability", wanted, "the workspace", True)
    else:
        yield Setting("durability", session.store.durability, "the default", True)


def _of_this_machine(workspace: Workspace) -> Iterator[Setting]:
    for name, variable in (("beat", "MOLEXP_LEASE_BEAT"), ("ttl", "MOLEXP_LEASE_TTL")):
        origin = variable if os.environ.get(variable) else "the default"
        yield Setting(f"lease.{name}", workspace._session.lease[name], origin)
    origin = "MOLEXP_CACHE_DIR" if os.environ.get("MOLEXP_CACHE_DIR") else "the default"
    yield Setting("cache", cache_folder(), origin)
    for file, name, value, is_secret in options_by_file(workspace.url):
        yield Setting(f"storage.{name}", _HIDDEN if is_secret else value, file)
