"""Copies of assets outside of the workspace: whole and verified, or not there at all."""

from __future__ import annotations

import errno
import os
import shutil
import stat
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

from molexp._assets.assets import said
from molexp._assets.verification import is_folder, is_hashed
from molexp._storage.hashing import folder_hash, hashed
from molexp.contracts import Store, check_key
from molexp.errors import HashMismatchError, KeyNotFoundError

if TYPE_CHECKING:
    from molexp.contracts._assets import Asset, Sink

    Progress = Callable[[int], Any] | None

_SMALL = 1 << 20  # bytes of a file that comes along with others
_PAYLOAD = "payload"
_OLD = "replaced"
_TRIES = 10
_OURS = 0o700  # the mode of a folder in which nobody else can put anything


def refuse_folder(asset: Asset) -> None:
    """Refuse to read a folder as if it were one file.

    Raises:
        IsADirectoryError: it is one.
    """
    if is_folder(asset):
        raise IsADirectoryError(errno.EISDIR, "It is a folder of files, not one stream of bytes; download it", asset.id)


def download(asset: Asset, store: Store, path: str | os.PathLike[str], *, overwrite: bool, progress: Progress) -> Path:
    """Copy an asset's bytes to a local path; see `Asset.download`."""
    target = _target(asset, path)
    _check_free(target, is_folder(asset), overwrite)
    target.parent.mkdir(parents=True, exist_ok=True)
    _check_hashed(asset)
    progress = _bounded(asset, progress)
    with _beside(target, sha256(f"{store.url}\n{asset.id}".encode()).hexdigest()[:16]) as work:
        made = work / _PAYLOAD
        _verify(asset, fetch(asset, store, made, progress))
        _place(made, target, work / _OLD, overwrite)
    return target


def copy_to(asset: Asset, store: Store, sink: Sink, *, progress: Progress) -> None:
    """Write an asset's bytes to a stream; see `Asset.copy_to`."""
    refuse_folder(asset)
    _check_hashed(asset)
    with store.open_read(asset.key) as source:
        _, found = hashed(source, sink, progress=_bounded(asset, progress))
    _verify(asset, found if is_hashed(asset) else None)


# ------------------------------------------------------------------------------------------------------- where it goes


def _target(asset: Asset, path: str | os.PathLike[str]) -> Path:
    given = os.path.expanduser(os.fspath(path))
    name = check_key(asset.key).rpartition("/")[2]
    into = given.endswith((os.sep, "/")) or os.path.isdir(given)
    return Path(os.path.abspath(given), name) if into else Path(os.path.abspath(given))


def _check_free(target: Path, folder: bool, overwrite: bool) -> None:
    if target.parent.exists() and not target.parent.is_dir():
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(target.parent))
    if not os.path.lexists(target):
        return
    if not overwrite:
        raise _taken(target)
    if target.is_dir() and not folder:
        raise IsADirectoryError(errno.EISDIR, "A file does not replace a folder", str(target))
    if folder and not target.is_dir():
        raise NotADirectoryError(errno.ENOTDIR, "A folder does not replace a file", str(target))


def _taken(target: Path) -> FileExistsError:
    return FileExistsError(errno.EEXIST, "It exists already, and is replaced only with overwrite=True", str(target))


def _place(made: Path, target: Path, old: Path, overwrite: bool) -> None:
    """Give what is complete its name."""
    if not overwrite:
        if made.is_file():
            with suppress(OSError):  # there are file systems without links
                os.link(made, target)
                return
        if os.path.lexists(target):
            raise _taken(target)
    elif made.is_dir() and os.path.lexists(target):
        target.rename(old)
        try:
            made.rename(target)
        except BaseException:
            old.rename(target)
            raise
        return
    made.replace(target)


# ----------------------------------------------------------------------------------------------- what comes, and whether


def fetch(asset: Asset, store: Store, made: Path, progress: Progress = None) -> str | None:
    """Bring the bytes, a file or a folder, to a path where nothing is; returns their hash, if the record has one."""
    if is_folder(asset):
        return _fetch_folder(asset, store, made, progress)
    store.get_file(asset.key, made, progress=progress)
    return _hash(made) if is_hashed(asset) else None


