"""Opening a store with what the caller and the settings of this machine say."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, get_args

from molexp.contracts import Durability, Store, complete_options, storage_settings_files
from molexp.errors import StorageSettingsError


def open_store(backend: type[Store], url: str, given: Mapping[str, Any]) -> tuple[Store, dict[str, Any]]:
    """Open a store, and tell with which options; if a settings file is to blame that it cannot be, say so."""
    try:
        options = complete_options(backend, url, given)
        return backend.open(url, options), options
    except (TypeError, ValueError) as error:
        files = storage_settings_files()
        if not files or isinstance(error, StorageSettingsError):
            raise
        backend.open(url, given)  # raises by itself, where it is not the file's fault
        raise StorageSettingsError(" and ".join(files), str(error).rstrip(".")) from error


def check_durability(value: Any, what: str) -> Durability:
    """Return `value` if it is a durability.

    Raises:
        ValueError: it is not.
    """
    if value not in get_args(Durability):
        raise ValueError(f"{what} must be one of {', '.join(get_args(Durability))}, not {value!r}.")
    found: Durability = value
    return found
