"""Options for storage: what a caller gives, and below it what the settings files of this machine say."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from molexp._values.storage_settings import storage_settings_files, tables_for

if TYPE_CHECKING:
    from molexp.contracts._store import Store

__all__ = ["complete_options", "storage_settings_files"]


def complete_options(backend: type[Store], url: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options to open `url` with: those that are given, and below them those of ``storage.toml`` for this place.

    The file lies in the folder that ``MOLEXP_CONFIG_DIR`` names; if that is not set, in the user's configuration folder,
    and below it counts the one in the folder of the whole machine. Its tables are named after beginnings of URLs, as in
    ``["s3://"]`` and ``["s3://bucket/lab"]``; of those that `url` begins with, up to a slash, a longer one counts more.
    If there is no file, this costs a `stat` for each place.

    Args:
        backend: the class that will open it, which knows what its options mean; see `Store.combine`.
        url: a path or a URL.
        given: the caller's ``storage_options``, which count more than any file.

    Raises:
        StorageSettingsError: a file cannot be read, or says something that makes no sense; names the file.

    Example:
        >>> from molexp.contracts import complete_options
        >>> from molexp_fs import LocalStore
        >>> complete_options(LocalStore, "lab", {"durability": "always"})
        {'durability': 'always'}
    """
    layers = tables_for(url)
    if not layers:
        return dict(given)
    return functools.reduce(backend.combine, [*layers, given], {})
