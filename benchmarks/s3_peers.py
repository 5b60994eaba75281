"""The same store over boto3 and over s3fs: what we are compared with on S3, below code that is the same for all.

`plugins` gives a manager that knows them as ``boto3://bucket/prefix`` and ``s3fs://bucket/prefix``, beside our own
``s3://``. They do what the benchmarks ask of them and no more, in as many requests as ours, but for downloads of files,
before which both ask for the size. Errors that a server may answer are not told apart, and what was lost on the way is
tried again as boto3 and s3fs do it by themselves.
"""

from __future__ import annotations

import io
import sys
import threading
from abc import abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import IO, Any, ClassVar, Self, TypeVar

from molexp.contracts import Capability, Listing, Stat, Store, StreamWriter, check_key
from molexp.errors import KeyExistsError, KeyNotFoundError, StoreError
from molexp.hookspecs import hookimpl
from molexp.plugins import PluginManager

T = TypeVar("T")
Item = TypeVar("Item")

_AT_ONCE = 16  # requests, as ours
_WHOLE = 16 << 20  # bytes that go up in one request, as ours
_THREADS = "peer"
_AS_ONE = {"max_concurrency": 1}  # else s3fs asks first how large an object is, to read large ones by several requests
_CONFIG: Mapping[str, Any] = {
    "s3": {"addressing_style": "path"},
    "max_pool_connections": 32,
    "request_checksum_calculation": "when_required",  # MolExp's requests have none either
    "response_checksum_validation": "when_required",
}


class Peer(Store):
    """The parts that both share: URLs, threads, errors."""

    capabilities: frozenset[Capability] = frozenset()
    lease_beat: float = 60.0
    lease_ttl: float = 300.0

    def __init__(self, url: str, options: Mapping[str, Any]) -> None:
        self.url = url.rstrip("/")
        self.bucket, _, self.prefix = self.url.partition("://")[2].partition("/")
        self.options = dict(options)
        self._lock = threading.Lock()

    @classmethod
    def open(cls, url: str, options: Mapping[str, Any]) -> Self:
        return cls(url, options)

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.url, self.options)

    @cached_property
    def _pool(self) -> ThreadPoolExecutor:
        return ThreadPoolExecutor(_AT_ONCE, thread_name_prefix=_THREADS)

    def each(self, operation: Callable[[Item], T], items: Iterable[Item]) -> list[T]:
        work = [*items]
        if len(work) < 2 or threading.current_thread().name.startswith(_THREADS):
            return [operation(item) for item in work]
        return list(self._pool.map(operation, work))

    def full(self, key: str) -> str:
        """Return the object's key in the bucket."""
        return f"{self.prefix}/{key}" if key else self.prefix

    def ask(self, key: str, request: Callable[[], T]) -> T:
        """Make a request; its errors become ours."""
        try:
            return request()
        except Exception as error:
            cause: Any = error if hasattr(error, "response") else error.__cause__
            status = getattr(cause, "response", {}).get("ResponseMetadata", {}).get("HTTPStatusCode")
            if status == 404 or isinstance(error, FileNotFoundError):
                raise KeyNotFoundError(key, url=self.url) from error
            if status == 412:
                raise KeyExistsError(key, url=self.url) from error
            raise StoreError(f"{key} in {self.url}: {error}", key=key, url=self.url) from error

    @abstractmethod
    def put(self, key: str, data: bytes, *, exclusive: bool) -> None: ...

    def write(self, key: str, data: bytes) -> None:
        self.put(check_key(key), data, exclusive=False)

    def create(self, key: str, data: bytes) -> None:
        self.put(check_key(key), data, exclusive=True)

    def open_read(self, key: str) -> IO[bytes]:
        return io.BytesIO(self.read(key))

    def open_write(self, key: str, *, exclusive: bool = False) -> StreamWriter:
        return _Writer(self, check_key(key), exclusive=exclusive)

    def locate(self, key: str) -> str:
        return f"{self.url}/{check_key(key)}"

    def found(self, name: str, size: int, tag: str, modified: datetime) -> Stat:
        """Return what is known of an object of the bucket."""
        return Stat(name[len(self.prefix) + 1 :], size, tag.strip('"'), float(int(modified.timestamp())))


class _Writer:
    """Small payloads, in one request."""

    def __init__(self, store: Peer, key: str, *, exclusive: bool) -> None:
        self._store, self._key, self._exclusive = store, key, exclusive
        self._buffer = io.BytesIO()

    def write(self, data: bytes, /) -> int:
        return self._buffer.write(data)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None:
        if kind is None:
            self._store.put(self._key, self._buffer.getvalue(), exclusive=self._exclusive)


