"""Names under which files of any name can be saved: what some system cannot store is quoted or shortened."""

from __future__ import annotations

import os
from hashlib import sha256
from urllib.parse import quote

from molexp._values.ids import check_payload_name, fold_name, nfc
from molexp.errors import InvalidNameError

_LONGEST = 190  # bytes of a segment, less than the limit, as one of several may get a number
_LONGEST_SUFFIX = 20
_KEPT = 150


def name_for(relative: str, taken: set[str]) -> str:
    """Return a name that an artifact can have: characters that some system cannot store are quoted as in URLs.

    Args:
        relative: the file's path, with slashes.
        taken: folded names that others have; this one is added to them.
    """
    name = nfc("/".join(map(_segment, relative.split("/"))))
    if not _can_be(name):  # too long as a whole
        name = f"{_digest(relative)}/{name.rpartition('/')[2]}"
    number, unique = 1, name
    while fold_name(unique) in taken:  # differs from another one in case only
        number += 1
        stem, suffix = os.path.splitext(name)
        unique = f"{stem}~{number}{suffix}"
    taken.add(fold_name(unique))
    return unique


def _segment(part: str) -> str:
    for mend in (_shortened, _quoted, _begun_otherwise, _shortened):
        if _can_be(part):
            break
        part = mend(part)
    return part


def _can_be(name: str) -> bool:
    try:
        return bool(check_payload_name(name))
    except InvalidNameError:
        return False


def _shortened(part: str) -> str:
    """Shorten a name that is too long to its beginning, a hash of all of it, and its suffix."""
    if len(part.encode(errors="surrogateescape")) <= _LONGEST:
        return part
    stem, suffix = os.path.splitext(part)
    suffix = suffix if len(suffix.encode(errors="surrogateescape")) < _LONGEST_SUFFIX else ""
    kept = stem.encode(errors="surrogateescape")[:_KEPT].decode(errors="ignore")
    return f"{kept}~{_digest(part)}{suffix}"


def _quoted(part: str) -> str:
    return quote(part, safe=" +,=@~()", errors="surrogateescape").rstrip(". ") or "_"


def _begun_otherwise(part: str) -> str:
    """Replace the beginning of a name that is a device's (``com1.dat``, on Windows) or a temporary file's of ours."""
    return f"%{ord(part[0]):02X}{part[1:]}"


def _digest(text: str) -> str:
    return sha256(text.encode(errors="surrogateescape")).hexdigest()[:8]
