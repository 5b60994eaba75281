"""Say where the record is, as pages of a copy may reach it, and where no copy may be written."""

from __future__ import annotations

import re
from itertools import takewhile
from pathlib import Path
from urllib.parse import quote, urlsplit
from urllib.request import url2pathname

import molexp as me

NONE = "none"
"""Given instead of an address: pages do not read the record."""

_WEB = ("http", "https")
_HOST = re.compile(r"[A-Za-z0-9.:\[\]-]+")


def refuse_nested(workspace: me.Workspace, url: str) -> None:
    """Refuse a copy inside of the workspace, or around it.

    Args:
        workspace: the workspace.
        url: the canonical URL of the copy's place.

    Raises:
        ValueError: one is in the other: files of the copy would count as the record's, or the record's as the copy's.
    """
    ours, theirs = (_parts(one) for one in (workspace.url, url))
    if ours[0] != theirs[0]:
        return
    shared = _shared(ours[1], theirs[1])
    if shared == len(theirs[1]) < len(ours[1]):
        raise ValueError("The workspace lies inside of this place: choose a place beside the workspace.")
    if shared == len(ours[1]) < len(theirs[1]):
        raise ValueError("This place lies inside of the workspace: choose one beside it.")


def record_of(workspace: me.Workspace, url: str, given: str | None) -> dict[str, str] | None:
    """Return how pages reach the record: nothing of it says where the workspace is on this machine.

    Without an address, a folder is found that lies beside the copy or beside a folder above it, or the prefix of the same
    bucket.

    Args:
        workspace: the workspace.
        url: the canonical URL of the copy's place.
        given: the address of the workspace, as seen by the pages or absolute; or `NONE`.

    Returns:
        The address of the workspace and its id; for a bucket also the bucket's address, and the prefix in it. None if pages
        cannot reach it, as far as is known.

    Raises:
        ValueError: the given address is none that pages can read.
    """
    if given == NONE:
        return None
    (bucket, ours), (other, theirs) = _parts(workspace.url), _parts(url)
    prefix = "".join(f"{name}/" for name in ours) if bucket.startswith("s3:") else None
    if given is not None:
        at = _checked(given)
    else:
        shared = _shared(ours, theirs)
        if bucket != other or (prefix is None and len(ours) - shared != 1):
            return None
        at = "../" * (len(theirs) - shared) + "".join(f"{quote(name)}/" for name in ours[shared:])
    found = {"at": at, "id": workspace.id}
    if prefix is not None and (given is None or at.endswith(quote(prefix))):
        root = at.removesuffix(quote(prefix)) if given is not None else "../" * len(theirs)
        found |= {"bucket": root, "prefix": prefix}
    return found


def policy_of(record: dict[str, str] | None) -> str:
    """Return from where pages may read, in the words of a Content-Security-Policy."""
    if record is None:
        return "'none'"
    parts = urlsplit(record["at"])
    return f"'self' {parts.scheme}://{parts.netloc}" if parts.netloc else "'self'"


def _checked(given: str) -> str:
    parts = urlsplit(given)
    absolute = parts.scheme in _WEB and _HOST.fullmatch(parts.netloc)
    if any(one in given for one in "?#\\") or not (absolute or (not parts.scheme and not parts.netloc and given)):
        raise ValueError(
            f"--record {given}: give the address of the workspace for a browser, like ../lab/ or https://host/lab/."
        )
    return given if given.endswith("/") else f"{given}/"


def _parts(url: str) -> tuple[str, list[str]]:
    """Return the storage of a place, and the names of its folders: links resolved, where there are any."""
    parts = urlsplit(url)
    if parts.scheme == "file":
        return "file:", [*Path(url2pathname(parts.path)).resolve().parts]
    return f"{parts.scheme}://{parts.netloc}", [name for name in parts.path.split("/") if name]


def _shared(ours: list[str], theirs: list[str]) -> int:
    """Return how many folders two places have in common."""
    return sum(1 for _ in takewhile(lambda both: both[0] == both[1], zip(ours, theirs, strict=False)))
