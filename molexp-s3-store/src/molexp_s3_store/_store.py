"""The store."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, ClassVar, Self, TypeVar

from molexp.contracts import Capability, Listing, Stat, Store, StreamWriter, check_key, complete_options
from molexp.errors import KeyNotFoundError

if TYPE_CHECKING:
    from upath import UPath

    from molexp_s3_store._location import Location
    from molexp_s3_store._options import Options

# Opening any workspace imports this module. So its functions import the modules that do the work.

T = TypeVar("T")
Item = TypeVar("Item")


class S3Store(Store):
    """A store of objects below a prefix of a bucket, on Amazon S3 or a compatible server.

    Exclusive creation is a PUT with ``If-None-Match: *``, which the server must support. Amazon, Ceph, MinIO-like servers
    and Cloudflare do. MolExp checks it before it creates a workspace. Objects cannot grow, so segments take the place of
    appended files.

    Several threads may use a store, and so may spawned processes, which get it by pickle. In a forked child of a process
    that has used a store, every operation raises `ForkedProcessError`.
    """

    schemes: ClassVar[tuple[str, ...]] = ("s3",)
    capabilities: frozenset[Capability] = frozenset()
    slow: bool = True
    late_effects: bool = True
    lease_beat: float = 60.0
    lease_ttl: float = 300.0

    def __init__(self, location: Location, options: Options) -> None:
        """Use `open`, which understands URLs and options."""
        from molexp_s3_store._client import Client

        self.url = location.url
        self.durability = options.durability
        self._location = location
        self._options = options
        self._client = Client(location, options)

    @classmethod
    def open(cls, url: str, options: Mapping[str, Any]) -> Self:
        """Open ``s3://bucket/prefix``. No request is made.

        Args:
            url: the bucket must exist, the prefix need not.
            options: see the page on S3 in the documentation; names of s3fs and boto3 are understood, too. What is not
                given is taken from the environment and the files that AWS's tools have.

        Raises:
            TypeError: an unknown option, naming the known ones; or one of a wrong type.
            ValueError: a URL or a value that makes no sense.
        """
        from molexp_s3_store._location import locate
        from molexp_s3_store._options import read_options

        return cls(locate(url), read_options(options))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.url!r})"

    def __reduce__(self) -> tuple[Any, ...]:
        import attrs

        from molexp_s3_store._options import SECRETS
        from molexp_s3_store._sealing import seal

        values = attrs.asdict(self._options)
        hidden = {name: values.pop(name) for name in SECRETS if values[name] is not None}
        return _reopen, (type(self), self._location.url, values, seal(hidden) if hidden else b"")

    def close(self) -> None:
        """Let connections and threads go."""
        self._client.close()

    def each(self, operation: Callable[[Item], T], items: Iterable[Item]) -> list[T]:
        """Apply `operation` to each of `items`, some at a time."""
        return self._client.each(operation, items)

    # ----------------------------------------------------------------------------------------------------- documents

    def read(self, key: str, start: int = 0, length: int | None = None) -> bytes:
        """Return the bytes under `key`, or up to `length` of them from `start`. One request.

        Raises:
            KeyNotFoundError: there is nothing.
        """
        from molexp_s3_store import _reading

        return _reading.fetch(self._client, check_key(key), start, length).data

    def write(self, key: str, data: bytes) -> None:
        """Set `key` to `data`, replacing what was there. One request."""
        from molexp_s3_store import _writing

        _writing.put(self._client, check_key(key), data)

    def create(self, key: str, data: bytes) -> None:
        """Set `key` to `data` if nothing is there. One request, if it is answered.

        Raises:
            KeyExistsError: something is there. Nothing was changed.
        """
        from molexp_s3_store import _writing

        _writing.create(self._client, check_key(key), data)

    def stat(self, key: str) -> Stat:
        """Describe `key`; its version is the object's ETag.

        Raises:
            KeyNotFoundError: there is nothing.
        """
        from molexp_s3_store import _listing, _reading

        return _listing.stat_of(key, _reading.look(self._client, check_key(key)))

    def delete(self, key: str) -> None:
        """Remove `key`. It is no error if it does not exist."""
        check_key(key)
        try:
            self._client.ask("delete", key, lambda native: native.delete(key))
        except KeyNotFoundError:
            pass

    def list(self, prefix: str = "") -> Iterator[Stat]:
        """Yield every key below the folder `prefix`. A request returns a thousand."""
        from molexp_s3_store import _listing

        if prefix:
            check_key(prefix)
        return _listing.walk(self._client, prefix)

    def children(self, prefix: str = "") -> Listing:
        """List one level below the folder `prefix`. A request returns a thousand names."""
        from molexp_s3_store import _listing

        if prefix:
            check_key(prefix)
        return _listing.level(self._client, prefix)

    # ------------------------------------------------------------------------------------------------------ payloads

    def open_read(self, key: str) -> IO[bytes]:
        """Open `key` as a seekable binary stream, which reads ahead by 8 MiB.

        Raises:
            KeyNotFoundError: there is nothing.
            StoreError: while it is read: it was replaced.
        """
        from molexp_s3_store import _reading

        return io.BufferedReader(_reading.Reader(self._client, check_key(key)), 1 << 16)

    def open_write(self, key: str, *, exclusive: bool = False) -> StreamWriter:
        """Open a stream that becomes `key` when it is left without an error; with `exclusive`, as `create` does.

        What is larger than 16 MiB goes up in parts while it is written, three at a time.

        Raises:
            KeyExistsError: on leaving, with `exclusive`, if something is there by then.
        """
        from molexp_s3_store import _writing

        return _writing.Writer(self._client, check_key(key), exclusive=exclusive)

    def put_file(
        self, path: Path, key: str, *, exclusive: bool = False, progress: Callable[[int], Any] | None = None
    ) -> None:
        """Copy a local file to `key`, by parallel parts of at least 16 MiB."""
        from molexp_s3_store import _writing

        _writing.upload(self._client, path, check_key(key), exclusive=exclusive, progress=progress)

    def get_file(self, key: str, path: Path, *, progress: Callable[[int], Any] | None = None) -> None:
        """Copy `key` to a local file, by parallel ranges. An interrupted download resumes."""
        from molexp_s3_store import _reading

        _reading.download(self._client, check_key(key), path, progress)

    def locate(self, key: str) -> str:
        """Return the object's URL."""
        return f"{self.url}/{check_key(key)}"

    def path(self, key: str) -> UPath:
        """Return the object or folder as a ``UPath`` over s3fs, with this store's configuration and credentials.

        Its ``storage_options`` are for fsspec. They hold a session, which does not show the keys.
        """
        from molexp_s3_store._face import path

        return path(self._client, check_key(key))

    @classmethod
    def combine(cls, below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
        """Merge options; those in `above` win, under any of their names. Credentials come from one of the two."""
        from molexp_s3_store._options import combine_options

        return combine_options(below, above)

    # --------------------------------------------------------------------------------------------------- housekeeping

    def leftovers(self, older_than: float) -> Iterable[str]:
        """List multipart uploads that killed writers left unfinished. A lifecycle rule of the bucket may abort them, too."""
        from molexp_s3_store._administering import unfinished

        return [
            f"unfinished upload of {found.key} ({found.started:%Y-%m-%d})"
            for found in unfinished(self._client, older_than)
        ]

    def remove_leftovers(self, older_than: float) -> int:
        """Abort the uploads that `leftovers` lists, and free the keys that they had claimed."""
        from molexp_s3_store._administering import abort, unfinished

        found = unfinished(self._client, older_than)
        abort(self._client, found, older_than)
        return len(found)


def _reopen(cls: type[S3Store], url: str, values: dict[str, Any], sealed: bytes) -> S3Store:
    from molexp_s3_store._sealing import unseal

    if sealed and not (secrets := unseal(sealed)):  # another user's process: it uses the credentials of that user
        return cls.open(
            url, complete_options(cls, url, {name: value for name, value in values.items() if value is not None})
        )
    return cls.open(url, {**values, **(secrets if sealed else {})})
