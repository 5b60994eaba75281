"""Files ``storage.toml``: the user's, and below it the one for all users of a machine. Read and checked here."""

from __future__ import annotations

import functools
import os
import re
import stat
import sys
from collections.abc import Iterator, Mapping
from typing import Any

from molexp._values.patterns import late
from molexp._values.text_files import parse_toml, read_small
from molexp.errors import StorageSettingsError

NAME = "storage.toml"

_SCHEME = late(r"([A-Za-z][A-Za-z0-9+.-]+):")
_SECRET = late(r"secret|token|passw|key")
_NO_SECRET = frozenset({"kms_key_id"})


def storage_settings_files() -> tuple[str, ...]:
    """Return the files ``storage.toml`` that exist, the one that counts most at the end.

    Example:
        >>> from molexp.contracts import storage_settings_files
        >>> [file.name for file in storage_settings_files()]  # none on this machine
        []
    """
    return tuple(path for folder in _folders() if os.path.exists(path := os.path.join(folder, NAME)))


def _folders() -> tuple[str, ...]:
    if given := os.environ.get("MOLEXP_CONFIG_DIR"):
        return (given,)
    if sys.platform == "linux":  # as platformdirs does, whose import costs more than all the rest
        site = os.environ.get("XDG_CONFIG_DIRS", "").partition(":")[0] or "/etc/xdg"
        user = os.environ.get("XDG_CONFIG_HOME") or os.path.expanduser("~/.config")
        folders = [os.path.join(site, "molexp"), os.path.join(user, "molexp")]
    else:
        from platformdirs import site_config_dir, user_config_dir

        try:
            folders = [site_config_dir("molexp", appauthor=False), user_config_dir("molexp", appauthor=False)]
        except (OSError, RuntimeError):  # no home
            return ()
    return tuple(folder for folder in folders if os.path.isabs(folder))  # it is not where there is no home


def tables_for(url: str) -> list[Mapping[str, Any]]:
    """Return the tables that say something of the place at a URL; what a later one says counts more.

    Raises:
        StorageSettingsError: a file cannot be read, or says something that makes no sense; names the file.
    """
    return [table for path in storage_settings_files() for table in _about(path, url)]


def options_by_file(url: str) -> list[tuple[str, str, Any, bool]]:
    """Return the options for the place at a URL, those that count: the file, the dotted name, the value, whether it is secret.

    Raises:
        StorageSettingsError: as `tables_for` does.
    """
    found: dict[str, tuple[str, str, Any, bool]] = {}
    for path in storage_settings_files():
        for table in _about(path, url):
            for name, value, is_secret in _flat(table):
                found[name] = (path, name, value, is_secret)
    return [*found.values()]


def _flat(table: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Any, bool]]:
    for name, value in table.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{above}{name}.")
        else:
            yield above + name, value, _is_secret(name)


def _is_secret(name: str) -> bool:
    return bool(_SECRET.search(name)) and name not in _NO_SECRET


def _about(path: str, url: str) -> list[Mapping[str, Any]]:
    """Return what one file says: shorter beginnings first."""
    try:
        status = os.stat(path)
    except OSError as error:
        raise StorageSettingsError(path, f"it cannot be read ({error.strerror})") from error
    tables = _read(path, status.st_mtime_ns, status.st_size, status.st_mode)
    wanted = _canonical(url)
    return [tables[beginning] for beginning in sorted(tables, key=len) if _begins(wanted, beginning)]


def _begins(url: str, beginning: str) -> bool:
    return url == beginning or (url.startswith(beginning) and (beginning.endswith("/") or url[len(beginning)] == "/"))


def _canonical(url: str) -> str:
    """Return the one spelling of a place: lower-case scheme, absolute path, no slash at the end."""
    scheme = _SCHEME.match(url)
    if scheme is None or scheme[1].lower() == "file":
        if scheme is not None:
            from urllib.parse import unquote

            rest = unquote(url[scheme.end() :])
            url = "/" + rest.lstrip("/") if rest.startswith("//") else rest
        path = os.path.abspath(os.path.expanduser(url)).replace(os.sep, "/")
        return "file://" + ("" if path.startswith("/") else "/") + path
    place, chained, container = url[scheme.end() :].lstrip("/").partition("::")
    return f"{scheme[1].lower()}://{'/'.join(part for part in place.split('/') if part)}{chained}{container}"


@functools.lru_cache(maxsize=8)
def _read(path: str, _modified: int, _size: int, mode: int) -> Mapping[str, Mapping[str, Any]]:
    """Return the tables by the beginnings of URLs; each version of a file is read, and warned of, once."""
    try:
        document = parse_toml(read_small(path).decode())
        holds_secrets = _holds_secrets(document)
    except OSError as error:
        raise StorageSettingsError(path, f"it cannot be read ({error.strerror})") from error
    except (ValueError, RecursionError) as error:  # ValueError: no TOML, no UTF-8, or an integer of thousands of digits
        raise StorageSettingsError(path, f"it is not valid TOML ({error})") from None
    tables: dict[str, Mapping[str, Any]] = {}
    for name, table in document.items():
        if not isinstance(table, dict):
            raise StorageSettingsError(
                path,
                f"{name!r} is outside of a table",
                hint='Write options below the URLs they are for: ["s3://"].',
            )
        tables[_beginning(path, name)] = table
    if os.name == "posix" and mode & (stat.S_IRWXG | stat.S_IRWXO) and holds_secrets:
        import warnings

        warnings.warn(
            f"{path} holds secrets, and others may read it or write to it. Take that from them: chmod 600 {path}",
            stacklevel=6,
        )
    return tables


def _beginning(path: str, name: str) -> str:
    if re.fullmatch(r"[a-z][a-z0-9+.-]+://", name):
        return name
    if re.match(r"[a-z][a-z0-9+.-]+://[^/]|file:///", name) or os.path.isabs(os.path.expanduser(name)):
        return _canonical(name)
    raise StorageSettingsError(
        path,
        f"the table [{name!r}] is not named after what a URL begins with",
        hint='Write ["s3://"] for all of a kind, ["s3://bucket/lab"] for one workspace, or ["/scratch/lab"] for a folder.',
    )


def _holds_secrets(table: Mapping[str, Any]) -> bool:
    return any(_holds_secrets(value) if isinstance(value, dict) else _is_secret(name) for name, value in table.items())
