"""The access of the store kit to a store, and the values it works with."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import ClassVar, TypeVar

import pytest

from molexp.contracts import Capability, Store
from molexp.errors import MolexpError
from molexp.testing._conformance import Conformance, required

_E = TypeVar("_E", bound=MolexpError)

INVALID_KEYS = {
    "empty": "",
    "absolute": "/a",
    "absolute in a folder": "/a/b",
    "parent": "../a",
    "inner parent": "a/../b",
    "last parent": "a/..",
    "dot": ".",
    "inner dot": "a/./b",
    "double slash": "a//b",
    "trailing slash": "a/",
    "null": "a\0b",
    "newline": "a\nb",
    "trailing newline": "a\n",
    "delete": "a\x7fb",
    "backslash": "a\\b",
    "long segment": "a" * 256,
    "long segment in UTF-8": "ä" * 128,
    "long": "/".join(["a" * 100] * 11),
    "not UTF-8": "a\ud800b",
}

VALID_KEYS = (
    "a",
    ".hidden",
    "..a",
    "a.",
    "...",
    "a b/c d",
    " a",
    "a+b",
    "a%41b",
    "a%2Fb",
    "a#b",
    "a=b&c",
    "~a",
    "a'b",
    "a(b)[c]{d},e;f@g!h$i^j`k",
    "α-quartz/Größe.json",
    "日本語/データ.bin",
    "𝛼/🧪.txt",
    "x" * 255,
    "é" * 127,
    "/".join(["d" * 99] * 10),
)
"""Unusual keys that every store takes; those that only some systems refuse (``a:b`` on Windows) are left out."""


class StoreBackDoor(Conformance, abstract=True):
    """The part of the kit that a subclass defines. The raw methods must not use the store under test, only its location."""

    shared_by_processes: ClassVar[bool] = True
    """True if an unpickled copy in another process reaches the same keys."""

    secrets: ClassVar[tuple[str, ...]] = ()
    """Texts that the fixture's store was given and that must stand in no pickle, URL, repr or error of it."""

    @required
    def store(self) -> Store:
        """Define it as a pytest fixture that gives a fresh, empty store."""
        raise NotImplementedError

    @required
    def raw_write(self, store: Store, key: str, data: bytes) -> None:
        """Put `data` under `key` where `store` keeps it."""
        raise NotImplementedError

    @required
    def raw_read(self, store: Store, key: str) -> bytes | None:
        """Return what lies under `key` where `store` keeps it; None if nothing does."""
        raise NotImplementedError

    @required
    def raw_keys(self, store: Store) -> set[str]:
        """Return all keys, and the names of anything else that lies there: a leftover is found by this."""
        raise NotImplementedError

    @required
    def break_storage(self, store: Store) -> None:
        """Make the storage fail from now on: spoil its file, delete its bucket. Call `pytest.skip` if nothing can fail."""
        raise NotImplementedError


def need(store: Store, capability: Capability) -> None:
    """Skip a test of an ability that this store does not declare."""
    if capability not in store.capabilities:
        pytest.skip(f"{type(store).__name__} does not declare {capability!r}")


def copy_of(store: Store) -> Store:
    """Return another store at the same place."""
    copy = pickle.loads(pickle.dumps(store))  # noqa: S301 - our own
    assert isinstance(copy, Store)
    return copy


@contextmanager
def refused(error: type[_E], key: str) -> Iterator[None]:
    """Expect exactly this sort of error, about this key."""
    with pytest.raises(error) as caught:
        yield
    assert getattr(caught.value, "key", None) == key, f"the error names {getattr(caught.value, 'key', None)!r}"
    assert str(caught.value)


Operations = dict[str, Callable[[str], object]]
"""Operations that take a key, by name."""


def stream(store: Store, key: str, *pieces: bytes, exclusive: bool = False, error: BaseException | None = None) -> None:
    """Write a value by a stream, which raises `error` in the end."""
    with store.open_write(key, exclusive=exclusive) as sink:
        for piece in pieces:
            assert sink.write(piece) == len(piece)
        if error is not None:
            raise error


def keys(store: Store, prefix: str = "") -> list[str]:
    """List the keys below a folder."""
    return [stat.key for stat in store.list(prefix)]


def operations_of(store: Store, local: Path) -> dict[Capability, Operations]:
    """Return what each capability adds."""
    return {
        "append": {
            "append": lambda key: store.append(key, b"x\n"),
            "open_append": store.open_append,
            "open_append exclusively": lambda key: store.open_append(key, exclusive=True),
            "rename from": lambda key: store.rename(key, "renamed"),
            "rename to": lambda key: store.rename("present", key),
        },
        "link": {"link_from": lambda key: store.link_from(local, key)},
        "symlink": {"symlink_from": lambda key: store.symlink_from(local, key)},
        "local_path": {"local_path": store.local_path},
    }


def operations(store: Store, scratch: Path) -> Operations:
    """Return every declared operation that takes a key."""
    local = scratch / "local"
    local.write_bytes(b"local")
    found: Operations = {
        "read": store.read,
        "write": lambda key: store.write(key, b"x"),
        "create": lambda key: store.create(key, b"x"),
        "stat": store.stat,
        "exists": store.exists,
        "delete": store.delete,
        "open_read": store.open_read,
        "open_write": lambda key: stream(store, key, b"x"),
        "put_file": lambda key: store.put_file(local, key),
        "get_file": lambda key: store.get_file(key, scratch / "fetched"),
        "locate": store.locate,
        "list": lambda key: key and store.list(key),
        "children": lambda key: key and store.children(key),
    }
    for capability, more in operations_of(store, local).items():
        if capability in store.capabilities:
            found |= more
    return found
