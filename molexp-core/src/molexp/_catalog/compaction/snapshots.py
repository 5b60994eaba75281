"""Snapshots: what a reader knew once, so that others need not read everything; numbered manifests of immutable segments.

A manifest ``.molexp/snapshots/<n>.json`` is created exclusively by whoever built it on number n - 1, so there is one line
of them. Each segment is an index, a compressed SQLite file: the first of all rows, each further one of the rows that came
since. It says how far its author had read each journal, and which hints were not settled by then: who takes it in goes on
as its author would. Journals that it has *folded* whole may be deleted.
"""

from __future__ import annotations

import os
import re
import zlib
from collections.abc import Mapping
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

from msgspec import Struct, field

from molexp._catalog.index.index import Hint, Mark
from molexp._catalog.index.place import VERSION
from molexp._catalog.refresh.reading import OUTAGES, newest_snapshot, number_of_snapshot
from molexp._storage import key_patterns, layout, schemas
from molexp._values.documents import decode_object, encode, encode_pretty
from molexp._values.times import utc_now
from molexp.contracts import Listing, Store
from molexp.contracts._copying import copy_stream
from molexp.errors import CorruptRecordError, KeyNotFoundError, StoreError

KEPT = 4
"""Manifests that are kept behind the newest, so that a listing under way finds one that is not too old."""

LARGEST = 16 << 30
"""Bytes of the largest segment that is read, before and after it is unpacked: of some million runs."""

_SEGMENT = re.compile(key_patterns.SNAPSHOT_SEGMENT)
_REMEMBERED = 16  # manifests whose folded journals are named
_LEVEL = 3  # of compression: more takes several times as long, and saves a fifth


class Segment(NamedTuple):
    """An immutable part of a snapshot: a compressed index of all rows, or of those that came since.

    Attributes:
        key: Its key.
        rows: The number of its rows.
        size: bytes.
        digest: SHA-256 of them.
    """

    key: str
    rows: int
    size: int
    digest: str


class Manifest(Struct, frozen=True):
    """A snapshot.

    Attributes:
        number: 1, 2, ...
        segments: one with all rows first.
        journals: The mark up to which each journal had been read.
        pending: announced keys that were not there.
        folded: journals that were sealed and folded whole, by the number of the manifest that did, of the last ones.
        version: of the tables in its segments.
    """

    number: int
    segments: tuple[Segment, ...] = ()
    journals: Mapping[str, Mark] = field(default_factory=dict)
    pending: frozenset[Hint] = frozenset()
    folded: Mapping[int, Mapping[str, str]] = field(default_factory=dict)
    version: int = VERSION

    def follows(self, seen: int) -> bool:
        """Tell whether it names all journals that were folded since manifest number `seen`."""
        return all(number in self.folded for number in range(seen + 1, self.number + 1))

    def folds(self, name: str) -> bool:
        """Tell whether a journal was folded, as far as that is remembered."""
        return any(name in names for names in self.folded.values())

    def has_folded(self, name: str, mark: Mark) -> bool:
        """Tell whether a journal was folded as it is, as far as that is remembered."""
        return any(names.get(name) == mark.at for names in self.folded.values())

    def unread(self, seen: int, read: Mapping[str, Mark]) -> set[str]:
        """Return the writers whose journals were folded since manifest `seen`, and not `read` as far as they were folded."""
        steps = (names for number, names in self.folded.items() if number > seen)
        folded = (one for names in steps for one in names.items())
        return {layout.writer_of_journal(name) for name, mark in folded if not _reaches(read.get(name), mark, name)}

    def to_document(self, token: str) -> bytes:
        """Return the manifest as it is stored."""
        document = {
            "schema": schemas.SNAPSHOT,
            "type": "snapshot",
            "token": token,
            "number": self.number,
            "built_on": self.number - 1,
            "created_at": utc_now(),
            "tables": self.version,
            "segments": [segment._asdict() for segment in self.segments],
            "journals": {name: [mark.at, mark.owner] for name, mark in sorted(self.journals.items())},
            "pending": sorted([journal, key] for journal, key in self.pending),
            "folded": {str(number): dict(names) for number, names in sorted(self.folded.items())[-_REMEMBERED:]},
        }
        return encode_pretty({**document, "sha256": _digest_of(document)})


def _digest_of(document: Mapping[str, Any]) -> str:
    return sha256(encode(document)).hexdigest()


def _key_of(key: Any) -> str:
    folder, _, name = str(key).rpartition("/")
    if folder != layout.SNAPSHOTS or not _SEGMENT.fullmatch(name):
        raise ValueError(f"{key!r} is no segment's")
    return str(key)


def manifest_key(number: int) -> str:
    """Return the key of a manifest."""
    return f"{layout.SNAPSHOTS}/{number}.json"


def is_segment(name: str) -> bool:
    """Tell whether a segment may bear this name."""
    return _SEGMENT.fullmatch(name) is not None


def superfluous(listing: Listing, manifest: Manifest) -> list[str]:
    """Return what nobody needs once a manifest is the newest: segments that it does not name, and old manifests.

    A segment that is newer may be somebody's who has not come to publish it yet.
    """
    named = {segment.key for segment in manifest.segments}
    found = []
    for entry in listing.entries:
        name = entry.key.rpartition("/")[2]
        if number := number_of_snapshot(entry.key):
            old = number < manifest.number - KEPT
        else:
            match = _SEGMENT.fullmatch(name)
            old = match is not None and int(match[1]) <= manifest.number and entry.key not in named
        if old:
            found.append(entry.key)
    return found


