"""Listings agree with what was done, at once and exactly."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest

from molexp.contracts import Listing, Store
from molexp.testing._store_base import StoreBackDoor, copy_of, keys, stream

KEYS = ("a/b", "a/bc", "a/b-c/x", "a/c/d/e", "ab", "ab/ab", "b")
# "a" and "ab" are each other's prefix as text, not as folders; "ab" as a key and "ab/ab" may not both exist.
NEIGHBOURS = tuple(key for key in KEYS if key != "ab")


class ListingTests(StoreBackDoor, abstract=True):
    """`list` and `children`."""

    def fill(self, store: Store) -> None:
        for number, key in enumerate(NEIGHBOURS):
            self.raw_write(store, key, b"x" * number)

    @pytest.mark.parametrize(
        ("prefix", "expected"),
        [
            ("", set(NEIGHBOURS)),
            ("a", {"a/b", "a/bc", "a/b-c/x", "a/c/d/e"}),
            ("a/b", set()),
            ("a/b-c", {"a/b-c/x"}),
            ("a/c", {"a/c/d/e"}),
            ("a/c/d", {"a/c/d/e"}),
            ("ab", {"ab/ab"}),
            ("b", set()),
            ("missing", set()),
            ("a/missing", set()),
            ("a/b/missing", set()),
        ],
    )
    def test_list_yields_what_is_below_the_folder(self, store: Store, prefix: str, expected: set[str]) -> None:
        self.fill(store)
        found = keys(store, prefix)
        assert sorted(found) == sorted(expected)

    def test_list_describes_as_stat_does(self, store: Store) -> None:
        self.fill(store)
        listed = list(store.list())
        assert listed
        assert all(found == store.stat(found.key) for found in listed)

    @pytest.mark.parametrize(
        ("prefix", "keys", "folders"),
        [
            ("", ["b"], ["a", "ab"]),
            ("a", ["a/b", "a/bc"], ["b-c", "c"]),
            ("a/b", [], []),
            ("a/c", [], ["d"]),
            ("a/c/d", ["a/c/d/e"], []),
            ("ab", ["ab/ab"], []),
            ("missing", [], []),
            ("a/b/missing", [], []),
        ],
    )
    def test_children_is_one_level_and_sorted(
        self, store: Store, prefix: str, keys: list[str], folders: list[str]
    ) -> None:
        self.fill(store)
        found = store.children(prefix)
        assert isinstance(found, Listing)
        assert [stat.key for stat in found.entries] == keys
        assert list(found.folders) == folders
        assert all(stat == store.stat(stat.key) for stat in found.entries)

    def test_many_keys_are_all_listed(self, store: Store) -> None:
        many = [f"many/{number:04}" for number in range(1201)]  # more than one page of an S3 listing
        for key in many:
            self.raw_write(store, key, b"x")
        assert sorted(keys(store, "many")) == many
        assert [stat.key for stat in store.children("many").entries] == many

    def test_every_change_is_listed_at_once_here_and_in_a_copy(self, store: Store) -> None:
        other = copy_of(store)
        expected: dict[str, int] = {}
        assert list(store.list()) == []  # a store that remembers listings must forget this one
        assert store.children() == Listing((), ())
        changes: tuple[tuple[Callable[..., object], str, bytes | None], ...] = (
            (store.create, "a/x", b"1"),
            (store.write, "a/y", b"22"),
            (store.write, "a/x", b"333"),
            (partial(stream, store), "b/c/z", b"4444"),
            (store.delete, "a/y", None),
            (store.create, "a/y", b"55555"),
            (store.delete, "b/c/z", None),
        )
        for change, key, data in changes:
            if data is None:
                change(key)
                del expected[key]
            else:
                change(key, data)
                expected[key] = len(data)
            for view in (store, other):
                assert {stat.key: stat.size for stat in view.list()} == expected, f"after {change} of {key}"
                beside = {stat.key: stat.size for stat in view.children("a").entries}
                assert beside == {at: size for at, size in expected.items() if at.startswith("a/")}
            assert self.raw_keys(store) == set(expected)

    def test_what_others_do_is_listed(self, store: Store) -> None:
        store.write("a", b"1")
        assert keys(store) == ["a"]
        self.raw_write(store, "b", b"2")
        assert sorted(keys(store)) == ["a", "b"]
        assert [stat.key for stat in store.children().entries] == ["a", "b"]

    def test_a_listing_survives_what_is_deleted_meanwhile(self, store: Store) -> None:
        for number in range(10):
            store.write(f"d{number}/x", b"")
        seen = []
        for stat in store.list():
            seen.append(stat.key)
            for number in range(5):
                store.delete(f"d{number}/x")
        assert {f"d{number}/x" for number in range(5, 10)} <= set(seen)
        assert len(seen) == len(set(seen))
