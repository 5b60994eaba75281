"""Documents: read, write, create, stat, delete; keys; pickling."""

from __future__ import annotations

import pickle
from itertools import pairwise
from pathlib import Path

import pytest

from molexp.contracts import Store
from molexp.errors import InvalidKeyError, KeyExistsError, KeyNotFoundError, StoreError
from molexp.testing._store_base import (
    INVALID_KEYS,
    VALID_KEYS,
    StoreBackDoor,
    copy_of,
    keys,
    operations,
    refused,
    stream,
)

LARGE = bytes(range(256)) * (1 << 15)  # 8 MiB, more than any one buffer


class DocumentTests(StoreBackDoor, abstract=True):
    """Small values, whole."""

    # -------------------------------------------------------------------------------------------------------- writing

    def test_write_replaces_what_was_there(self, store: Store) -> None:
        self.raw_write(store, "a", b"a longer old value")
        store.write("a", b"new")
        assert self.raw_read(store, "a") == b"new"
        assert store.read("a") == b"new"

    def test_create_refuses_a_taken_key_and_changes_nothing(self, store: Store) -> None:
        self.raw_write(store, "a/b", b"theirs")
        before = store.stat("a/b")
        for data in (b"mine", b"theirs"):
            with refused(KeyExistsError, "a/b"):
                store.create("a/b", data)
        assert self.raw_read(store, "a/b") == b"theirs"
        assert self.raw_keys(store) == {"a/b"}
        assert store.stat("a/b") == before

    def test_create_refuses_what_write_and_a_stream_made(self, store: Store) -> None:
        store.write("a", b"1")
        stream(store, "b", b"1")
        for key in "ab":
            with refused(KeyExistsError, key):
                store.create(key, b"2")
            assert self.raw_read(store, key) == b"1"

    def test_create_succeeds_again_after_delete(self, store: Store) -> None:
        store.create("a", b"1")
        store.delete("a")
        store.create("a", b"2")
        assert self.raw_read(store, "a") == b"2"

    @pytest.mark.parametrize(
        "data", [b"", b"\0", b"\r\n\n\r", bytes(range(256)), LARGE], ids=lambda data: f"{len(data)}"
    )
    @pytest.mark.parametrize("operation", ["write", "create"])
    def test_bytes_come_back_unchanged(self, store: Store, operation: str, data: bytes) -> None:
        getattr(store, operation)("a/b.json", data)
        assert self.raw_read(store, "a/b.json") == store.read("a/b.json") == data
        assert store.stat("a/b.json").size == len(data)
        assert self.raw_keys(store) == {"a/b.json"}

    # -------------------------------------------------------------------------------------------------------- reading

    @pytest.mark.parametrize(
        ("start", "length", "expected"),
        [
            (0, None, b"0123456789"),
            (3, None, b"3456789"),
            (0, 4, b"0123"),
            (3, 4, b"3456"),
            (9, 1, b"9"),
            (7, 100, b"789"),
            (0, 0, b""),
            (3, 0, b""),
            (10, None, b""),
            (10, 5, b""),
            (99, None, b""),
            (99, 5, b""),
        ],
    )
    def test_read_range(self, store: Store, start: int, length: int | None, expected: bytes) -> None:
        self.raw_write(store, "a/b", b"0123456789")
        assert store.read("a/b", start, length) == expected
        self.raw_write(store, "empty", b"")
        assert store.read("empty", start, length) == b""

    def test_read_range_needs_the_key_as_well(self, store: Store) -> None:
        for start, length in ((0, None), (5, None), (0, 0), (5, 5)):
            with refused(KeyNotFoundError, "a"):
                store.read("a", start, length)

    def test_read_many_answers_in_order_and_keeps_errors_apart(self, store: Store) -> None:
        self.raw_write(store, "b", b"2")
        self.raw_write(store, "a", b"1")
        found = store.read_many(["a", "missing", "b", "../a", "a"])
        assert [found[0], found[2], found[4]] == [b"1", b"2", b"1"]
        assert isinstance(found[1], KeyNotFoundError)
        assert isinstance(found[3], InvalidKeyError)
        assert store.read_many([]) == []

    # ----------------------------------------------------------------------------------------------------------- stat

    def test_stat_describes_the_key(self, store: Store) -> None:
        self.raw_write(store, "a/b", b"12345")
        found = store.stat("a/b")
        assert (found.key, found.size) == ("a/b", 5)
        assert found.version
        assert found == store.stat("a/b")

    def test_version_changes_whenever_the_bytes_do(self, store: Store) -> None:
        seen = []
        for data in (b"1", b"2", b"1", b"333"):
            store.write("a", data)
            seen.append(store.stat("a").version)
        assert all(one != other for one, other in pairwise(seen))

    def test_exists(self, store: Store) -> None:
        self.raw_write(store, "a/b", b"")
        assert store.exists("a/b")
        assert not store.exists("a")
        assert not store.exists("a/b/c")

    # -------------------------------------------------------------------------------------------------------- nothing

    @pytest.mark.parametrize("operation", ["read", "stat", "open_read", "get_file"])
    @pytest.mark.parametrize("key", ["missing", "folder", "folder/missing", "folder/x/below", "fold"])
    def test_what_is_not_there_is_not_found(self, store: Store, tmp_path: Path, operation: str, key: str) -> None:
        self.raw_write(store, "folder/x", b"1")
        with refused(KeyNotFoundError, key):
            operations(store, tmp_path)[operation](key)
        assert self.raw_keys(store) == {"folder/x"}

    def test_delete_removes_only_this_key(self, store: Store) -> None:
        for key in ("a", "ab", "b/a", "b/ab"):
            self.raw_write(store, key, b"1")
        store.delete("a")
        store.delete("b/a")
        assert self.raw_keys(store) == {"ab", "b/ab"}
        assert not store.exists("a")

    def test_delete_of_nothing_is_no_error(self, store: Store) -> None:
        self.raw_write(store, "folder/x", b"1")
        for key in ("missing", "no/such", "folder", "folder/x/below"):
            store.delete(key)
            store.delete(key)
        assert self.raw_keys(store) == {"folder/x"}

    # ----------------------------------------------------------------------------------------------------------- keys

    @pytest.mark.parametrize("key", VALID_KEYS, ids=ascii)
    def test_unusual_keys(self, store: Store, key: str) -> None:
        store.create(key, b"1")
        assert self.raw_keys(store) == {key}
        store.write(key, b"22")
        assert self.raw_read(store, key) == store.read(key) == b"22"
        assert keys(store) == [key]
        assert store.stat(key).key == key
        store.delete(key)
        assert self.raw_keys(store) == set()

    @pytest.mark.parametrize("key", INVALID_KEYS.values(), ids=INVALID_KEYS.keys())
    def test_an_invalid_key_is_refused_by_every_operation(self, store: Store, tmp_path: Path, key: str) -> None:
        store.create("present", b"1")
        store.create("a/b", b"1")  # also by a store that remembers which folders it has used
        for name, operation in operations(store, tmp_path).items():
            if key == "" and name in ("list", "children"):
                continue  # there it means everything
            with refused(InvalidKeyError, key):
                operation(key)
                pytest.fail(f"{name} accepted {key!r}")
        assert self.raw_keys(store) == {"present", "a/b"}, "a refused operation changed something"

    # ---------------------------------------------------------------------------------------- opening, copies, errors

    def test_it_says_what_it_is(self, store: Store) -> None:
        assert store.schemes
        assert all(scheme == scheme.lower() for scheme in store.schemes)
        assert store.url.startswith(tuple(f"{scheme}://" for scheme in store.schemes))
        assert isinstance(store.slow, bool)
        assert isinstance(store.late_effects, bool)

    def test_an_unknown_option_is_named(self, store: Store) -> None:
        with pytest.raises(TypeError, match="no_such_option"):
            type(store).open(store.url, {"no_such_option": 1})

    def test_a_foreign_url_is_refused(self, store: Store) -> None:
        with pytest.raises(ValueError, match="no-such-scheme"):
            type(store).open("no-such-scheme://a/b", {})

    def test_locate_names_each_key(self, store: Store) -> None:
        assert len({store.locate(key) for key in ("a", "b", "a/b", "a/b c")}) == 4
        assert self.raw_keys(store) == set()

    def test_a_copy_reaches_the_same_keys(self, store: Store) -> None:
        store.write("a", b"1")
        copy = copy_of(store)
        assert copy.url == store.url
        assert copy.capabilities == store.capabilities
        assert (copy.slow, copy.late_effects) == (store.slow, store.late_effects)
        assert copy.read("a") == b"1"
        copy.write("b", b"2")
        assert store.read("b") == b"2"

    def test_it_works_again_after_close(self, store: Store) -> None:
        store.write("a", b"1")
        store.close()
        assert store.read("a") == b"1"
        store.close()

    def test_sync_changes_nothing(self, store: Store) -> None:
        store.write("a/b", b"1")
        store.sync(["a/b"])
        store.sync([])
        assert self.raw_keys(store) == {"a/b"}

    def test_errors_name_the_store_and_survive_pickling(self, store: Store) -> None:
        for error in self._errors(store):
            assert isinstance(error, InvalidKeyError) or error.url == store.url
            copy = pickle.loads(pickle.dumps(error))  # noqa: S301 - our own
            assert type(copy) is type(error)
            assert str(copy) == str(error)
            assert vars(copy) == vars(error)

    def test_secrets_are_kept(self, store: Store) -> None:
        said = [repr(pickle.dumps(store)), store.url, repr(store), store.locate("a"), *map(str, self._errors(store))]
        for secret in self.secrets:
            assert not [text for text in said if secret in text]

    def _errors(self, store: Store) -> list[StoreError]:
        store.write("taken", b"1")
        found: list[StoreError] = []
        for operation, key in (
            (store.read, "missing"),
            (lambda key: store.create(key, b"2"), "taken"),
            (store.read, "../x"),
        ):
            with pytest.raises(StoreError) as caught:
                operation(key)
            found.append(caught.value)
        return found
