"""List the keys below a prefix, page by page."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from molexp.contracts import Listing, Stat
from molexp.errors import KeyNotFoundError, StoreError
from molexp_s3_store._client import Client
from molexp_s3_store._errors import Answer

if TYPE_CHECKING:
    from obstore import ObjectMeta

PAGE = 1000


def stat_of(key: str, meta: ObjectMeta) -> Stat:
    """Return an object's description: its time in whole seconds, its tag without quotes, as any other request gives it."""
    tag = (meta["e_tag"] or "").strip('"')
    return Stat(key, meta["size"], tag, float(int(meta["last_modified"].timestamp())))


def walk(client: Client, prefix: str) -> Iterator[Stat]:
    """Yield every key below `prefix`. A page that fails is requested again, from the end of the last one."""
    last = ""
    while True:
        try:
            for page in _pages(client, prefix, last):
                for meta in page:
                    last = meta["path"]
                    if _is_below(last, prefix) and not _is_marker(client, meta):
                        yield stat_of(last, meta)
            return
        except _Unspeakable:
            yield from (stat for stat in _plainly(client, prefix) if stat.key > last)
            return


def level(client: Client, prefix: str) -> Listing:
    """List one level below `prefix`."""
    try:
        found = client.ask("list", prefix, lambda native: native.list_with_delimiter(prefix or None))
    except StoreError as error:
        if not _is_unspeakable(error.__cause__):
            raise
        return _level_plainly(client, prefix)
    start = len(prefix) + 1 if prefix else 0
    entries = [stat_of(meta["path"], meta) for meta in found["objects"] if _is_below(meta["path"], prefix)]
    folders = {path.rstrip("/")[start:] for path in found["common_prefixes"]}
    return Listing(tuple(sorted(entries, key=_key)), tuple(sorted(folders - {""})))


class _Unspeakable(Exception):  # noqa: N818 - it is caught here
    """There is an object whose key no workspace has, and the client refuses the whole page."""


def _pages(client: Client, prefix: str, last: str) -> Iterator[list[Any]]:
    pages: Any = None
    for final in client.tries():
        try:
            if pages is None:
                pages = iter(client.documents.list(prefix or None, offset=last or None, chunk_size=PAGE))
            while (page := next(pages, None)) is not None:
                if page:
                    yield page
                    last = page[-1]["path"]
            return
        except StoreError:
            raise
        except GeneratorExit:
            raise
        except Exception as error:
            pages = None
            if _is_unspeakable(error):
                raise _Unspeakable from error
            answer = Answer(error)
            if final or not answer.passing:
                raise client.explain(answer, prefix, "list") from error


def _is_unspeakable(error: BaseException | None) -> bool:
    return type(error).__name__ == "InvalidPathError"


def _is_below(path: str, prefix: str) -> bool:
    return bool(path) and (not prefix or path.startswith(prefix + "/"))


def _is_marker(client: Client, meta: ObjectMeta) -> bool:
    """Tell whether this is no key but a folder, which consoles and `s3fs` mark by an empty object ``folder/``."""
    if meta["size"]:
        return False
    try:
        client.ask("read", meta["path"], lambda native: native.head(meta["path"]))
    except KeyNotFoundError:
        return True
    return False


def _key(stat: Stat) -> str:
    return stat.key


# ------------------------------------------------------------------------------- where there are keys that no workspace has


def _plainly(client: Client, prefix: str) -> Iterator[Stat]:
    """Yield keys as `walk` does, by a client that accepts keys with empty segments or dots. Those keys are left out."""
    from molexp.contracts import check_key
    from molexp.errors import InvalidKeyError
    from molexp_s3_store._administering import pages

    for found in pages(client, prefix):
        for item in found.get("Contents", ()):
            key = item["key"]
            try:
                check_key(key)
            except InvalidKeyError:
                continue
            tag = item["ETag"].strip('"')
            yield Stat(key, item["Size"], tag, float(int(item["LastModified"].timestamp())))


def _level_plainly(client: Client, prefix: str) -> Listing:
    entries: list[Stat] = []
    folders: set[str] = set()
    start = len(prefix) + 1 if prefix else 0
    for stat in _plainly(client, prefix):
        folder, mark, _ = stat.key[start:].partition("/")
        if mark:
            folders.add(folder)
        else:
            entries.append(stat)
    return Listing(tuple(sorted(entries, key=_key)), tuple(sorted(folders)))