def read_manifest(store: Store, number: int) -> Manifest:
    """Read a manifest.

    Raises:
        KeyNotFoundError: it is gone: there are newer ones.
        CorruptRecordError: it cannot be understood.
    """
    key = manifest_key(number)
    document = decode_object(store.read(key), key)
    said = document.pop("sha256", None)  # older ones have none
    if said is not None and said != _digest_of(document):
        raise CorruptRecordError(key, "it is not what was written")
    try:
        return Manifest(
            number,
            tuple(
                Segment(_key_of(one["key"]), int(one["rows"]), int(one["size"]), str(one["digest"]))
                for one in document["segments"]
            ),
            {str(name): Mark(str(mark[0]), str(mark[1])) for name, mark in document["journals"].items()},
            frozenset((str(journal), str(key)) for journal, key in document["pending"]),
            {int(one): {str(n): str(m) for n, m in names.items()} for one, names in document["folded"].items()},
            int(document["tables"]),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise CorruptRecordError(key, f"it is no manifest of a snapshot ({type(error).__name__}: {error})") from None


def waited_for(store: Store, number: int) -> frozenset[Hint]:
    """Return what a snapshot waits for, where journals of writers who go on may be folded; nothing of number 0.

    Where its manifest cannot be read, the one before it still says most of that.
    """
    for one in range(number, max(number - KEPT, 0), -1) if "append" not in store.capabilities else ():
        try:
            return read_manifest(store, one).pending
        except OUTAGES:
            raise
        except (CorruptRecordError, StoreError):
            continue
    return frozenset()


def damaged_parts(store: Store) -> dict[str, str]:
    """Return what is not what was written of the newest snapshot, with the reason."""
    from tempfile import TemporaryDirectory

    number, _ = newest_snapshot(store)
    found: dict[str, str] = {}
    try:
        segments = read_manifest(store, number).segments if number else ()
    except CorruptRecordError as error:
        return {manifest_key(number): error.reason}
    except KeyNotFoundError:
        return {}  # there is a newer one
    for segment in segments:
        with TemporaryDirectory() as folder, suppress(KeyNotFoundError):
            try:
                _packed(store, segment, folder)
            except CorruptRecordError as error:
                found[segment.key] = error.reason
    return found


# ------------------------------------------------------------------------------------------------------------- segments


def segment_key(number: int, token: str) -> str:
    """Return the key of a segment that is written for manifest `number`."""
    return f"{layout.SNAPSHOTS}/{number}-{token}.sqlite3.gz"


def fetch(store: Store, segment: Segment, folder: str) -> str:
    """Return a file in `folder` that holds the index which a segment is.

    Raises:
        KeyNotFoundError: it is gone.
        CorruptRecordError: its bytes are not those that were written, or are too many.
    """
    import gzip  # not by those who only look whether there is a newer one

    packed, path = _packed(store, segment, folder), os.path.join(folder, "segment.sqlite3")
    try:
        with gzip.open(packed) as source, open(path, "wb") as target:
            if copy_stream(source, target, length=LARGEST + 1) > LARGEST:
                raise CorruptRecordError(segment.key, f"unpacked, it has more bytes than are read ({LARGEST})")
    except (OSError, EOFError, zlib.error) as error:
        raise CorruptRecordError(segment.key, f"it cannot be unpacked ({type(error).__name__}: {error})") from None
    return path


def _packed(store: Store, segment: Segment, folder: str) -> str:
    """Return a file with the bytes of a segment: itself where that is a file, else a copy in `folder`."""
    if segment.size > LARGEST:
        raise CorruptRecordError(segment.key, f"it has {segment.size} bytes, more than are read ({LARGEST})")
    if "local_path" in store.capabilities:
        path = str(store.local_path(segment.key))
    else:
        path = os.path.join(folder, "segment.gz")
        store.get_file(segment.key, Path(path))
    try:
        digest = digest_of(path) if os.path.getsize(path) == segment.size else ""
    except FileNotFoundError:
        raise KeyNotFoundError(segment.key, url=store.url) from None
    if digest != segment.digest:
        raise CorruptRecordError(segment.key, "its bytes are not those that were written")
    return path


def write_segment(store: Store, key: str, rows: int, image: str) -> Segment:
    """Store an index, which is a file, as a segment."""
    import gzip

    packed = f"{image}.gz"
    with open(image, "rb") as source, gzip.GzipFile(packed, "wb", compresslevel=_LEVEL, mtime=0) as target:
        copy_stream(source, target)
    segment = Segment(key, rows, os.path.getsize(packed), digest_of(packed))
    store.put_file(Path(packed), key, exclusive=True)
    return segment


def digest_of(path: str) -> str:
    """Return the SHA-256 of a file."""
    digest = sha256()
    with open(path, "rb") as file:
        copy_stream(file, digest=digest)
    return digest.hexdigest()


def _reaches(read: Mark | None, mark: str, name: str) -> bool:
    """Tell whether a journal was read up to where it was folded."""
    if read is None:
        return False
    if layout.is_journal_object(name):
        return read.at == mark
    return read.at.isdigit() and mark.isdigit() and int(read.at) >= int(mark)
