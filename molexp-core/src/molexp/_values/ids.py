"""Ids and names: what is allowed, and how a free name becomes an id."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from functools import lru_cache

from molexp._values.patterns import late
from molexp.errors import InvalidNameError
from molexp.errors._base import nearest_names

__all__ = [
    "above",
    "check_id",
    "check_payload_name",
    "check_run_id",
    "did_you_mean",
    "fold_name",
    "is_id",
    "labels",
    "nearest",
    "nfc",
    "slug",
    "spelled",
    "text_of",
]

_ID_LIMIT = 128
_HASH_DIGITS = 8
_SEGMENT_LIMIT = 200  # bytes: 255 on common file systems, less what temporary names and suffixes add
_NAME_LIMIT = 400  # bytes: 1024 for a key, less the longest path of a run and its task
_ALIKE = 0.65  # the least likeness of a name that is suggested: with less, "failed" is taken for "profile"
_NEAREST_LIMIT = 10_000  # names to compare with; a hint is not worth more than some milliseconds

_ID = late(r"[a-z0-9][a-z0-9._=+,-]*")
_FOREIGN = late(r"[^a-z0-9._=+,-]")
_FOREIGN_TO_RUNS = late(r"[^A-Za-z0-9._=+,-]")
_LOST = late(r"[^a-z0-9._-]")
_BLANKS = late(r"\s+")
_ALLOWED = "allowed are a-z, 0-9 and '._-=+,', up to 128 characters, starting with a letter or digit"

# https://learn.microsoft.com/windows/win32/fileio/naming-a-file
_DEVICE = late(r"(?:con|prn|aux|nul|conin\$|conout\$|(?:com|lpt)[0-9\u00b9\u00b2\u00b3]) *(?:[.:].*)?", re.IGNORECASE)
_CONTROL = late(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_WINDOWS = late(r'[<>:"|?*]')
_PLAIN_NAME = late(r"[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)*")


def text_of(given: str) -> str:
    """Return a text as an object of `str` itself: those of numpy, of enums and of other classes look otherwise in messages and keys."""
    return given if type(given) is str else str.__str__(given)


def named(given: object, what: str, by: str = "path") -> str:
    """Return a text that names something, as an object of `str` itself.

    Args:
        given: the text.
        what: the thing that it names, at the beginning of a sentence.
        by: the attribute that objects have to be named by.

    Raises:
        TypeError: it is no text; says which to pass.
    """
    if isinstance(given, str):
        return text_of(given)
    known = getattr(given, by, None)
    advice = (
        f"pass {known!r}" if isinstance(known, str) else "give one at a time" if isinstance(given, Sequence) else ""
    )
    raise TypeError(f"{what} is named by text, not by {type(given).__name__}{advice and ': '}{advice}.")


def check_id(text: str, what: str = "id") -> str:
    """Return ``text`` if it is a valid id.

    Args:
        text: ``[a-z0-9][a-z0-9._=+,-]*``, up to 128 characters, no trailing dot, no Windows device name.
        what: its name in the error, as in "run id".

    Raises:
        InvalidNameError: with what is wrong and what is allowed.
    """
    if not isinstance(text, str):
        raise InvalidNameError(what, repr(text), f"it is {type(text).__name__}, not text")
    text = text_of(text)
    if len(text) <= _ID_LIMIT and _ID.fullmatch(text) and text[-1] != "." and not _DEVICE.fullmatch(text):
        return text
    raise InvalidNameError(what, text, f"{_fault(text)}; {_ALLOWED}")


def check_run_id(text: str) -> str:
    """Return the name of the folder of the run with this id: the id in lower case.

    Where case does not count in file names, ids that differ in nothing else are one folder; so they are everywhere.

    Args:
        text: as `check_id` has it, with capitals.

    Raises:
        InvalidNameError: with what is wrong and what is allowed.
    """
    if isinstance(text, str) and text.isascii():
        try:
            return check_id(text.lower())
        except InvalidNameError:
            pass
    if not isinstance(text, str):
        return check_id(text, "run id")
    raise InvalidNameError("run id", text, f"{_fault(text, _FOREIGN_TO_RUNS)}; {_ALLOWED.replace('a-z,', 'a-z, A-Z,')}")


def spelled(said: object, folder: str) -> str:
    """Return a run's id as its definition says it, if it is that of its folder; else the folder's name: it was moved."""
    return said if isinstance(said, str) and said.lower() == folder else folder


def is_id(text: str) -> bool:
    """Tell whether ``text`` is a valid id: see `check_id`."""
    try:
        check_id(text)
    except InvalidNameError:
        return False
    return True


def slug(name: str) -> str:
    """Return the id for a free name: lower case, blanks as ``-``, and a hash wherever something was lost.

    An id of ``a-z``, ``0-9``, ``.``, ``_`` and ``-`` is its own slug. Other characters are dropped, and the result gets ``-`` and 8 hex digits of the
    SHA-256 of the name in NFC, so that "α-quartz" and "β-quartz" differ; so does one that was cut at 128 characters or
    would be a Windows device name. Where nothing is left, the digits are the id.

    Raises:
        InvalidNameError: the name is empty, blank, or not text that UTF-8 can carry.
    """
    if not isinstance(name, str):
        raise InvalidNameError("a name", repr(name), f"it is {type(name).__name__}, not text")
    name = text_of(name)
    if not name.strip():
        raise InvalidNameError("a name", name, "it is empty")
    composed = nfc(name)
    spelled = _BLANKS.sub("-", composed.strip().lower())
    kept = _LOST.sub("", spelled).lstrip("._-").rstrip(".")
    device = _DEVICE.fullmatch(kept)
    if kept == spelled and len(kept) <= _ID_LIMIT and not device:
        return kept
    base = kept[: _ID_LIMIT - _HASH_DIGITS - 1].rstrip("._-")
    if device:
        base = base.replace(".", "-", 1)  # Windows takes `nul.txt-1` for the device, not `nul-txt-1`
    return f"{base}-{_digits(composed)}" if base else _digits(composed)


def fold_name(name: str) -> str:
    """Return the form under which payload names are compared: equal after NFC and case folding is one name.

    This is canonical caseless matching of the Unicode Standard (section 3.13, definition D145), composed.
    """
    if name.isascii():
        return name.lower()
    from unicodedata import normalize

    return normalize("NFC", normalize("NFD", normalize("NFD", name).casefold()))


def check_payload_name(name: str, what: str = "a name") -> str:
    """Return the name of an artifact, log or data asset in NFC, if every store and system can hold it.

    Args:
        name: relative, with "/" between segments; at most 200 bytes a segment and 400 in all.
        what: its name in the error, as in "artifact name".

    Raises:
        InvalidNameError: with what is wrong and what to do: it would leave its folder (``..``, an absolute path), has
            an empty segment, or holds what some system cannot store (control characters, ``<>:"|?*``, backslashes,
            device names, segments that end in a dot or blank).
    """
    if not isinstance(name, str):
        raise InvalidNameError(what, repr(name), f"it is {type(name).__name__}, not text")
    name = text_of(name)
    if len(name) <= _SEGMENT_LIMIT and _PLAIN_NAME.fullmatch(name) and not _DEVICE.fullmatch(name):
        return name
    fault = _whole_fault(name)
    if fault:
        raise InvalidNameError(what, name, fault)
    composed = nfc(name)
    for segment in composed.split("/"):
        fault = _segment_fault(segment)
        if fault:
            raise InvalidNameError(what, name, fault)
    return composed


@lru_cache(maxsize=1024)  # the runs of a script have the same names
def payload_names(name: str, kind: str, folder: str, suffix: str) -> tuple[str, str, str, tuple[str, ...]]:
    """Return a name of an asset in NFC, its file's name, the form under which that is compared, and the folders of that.

    Raises:
        InvalidNameError: see `check_payload_name`.
    """
    name = check_payload_name(name, f"{kind} name")
    payload = name if name.endswith(suffix) else name + suffix
    folded = fold_name(f"{folder}/{payload}")
    return name, payload, folded, above(folded)


def above(name: str) -> tuple[str, ...]:
    """Return the folders that a name lies in, the innermost first."""
    found: list[str] = []
    while (end := name.rfind("/")) > 0:
        name = name[:end]
        found.append(name)
    return tuple(found)


def nearest(name: str, names: Iterable[str], n: int = 3) -> tuple[str, ...]:
    """Return up to ``n`` of ``names`` that look like ``name``, best first; case does not matter. Only a text is like any."""
    if not isinstance(name, str):
        return ()
    from difflib import get_close_matches
    from itertools import islice

    spelled: dict[str, str] = {}
    for candidate in islice(names, _NEAREST_LIMIT):
        spelled.setdefault(candidate.lower(), candidate)
    return tuple(spelled[match] for match in get_close_matches(name.lower(), list(spelled), n, _ALIKE))


def did_you_mean(name: str, names: Iterable[str]) -> str:
    """Return a question for the end of a message, about the one of `names` that is most like `name`; "" if none is like it."""
    return nearest_names(nearest(name, names, 1))


def nfc(name: str) -> str:
    """Return `name` in NFC.

    Raises:
        InvalidNameError: it holds a lone surrogate.
    """
    if name.isascii():
        return name
    try:
        name.encode()
    except UnicodeEncodeError:
        raise InvalidNameError("a name", ascii(name), "it holds a lone surrogate, which is not text") from None
    from unicodedata import normalize

    return normalize("NFC", name)


def _digits(text: str) -> str:
    from hashlib import sha256

    return sha256(text.encode()).hexdigest()[:_HASH_DIGITS]


def _fault(text: str, foreign: re.Pattern[str] = _FOREIGN) -> str:
    """Return what keeps ``text`` from being an id."""
    if not text:
        return "it is empty"
    if len(text) > _ID_LIMIT:
        return f"it has {len(text)} characters"
    lost = foreign.search(text)
    if lost:
        return f"it contains {lost.group()!r}"
    if text[0] in "._-=+,":
        return f"it starts with {text[0]!r}"
    if text[-1] == ".":
        return "it ends with a dot, which Windows drops"
    return "Windows reserves it for a device"


def _whole_fault(name: str) -> str:
    """Return what is wrong with a payload name as a whole; "" if nothing is."""
    if not name:
        return "it is empty"
    if not name.isascii():
        try:
            name.encode()
        except UnicodeEncodeError:
            return "it holds a lone surrogate, which is not text"
    if name[0] == "/":
        return "it is an absolute path and would leave the run's folder; give a name relative to it"
    if "\\" in name:
        return "it has a backslash; separate folders with '/'"
    if len(nfc(name).encode()) > _NAME_LIMIT:
        return f"it is longer than {_NAME_LIMIT} bytes in UTF-8; choose a shorter one"
    control = _CONTROL.search(name)
    if control:
        return f"it has a control character, {control.group()!a}; leave it out"
    return ""


def _segment_fault(segment: str) -> str:
    """Return what is wrong with a segment of a payload name; "" if nothing is."""
    if not segment:
        return "it has an empty segment; write single slashes between segments, and none at the end"
    if segment == "..":
        return "its '..' would leave the run's folder; give a name inside it"
    if segment == ".":
        return "it has a '.' segment; leave it out"
    if segment[-1] in ". ":
        return f"its segment {segment!r} ends with a dot or blank, which Windows drops; leave it out"
    forbidden = _WINDOWS.search(segment)
    if forbidden:
        return f"it has {forbidden.group()!r}, which Windows cannot store; choose another character"
    if segment[:5].lower() == ".tmp-":
        return "names that start with '.tmp-' are MolExp's temporary files; choose another"
    if _DEVICE.fullmatch(segment):
        return f"Windows reserves {segment!r} for a device; choose another"
    if len(segment.encode()) > _SEGMENT_LIMIT:
        return f"its segment {segment[:20] + '...'!r} is longer than {_SEGMENT_LIMIT} bytes in UTF-8; shorten it"
    return ""


TAG_LIMIT = 200
"""The most characters of a tag: every row of a list has all tags of its run."""


def labels(given: Iterable[str], *, new: bool = True) -> list[str]:
    """Return tags as they are recorded: without blanks around them, each once, sorted.

    Args:
        given: the tags.
        new: they are to be added, so they must not be longer than tags may be; those that are there may.

    Raises:
        TypeError: one is no text, or they are one text.
        ValueError: one is empty or too long.
    """
    if isinstance(given, str):
        raise TypeError(f"Tags are a collection of texts, not one text: write [{given!r}].")
    every = list(given)
    if wrong := [label for label in every if not isinstance(label, str)]:
        raise TypeError(f"A tag is text, not {wrong[0]!r}.")
    found = sorted({text_of(label).strip() for label in every})
    if "" in found:
        raise ValueError("A tag is empty.")
    if new and len(long := max(found, key=len, default="")) > TAG_LIMIT:
        raise ValueError(
            f"A tag has at most {TAG_LIMIT} characters, and {long[:20]!r}... has {len(long)}. Write a note instead."
        )
    return found