class BotoStore(Peer):
    """By boto3."""

    schemes: ClassVar[tuple[str, ...]] = ("boto3",)

    @property
    def client(self) -> Any:
        """Threads share it; making one is not safe in threads."""
        with self._lock:
            return self._client

    @cached_property
    def _client(self) -> Any:
        from boto3.session import Session
        from botocore.config import Config

        return Session().client(
            "s3",
            endpoint_url=self.options["endpoint_url"],
            aws_access_key_id=self.options["key"],
            aws_secret_access_key=self.options["secret"],
            region_name=self.options["region"],
            config=Config(**_CONFIG),
        )

    def _at(self, key: str) -> dict[str, Any]:
        return {"Bucket": self.bucket, "Key": self.full(key)}

    def put(self, key: str, data: bytes, *, exclusive: bool) -> None:
        condition = {"IfNoneMatch": "*"} if exclusive else {}
        self.ask(key, lambda: self.client.put_object(**self._at(key), Body=data, **condition))

    def read(self, key: str, start: int = 0, length: int | None = None) -> bytes:
        end = "" if length is None else start + length - 1
        wanted = {"Range": f"bytes={start}-{end}"} if start or length is not None else {}
        answer = self.ask(key, lambda: self.client.get_object(**self._at(key), **wanted))
        data: bytes = self.ask(key, answer["Body"].read)
        return data

    def stat(self, key: str) -> Stat:
        meta = self.ask(key, lambda: self.client.head_object(**self._at(key)))
        return self.found(self.full(key), meta["ContentLength"], meta["ETag"], meta["LastModified"])

    def delete(self, key: str) -> None:
        self.ask(key, lambda: self.client.delete_object(**self._at(key)))

    def _pages(self, prefix: str, **more: str) -> Iterator[Mapping[str, Any]]:
        pages = self.client.get_paginator("list_objects_v2")
        yield from pages.paginate(Bucket=self.bucket, Prefix=f"{self.full(prefix)}/", **more)

    def _stats(self, page: Mapping[str, Any]) -> Iterator[Stat]:
        for item in page.get("Contents", ()):
            yield self.found(item["Key"], item["Size"], item["ETag"], item["LastModified"])

    def list(self, prefix: str = "") -> Iterator[Stat]:
        for page in self._pages(prefix):
            yield from self._stats(page)

    def children(self, prefix: str = "") -> Listing:
        pages = [*self._pages(prefix, Delimiter="/")]
        start = len(self.full(prefix)) + 1
        names = [found["Prefix"][start:-1] for page in pages for found in page.get("CommonPrefixes", ())]
        return Listing(tuple(stat for page in pages for stat in self._stats(page)), tuple(names))

    def put_file(
        self, path: Path, key: str, *, exclusive: bool = False, progress: Callable[[int], Any] | None = None
    ) -> None:
        if exclusive or path.stat().st_size <= _WHOLE:  # `upload_file` has no conditions
            self.put(key, path.read_bytes(), exclusive=exclusive)
        else:
            self.ask(key, lambda: self.client.upload_file(str(path), self.bucket, self.full(key)))

    def get_file(self, key: str, path: Path, *, progress: Callable[[int], Any] | None = None) -> None:
        self.ask(key, lambda: self.client.download_file(self.bucket, self.full(key), str(path)))


class S3fsStore(Peer):
    """By s3fs, which remembers no listings here, as nothing may that others write to."""

    schemes: ClassVar[tuple[str, ...]] = ("s3fs",)

    @property
    def files(self) -> Any:
        """Threads share it."""
        with self._lock:
            return self._files

    @cached_property
    def _files(self) -> Any:
        from fsspec import filesystem

        return filesystem(
            "s3",
            skip_instance_cache=True,
            use_listings_cache=False,
            endpoint_url=self.options["endpoint_url"],
            key=self.options["key"],
            secret=self.options["secret"],
            client_kwargs={"region_name": self.options["region"]},
            config_kwargs=dict(_CONFIG),
            max_concurrency=_AT_ONCE,
        )

    def _at(self, key: str) -> str:
        return f"{self.bucket}/{self.full(key)}"

    def put(self, key: str, data: bytes, *, exclusive: bool) -> None:
        mode = "create" if exclusive else "overwrite"
        self.ask(key, lambda: self.files.pipe_file(self._at(key), data, mode=mode))

    def read(self, key: str, start: int = 0, length: int | None = None) -> bytes:
        wanted = (start or None, None if length is None else start + length)
        data: bytes = self.ask(key, lambda: self.files.cat_file(self._at(key), *wanted, **_AS_ONE))
        return data

    def _stat(self, info: Mapping[str, Any]) -> Stat:
        return self.found(info["name"][len(self.bucket) + 1 :], info["size"], info["ETag"], info["LastModified"])

    def stat(self, key: str) -> Stat:
        info = self.ask(key, lambda: self.files.info(self._at(key)))
        if info["type"] == "directory":
            raise KeyNotFoundError(key, url=self.url)
        return self._stat(info)

    def delete(self, key: str) -> None:
        self.ask(key, lambda: self.files.rm_file(self._at(key)))

    def list(self, prefix: str = "") -> Iterator[Stat]:
        found = self.ask(prefix, lambda: self.files.find(self._at(prefix), detail=True))
        yield from map(self._stat, found.values())

    def children(self, prefix: str = "") -> Listing:
        try:
            found = self.ask(prefix, lambda: self.files.ls(self._at(prefix), detail=True))
        except KeyNotFoundError:
            found = []
        entries = tuple(self._stat(info) for info in found if info["type"] == "file")
        return Listing(entries, tuple(info["name"].rpartition("/")[2] for info in found if info["type"] == "directory"))

    def put_file(
        self, path: Path, key: str, *, exclusive: bool = False, progress: Callable[[int], Any] | None = None
    ) -> None:
        mode = "create" if exclusive else "overwrite"
        self.ask(key, lambda: self.files.put_file(str(path), self._at(key), mode=mode))

    def get_file(self, key: str, path: Path, *, progress: Callable[[int], Any] | None = None) -> None:
        self.ask(key, lambda: self.files.get_file(self._at(key), str(path)))


@hookimpl
def molexp_register_storage_backends() -> Iterable[type[Store]]:
    """Register them."""
    return [BotoStore, S3fsStore]


def plugins(folder: Path) -> PluginManager:
    """Return a manager that also knows the peers, from a distribution in `folder`, which is created if missing."""
    info = folder / "peers-1.0.dist-info"
    if not info.is_dir():
        info.mkdir(parents=True)
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: peers\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(f"[molexp.plugins]\npeers = {__name__}\n")
    return PluginManager(path=[*sys.path, str(folder)])
