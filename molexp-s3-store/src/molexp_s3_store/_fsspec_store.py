"""Reading workspaces by whatever driver of fsspec is installed: Google Cloud, Azure, SFTP, HTTP, archives, ..."""

from __future__ import annotations

import io
import os
import threading
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import IO, TYPE_CHECKING, Any, ClassVar, NoReturn, Self, TypeVar
from urllib.parse import quote, unquote

from molexp.contracts import Capability, Listing, Stat, Store, check_key, complete_options
from molexp.errors import (
    InvalidKeyError,
    KeyNotFoundError,
    PluginMissingError,
    ReadOnlyError,
    SpecialFileError,
    StoreError,
)

if TYPE_CHECKING:
    from upath import UPath

T = TypeVar("T")
_Found = Sequence[tuple[str, Mapping[str, Any]]]
"""Keys, each with the driver's information."""

_WEB = ("http", "https")
_LINKING = ("local", "file", "sftp", "ssh")  # these may have links, which the listings of their drivers show
_AT_ONCE = 16  # requests, where the driver can make several
_RETRIES = 3.0  # seconds for which what does not answer is asked again; most drivers do that by themselves


class FsspecStore(Store):
    """A read-only store of files behind a URL that a driver of fsspec opens.

    It takes every scheme that fsspec knows and no other storage plugin claims. ``storage_options`` go to the driver. The
    store caches no listings, so you see what others add.

    It writes nothing: drivers cannot create a file exclusively, and without that two writers damage each other's work.
    """

    schemes: ClassVar[tuple[str, ...]] = ("*",)
    capabilities: frozenset[Capability] = frozenset()
    slow: bool = True
    late_effects: bool = True
    read_only_because: str = (
        "through fsspec nothing can be created exclusively, so that only file systems (paths, file://), S3 (s3://) and "
        "memory (memory://) are written to"
    )

    def __init__(self, url: str, options: Mapping[str, Any]) -> None:
        """Use `open`, which checks URLs."""
        self.url = url
        self._options = dict(options)
        self._scheme = url.partition("://")[0]
        self._lock = threading.Lock()
        self._opened: tuple[int, Any, str] | None = (
            None  # by which process; the driver's file system; what the URL is there
        )

    @classmethod
    def takes(cls, scheme: str) -> bool:
        """Tell whether fsspec knows it; the driver need not be installed."""
        from fsspec.registry import known_implementations, registry

        return scheme in registry or scheme in known_implementations

    @classmethod
    def open(cls, url: str, options: Mapping[str, Any]) -> Self:
        """Open a URL. This imports the driver and makes no request.

        Args:
            url: as fsspec has it, also a chained one (``zip://lab::https://example.org/lab.zip``).
            options: for the driver.

        Raises:
            PluginMissingError: the driver, or what it needs, is not installed; names it.
            ValueError: a URL with a password.
        """
        from fsspec import get_filesystem_class

        scheme, _, rest = url.partition("://")
        place, chained, container = rest.partition("::")
        parts = [part if "://" in part or part.isalpha() else os.path.abspath(part) for part in container.split("::")]
        url = f"{scheme.lower()}://{place.rstrip('/')}{chained}{'::'.join(parts) if chained else ''}"
        try:
            driver: Any = get_filesystem_class(scheme.lower())
        except ImportError as error:
            missing = PluginMissingError("fsspec driver", scheme.lower())
            missing.args = (f"{url} cannot be opened: {str(error).rstrip('.')}.",)
            raise missing from error
        if driver._get_kwargs_from_urls(url).get("password") or (scheme in _WEB and "@" in place.partition("/")[0]):
            raise ValueError("A URL carries no credentials: pass them as storage_options.")
        if scheme in _WEB and ("?" in place or "#" in place):
            raise ValueError(f"{url!r} has a query or a fragment: a workspace is a folder.")
        return cls(url, options)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.url!r})"

    def __reduce__(self) -> tuple[Any, ...]:
        import pickle

        from molexp_s3_store._sealing import seal_bytes

        return _reopen, (type(self), self.url, seal_bytes(pickle.dumps(self._options)) if self._options else b"")

    def close(self) -> None:
        """Let the driver go."""
        self._opened = None

    # -------------------------------------------------------------------------------------------------------- the driver

    def _ask(self, key: str, request: Callable[[Any, str], T]) -> T:
        """Ask the driver, again if there was no answer; its errors become ours."""
        from molexp_s3_store._foreign import translate
        from molexp_s3_store._retrying import tries

        for last in tries(_RETRIES):
            try:
                driver, root = self._driver()
                return request(driver, self._join(root, key))
            except Exception as error:
                found = translate(error, key, self.url, self._options)
                if last or not found.passing:
                    raise found.error from error
        raise AssertionError("there is a last try")  # pragma: no cover

    def _driver(self) -> tuple[Any, str]:
        """Return this process's file system of the driver, with an empty listing cache, and the root in it."""
        with self._lock:
            if self._opened is None or self._opened[0] != os.getpid():
                from fsspec import url_to_fs

                driver, root = url_to_fs(self.url, **self._options)
                self._opened = os.getpid(), driver, str(root).rstrip("/")
            _, driver, root = self._opened
        driver.invalidate_cache()
        return driver, root

    def _join(self, root: str, key: str) -> str:
        named = quote(key) if self._scheme in _WEB else key
        return f"{root}/{named}" if root and key else root or named

    def _keys(
        self, root: str, found: Sequence[Mapping[str, Any]], prefix: str
    ) -> Iterator[tuple[str, Mapping[str, Any]]]:
        """Yield what a listing found below `prefix`, by key; what can be no key is left out."""
        start = root.strip("/") + "/" if root.strip("/") else ""
        for info in found:
            name = str(info["name"]).strip("/")
            if not name.startswith(start):
                continue
            key = name[len(start) :]
            if self._scheme in _WEB:
                if "?" in key or "#" in key:  # links of the page that are no files
                    continue
                key = unquote(key)
            try:
                check_key(key)
            except InvalidKeyError:
                continue
            if not prefix or key.startswith(prefix + "/"):
                yield key, info

    def _each(self, function: Callable[[str], T], keys: Sequence[str]) -> list[T]:
        """Ask about several keys, at the same time where the driver allows it."""
        if len(keys) > 1 and getattr(self._ask("", lambda driver, _: driver), "async_impl", False):
            from concurrent.futures import ThreadPoolExecutor

            with ThreadPoolExecutor(_AT_ONCE) as pool:
                return list(pool.map(function, keys))
        return [function(key) for key in keys]

    # --------------------------------------------------------------------------------------------------------- reading

    def read(self, key: str, start: int = 0, length: int | None = None) -> bytes:
        """Return the bytes under `key`, or up to `length` of them from `start`.

        Raises:
            KeyNotFoundError: there is nothing.
        """
        check_key(key)
        if start or length is not None:
            with self.open_read(key) as stream:
                stream.seek(start)
                return stream.read(-1 if length is None else length)
        if self._scheme in _WEB or self._scheme in _LINKING:
            self._refuse_special(key)  # a folder has a page, too
        return bytes(self._ask(key, lambda driver, path: driver.cat_file(path)))

    def read_many(self, keys: Sequence[str]) -> list[bytes | StoreError]:
        """Read several small documents; what failed stands in the answer as its error."""

        def read(key: str) -> bytes | StoreError:
            try:
                return self.read(key)
            except StoreError as error:
                return error

        return self._each(read, keys)

    def stat(self, key: str) -> Stat:
        """Describe `key`.

        Raises:
            KeyNotFoundError: there is nothing, or only a folder.
        """
        from molexp_s3_store._foreign import describe

        check_key(key)
        info = self._ask(key, lambda driver, path: driver.info(path))
        if info.get("type") == "directory" or str(info.get("url", "")).partition("?")[0].endswith("/"):
            raise KeyNotFoundError(key, url=self.url)
        return describe(key, info, lambda: len(self._ask(key, lambda driver, path: driver.cat_file(path))))

    def _refuse_special(self, key: str) -> None:
        if sort := self.stat(key).special:
            raise SpecialFileError(key, url=self.url, sort=sort)

    def list(self, prefix: str = "") -> Iterator[Stat]:
        """Yield every key below the folder `prefix`."""
        if prefix:
            check_key(prefix)
        if self._scheme in _WEB:  # a page for each folder
            level = self.children(prefix)
            yield from level.entries
            for folder in level.folders:
                yield from self.list(f"{prefix}/{folder}" if prefix else folder)
            return
        found = self._listed(prefix, lambda driver, path: list(driver.find(path, detail=True).values()))
        files = [(key, info) for key, info in found if info.get("type") != "directory"]
        yield from self._described(files)

    def children(self, prefix: str = "") -> Listing:
        """List one level below the folder `prefix`."""
        if prefix:
            check_key(prefix)
        slash = "/" if self._scheme in _WEB else ""
        found = self._listed(prefix, lambda driver, path: list(driver.ls(path + slash, detail=True)))
        depth = prefix.count("/") + 1 if prefix else 0
        level = [(key, info) for key, info in found if key.count("/") == depth]
        folders = {key.rpartition("/")[2] for key, info in level if info.get("type") == "directory"}
        entries = self._described([(key, info) for key, info in level if info.get("type") != "directory"])
        return Listing(tuple(sorted(entries, key=lambda stat: stat.key)), tuple(sorted(folders)))

    def _listed(self, prefix: str, request: Callable[[Any, str], Sequence[Any]]) -> _Found:
        try:
            found = self._ask(prefix, request)
        except KeyNotFoundError:
            return []
        return list(self._keys(self._driver()[1], found, prefix))

    def _described(self, files: _Found) -> Sequence[Stat]:
        """Return sizes and versions. If the driver's listing has none, ask for each file."""
        from molexp_s3_store._foreign import describe

        if any(info.get("size") is None for _, info in files):
            found = self._each(self._stat_or_none, [key for key, _ in files])
            return [stat for stat in found if stat is not None]
        return [describe(key, info) for key, info in files]

    def _stat_or_none(self, key: str) -> Stat | None:
        try:
            return self.stat(key)
        except KeyNotFoundError:  # gone, or a link to somewhere else
            return None

    def open_read(self, key: str) -> IO[bytes]:
        """Open `key` as a seekable binary stream.

        Raises:
            KeyNotFoundError: there is nothing.
        """
        from molexp_s3_store._foreign import Reader

        check_key(key)
        if self._scheme in _WEB:
            size = self.stat(key).size

            def fetch(start: int, end: int) -> bytes:
                found: bytes = self._ask(key, lambda driver, path: driver.cat_file(path, start=start, end=end))
                return found

            return io.BufferedReader(Reader(size, fetch), 1 << 16)
        self._refuse_special(key)  # some drivers open a folder, and fail later
        stream: IO[bytes] = self._ask(key, lambda driver, path: driver.open(path, "rb"))
        if stream.seekable():
            return stream
        import shutil
        import tempfile

        copy = tempfile.TemporaryFile()  # noqa: SIM115 - the caller closes it
        with stream:
            shutil.copyfileobj(stream, copy, 1 << 20)
        copy.seek(0)
        return copy

    def locate(self, key: str) -> str:
        """Return the file's URL."""
        place, chained, container = self.url.partition("::")
        slash = "" if place.endswith("/") else "/"
        return f"{place}{slash}{check_key(key)}{chained}{container}"

    def path(self, key: str) -> UPath:
        """Return the file or folder as a ``UPath`` over the same driver, with the given options."""
        from upath import UPath

        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".*not explicitly implemented", category=UserWarning)
            found: UPath = UPath(self.locate(key), **self._options)
            return found

    # ------------------------------------------------------------------------------------------------- writing: refused

    def _refuse(self, key: str) -> NoReturn:
        raise ReadOnlyError(key, url=self.url, detail=self.read_only_because)

    def write(self, key: str, data: bytes) -> None:
        """Raise `ReadOnlyError`."""
        self._refuse(key)

    def create(self, key: str, data: bytes) -> None:
        """Raise `ReadOnlyError`."""
        self._refuse(key)

    def delete(self, key: str) -> None:
        """Raise `ReadOnlyError`."""
        self._refuse(key)

    def open_write(self, key: str, *, exclusive: bool = False) -> NoReturn:
        """Raise `ReadOnlyError`."""
        self._refuse(key)


def _reopen(cls: type[FsspecStore], url: str, sealed: bytes) -> FsspecStore:
    if not sealed:
        return cls.open(url, {})
    import pickle

    from molexp_s3_store._sealing import unseal_bytes

    options = unseal_bytes(sealed)  # the seal proves that this process or a relative wrote it
    return cls.open(url, complete_options(cls, url, {}) if options is None else pickle.loads(options))  # noqa: S301
