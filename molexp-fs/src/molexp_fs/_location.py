"""Turn paths and URLs of users into one canonical folder, and a folder into a URL."""

from __future__ import annotations

import os
import re
import stat

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+(?=:)")
_UNQUOTED = re.compile(r"[A-Za-z0-9_.~:@/-]*")
_HOSTS = ("", "localhost")


def folder_of(url: str) -> str:
    """Return the absolute folder that a plain path or a ``file:`` URL means, with its symbolic links resolved.

    A relative path is resolved against the current directory now, so that a later ``chdir`` does not matter.

    Raises:
        ValueError: `url` is empty, has another scheme, names another host, or has a query or fragment.
    """
    url = os.fspath(url)
    if not url:
        raise ValueError("The location of a workspace is empty; give a folder, as in './lab'.")
    if "\0" in url:
        raise ValueError(f"{url!r} has a null character.")
    scheme = _SCHEME.match(url)
    if scheme and scheme[0].lower() == "file":
        path = _path_in(url)
    elif scheme and url.startswith("://", scheme.end()):
        raise ValueError(f"{url!r} is not a local folder: its scheme is {scheme[0]!r}, not 'file'.")
    else:
        path = os.path.expanduser(url)
    return os.path.realpath(path)


def file_in_the_way(folder: str) -> str | None:
    """Return the file that lies where a folder is meant, or where one of its parents should be; None if there is none."""
    try:
        return None if stat.S_ISDIR(os.stat(folder).st_mode) else folder
    except NotADirectoryError:
        while not os.path.exists(folder) and folder != os.path.dirname(folder):
            folder = os.path.dirname(folder)
        return folder
    except OSError:
        return None  # nothing is there, or it cannot be looked at: the first use says so


def url_of(folder: str) -> str:
    """Return the canonical ``file:///...`` URL of an absolute folder."""
    path = folder.replace(os.sep, "/")
    if not _UNQUOTED.fullmatch(path):
        from urllib.parse import quote_from_bytes

        path = quote_from_bytes(os.fsencode(path), safe="/:@~")
    return "file://" + ("" if path.startswith("/") else "/") + path


def _path_in(url: str) -> str:
    rest = url[len("file:") :]
    if "?" in rest or "#" in rest:
        raise ValueError(f"{url!r} has a query or a fragment; in a path, write %3F and %23.")
    if rest.startswith("//"):
        host, slash, rest = rest[2:].partition("/")
        if host.lower() not in _HOSTS:
            raise ValueError(f"{url!r} names the host {host!r}; a file URL has three slashes, as in file:///data/lab.")
        rest = slash + rest
    from urllib.parse import unquote_to_bytes

    path = os.fsdecode(unquote_to_bytes(rest))
    if "\0" in path:
        raise ValueError(f"{url!r} has a null character.")
    if re.match(r"/[A-Za-z]:(/|$)", path) and os.name == "nt":
        path = path[1:]
    if not os.path.isabs(path):
        raise ValueError(f"{url!r} is not absolute; a file URL has three slashes, as in file:///data/lab.")
    return path
