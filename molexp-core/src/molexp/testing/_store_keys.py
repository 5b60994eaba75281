"""Keys and addresses mean one thing: no key is a folder too, no two keys are one, and no address depends on where one is."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import chdir
from pathlib import Path
from typing import ClassVar
from urllib.parse import unquote

import pytest

from molexp.contracts import Store
from molexp.errors import KeyExistsError, KeyNotFoundError, StoreError
from molexp.testing._store_base import StoreBackDoor, copy_of, keys, stream

ALIKE = (("a", "A"), ("ä", "Ä"), ("ﬁ", "fi"), ("ß", "ss"))
COMPOSED = (("é", "e\u0301"), ("e\u0301", "é"))


class KeyTests(StoreBackDoor, abstract=True):
    """Keys as such, and URLs."""

    folds_keys: ClassVar[bool] = False
    """True where the storage itself takes keys that differ only in case for one, as some file systems do."""

    refuses_keys_below_keys: ClassVar[bool] = True
    """False where to find out that a key would lie below another costs too much, as on S3; MolExp makes none."""

    def test_a_key_is_not_a_folder_of_keys_too(self, store: Store, tmp_path: Path) -> None:
        if not self.refuses_keys_below_keys:
            pytest.skip("it does not look for keys above and below (refuses_keys_below_keys is False)")
        store.write("folder/key", b"1")
        (tmp_path / "local").write_bytes(b"2")
        ways: dict[str, Callable[[str], object]] = {
            "write": lambda key: store.write(key, b"2"),
            "create": lambda key: store.create(key, b"2"),
            "open_write": lambda key: stream(store, key, b"2"),
            "put_file": lambda key: store.put_file(tmp_path / "local", key),
        }
        for key in ("folder/key/below", "folder/key/far/below", "folder"):
            for name, operation in ways.items():
                with pytest.raises(StoreError) as caught:
                    operation(key)
                    pytest.fail(f"{name} makes {key!r}, and then some key is a folder, too")
                assert not isinstance(caught.value, KeyNotFoundError | KeyExistsError), (
                    f"{name} raises {caught.value!r}"
                )
        assert store.read("folder/key") == b"1"
        assert self.raw_keys(store) == {"folder/key"}

    @pytest.mark.parametrize("alike", ALIKE, ids=ascii)
    def test_keys_that_look_alike_are_two(self, store: Store, alike: tuple[str, str]) -> None:
        if self.folds_keys:
            pytest.skip("its storage takes such keys for one (folds_keys is True)")
        one, other = (f"folder/{key}" for key in alike)
        store.create(one, b"1")
        assert not store.exists(other)
        store.create(other, b"2")
        assert (store.read(one), store.read(other)) == (b"1", b"2")
        assert {*keys(store)} == self.raw_keys(store) == {one, other}
        store.delete(one)
        assert keys(store) == [other]

    @pytest.mark.parametrize("spelled", COMPOSED, ids=["composed", "decomposed"])
    def test_a_key_is_spelled_as_it_was_made(self, store: Store, spelled: tuple[str, str]) -> None:
        """Find a key by another composition of its letters or not, but neither change it nor lose what is under it."""
        if self.folds_keys:
            pytest.skip("its storage takes such keys for one (folds_keys is True)")
        one, other = (f"folder/{key}" for key in spelled)
        store.create(one, b"1")
        assert {*keys(store)} == self.raw_keys(store) == {one}
        assert not store.exists(other) or store.read(other) == b"1"
        try:
            store.create(other, b"2")
        except KeyExistsError:
            assert {*keys(store)} == self.raw_keys(store) == {one}
        else:
            assert store.read(other) == b"2"
            assert {*keys(store)} == self.raw_keys(store) == {one, other}
        assert store.read(one) == b"1"

    def test_an_address_means_the_same_from_everywhere(self, store: Store, tmp_path: Path) -> None:
        """Open it by a path that is relative, where its URLs are paths; or it refuses these."""
        scheme, _, path = store.url.partition("://")
        place = Path(unquote(path))
        (tmp_path / "elsewhere").mkdir()
        found = [copy_of(store)]
        if place.is_absolute() and place.parent.is_dir():
            with chdir(place.parent):
                for url in (f"{scheme}://{place.name}", f"{scheme}:{place.name}", place.name):
                    try:
                        found.append(type(store).open(url, {}))
                    except ValueError:
                        continue
        with chdir(tmp_path / "elsewhere"):
            for number, other in enumerate(found):
                assert other.url == store.url, f"{other.url!r} and {store.url!r} are one place"
                other.write(f"key-{number}", b"1")
        assert self.raw_keys(store) == {f"key-{number}" for number in range(len(found))}