def _fetch_folder(asset: Asset, store: Store, made: Path, progress: Progress) -> str | None:
    """Bring every file, the small ones several at a time; returns the hash of the folder, as an import makes it."""
    files = {check_key(entry.key).removeprefix(f"{asset.key}/"): entry for entry in store.list(asset.key)}
    if not files:
        raise KeyNotFoundError(asset.key, url=store.url)
    lock = threading.Lock()

    def told(count: int) -> None:
        with lock:
            if progress is not None:
                progress(count)

    def fetch(name: str) -> None:
        path = made / name
        path.parent.mkdir(parents=True, exist_ok=True)
        store.get_file(files[name].key, path, progress=told)

    store.each(fetch, [name for name, entry in files.items() if entry.size <= _SMALL])
    for name, entry in files.items():
        if entry.size > _SMALL:
            fetch(name)
    return folder_hash((name, _hash(made / name)) for name in files) if is_hashed(asset) else None


def _verify(asset: Asset, found: str | None) -> None:
    if found is not None and found != asset.content_hash:
        outside = said(asset, "external") is True
        hint = "They lie outside of the workspace, and changed there: import them again." if outside else ""
        raise HashMismatchError(asset.name, key=asset.key, recorded=str(asset.content_hash), found=found, hint=hint)


def _check_hashed(asset: Asset) -> None:
    """Take of what lies outside nothing that cannot be compared: a stranger's record may name any file."""
    if said(asset, "external") is True and not is_hashed(asset):
        _verify(asset, "bytes that cannot be compared with that")


def _bounded(asset: Asset, progress: Progress) -> Callable[[int], None]:
    """Tell of the progress, and end a copy that is longer than what was recorded: it may lead anywhere, and be endless."""
    limit = asset.size if is_hashed(asset) else None
    total = 0

    def count(size: int) -> None:
        nonlocal total
        total += size
        if limit is not None and total > limit:
            _verify(asset, f"more than its {limit} bytes")
        if progress is not None:
            progress(size)

    return count


def _hash(path: Path) -> str:
    with path.open("rb") as file:
        return hashed(file)[1]


# ------------------------------------------------------------------------------------------------- where it comes to be


@contextmanager
def _beside(target: Path, digest: str) -> Iterator[Path]:
    """Give a hidden folder beside the target. What a store keeps in it of a broken download, the next one goes on with."""
    folder = target.with_name(f".{target.name[:40]}.{digest}.part")
    held = _lock(folder)
    if held is None:  # another process is at it: we take one that nobody else can find
        folder = Path(tempfile.mkdtemp(prefix=f"{folder.name}-", dir=folder.parent))
    try:
        _remove(folder / _PAYLOAD)  # of a process that was killed
        yield folder
        shutil.rmtree(folder, ignore_errors=True)
    except BaseException as error:
        _clear(folder, wholly=held is None or isinstance(error, HashMismatchError))
        raise
    finally:
        if held is not None:
            os.close(held)


def _clear(folder: Path, *, wholly: bool) -> None:
    """Remove what was made, and `wholly` also what a store keeps to go on with."""
    with suppress(OSError):  # it is left over, then; and the folder is, where something in it is still wanted
        for path in list(folder.iterdir()):
            if path.name == _PAYLOAD or (wholly and path.name != _OLD):
                _remove(path)
        folder.rmdir()


def _lock(folder: Path) -> int | None:
    """Return a descriptor of the folder whose lock says that this process is at it; None if another one is."""
    try:
        import fcntl
    except ImportError:  # no way to know whether another process is at it
        return None
    for _ in range(_TRIES):
        with suppress(FileExistsError):
            folder.mkdir(_OURS)
        try:
            held = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        except FileNotFoundError:  # whoever was at it has just ended
            continue
        except OSError:  # somebody else's, or a link, or no folder
            return None
        with suppress(OSError):
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
            found = os.fstat(held)
            if not _is_ours(found):
                os.close(held)
                return None
            if os.path.samestat(found, folder.lstat()):
                return held
        os.close(held)
    return None


def _is_ours(found: os.stat_result) -> bool:
    """Tell whether a folder was made here by us: one that came with a repository, or by somebody else, has another mode."""
    return found.st_uid == os.geteuid() and stat.S_IMODE(found.st_mode) & 0o777 == _OURS


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
