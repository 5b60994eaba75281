"""Pack the files of runs into a zip file, one piece at a time; unpacked, it is a workspace."""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import IO, TYPE_CHECKING, Any, Protocol

from molexp_cli._failing import parts

if TYPE_CHECKING:
    import molexp

_PIECE = 1 << 20
_LARGE = 1 << 31  # bytes from which on an entry needs fields of 64 bits
_FIRST = (1980, 1, 1, 0, 0, 0)  # the earliest time that a zip file can say
_PACKED = (
    ".7z", ".br", ".bz2", ".gif", ".gz", ".jpeg", ".jpg", ".lz4", ".mp4", ".npz", ".parquet", ".pdf", ".png", ".webp", ".xz",
    ".zip", ".zst",
)  # fmt: skip
"""Files whose names end like this are compressed already."""


@dataclass
class Packed:
    """Report what was packed.

    Attributes:
        runs: the paths of the runs.
        files: the number of files.
        bytes: their bytes.
        left_out: runs that were not packed, and why.
        external: links to places outside of the workspace, which were not followed.
        mismatches: files whose bytes are not those on record: they were packed as they are.
    """

    runs: list[str] = field(default_factory=list)
    files: int = 0
    bytes: int = 0
    left_out: dict[str, str] = field(default_factory=dict)
    external: list[str] = field(default_factory=list)
    mismatches: list[str] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """Tell whether all that was asked for is in it, as the record has it."""
        return not (self.left_out or self.mismatches)


class Listener(Protocol):
    """Learns of what is packed, to describe it in a file of its own."""

    def add(self, file: molexp.RecordFile, digest: str) -> None:
        """Take note of a file, and of the hash of its bytes."""

    def end(self, put: Callable[[str, IO[bytes]], None]) -> None:
        """Put files of its own into the archive."""


def pack(
    out: IO[bytes],
    workspace: molexp.Workspace,
    rows: Mapping[str, Any],
    *,
    listener: Listener | None = None,
    progress: Callable[[int], object] | None = None,
) -> Packed:
    """Pack the files of runs, and of what lies above them.

    The same record gives the same bytes, with the same version of zlib.

    Args:
        out: the file to write to.
        workspace: the workspace.
        rows: the times at which runs were created, by their paths.
        listener: told of each file.
        progress: called with the bytes of each piece.
    """
    import molexp

    packed = Packed()

    def skip(path: str, error: molexp.MolexpError) -> None:
        packed.left_out[path] = parts(error)[0]

    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED, strict_timestamps=False) as archive:
        for file in molexp.record_files(workspace, rows, on_error=skip):
            if file.run and (not packed.runs or packed.runs[-1] != file.run):
                packed.runs.append(file.run)
            if file.external:
                packed.external.append(file.key)
                continue
            size, digest = _put(archive, file.key, file.open(), file.size, rows.get(file.run, ""), progress)
            packed.files += 1
            packed.bytes += size
            if file.content_hash and file.content_hash != digest:
                packed.mismatches.append(file.key)
            if listener is not None:
                listener.add(file, digest)
        if listener is not None:

            def put(name: str, stream: IO[bytes]) -> None:
                _put(archive, name, stream, 0, "", None)

            listener.end(put)
    return packed


def _put(
    archive: zipfile.ZipFile, name: str, stream: IO[bytes], size: int, at: str, progress: Callable[[int], object] | None
) -> tuple[int, str]:
    info = zipfile.ZipInfo(name, _moment(at))
    info.create_system = 3  # on every system the same
    info.external_attr = 0o100644 << 16
    info.compress_type = zipfile.ZIP_STORED if name.lower().endswith(_PACKED) else zipfile.ZIP_DEFLATED
    digest, total = sha256(), 0
    with stream, archive.open(info, "w", force_zip64=size >= _LARGE) as entry:
        while piece := stream.read(_PIECE):
            entry.write(piece)
            digest.update(piece)
            total += len(piece)
            if progress is not None:
                progress(len(piece))
    return total, f"sha256:{digest.hexdigest()}"


def _moment(at: str) -> tuple[int, int, int, int, int, int]:
    """Return a time of the record, in UTC, as a zip file has it."""
    from datetime import datetime

    try:
        found = datetime.fromisoformat(at).timetuple()[:6]
    except ValueError:
        return _FIRST
    return (found[0], found[1], found[2], found[3], found[4], found[5]) if found[0] >= _FIRST[0] else _FIRST
