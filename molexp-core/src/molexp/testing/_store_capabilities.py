"""Capabilities: what is declared works, and what is not is refused."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from molexp.contracts import Capability, Store
from molexp.errors import (
    KeyExistsError,
    KeyMovedError,
    KeyNotFoundError,
    SpecialFileError,
    UnsupportedOperationError,
)
from molexp.testing._store_base import StoreBackDoor, keys, need, operations, operations_of, refused

KNOWN: tuple[Capability, ...] = ("append", "link", "symlink", "local_path")


class CapabilityTests(StoreBackDoor, abstract=True):
    """`append`, `link`, `symlink`, `local_path`."""

    # -------------------------------------------------------------------------------------------------------- honesty

    def test_only_known_capabilities_are_declared(self, store: Store) -> None:
        assert isinstance(store.capabilities, frozenset)
        assert store.capabilities <= set(KNOWN)

    @pytest.mark.parametrize("capability", KNOWN)
    def test_what_is_not_declared_is_refused_and_what_is_works(
        self, store: Store, tmp_path: Path, capability: Capability
    ) -> None:
        local = tmp_path / "local"
        local.write_bytes(b"local")
        self.raw_write(store, "present", b"1")
        for name, use in operations_of(store, local)[capability].items():
            key = "present" if name in ("append", "rename from", "local_path") else f"new/{name}"
            if capability in store.capabilities:
                self.raw_write(store, "present", b"1")
                use(key)
                continue
            with pytest.raises(UnsupportedOperationError) as caught:
                use(key)
            assert caught.value.capability == capability, name
            assert caught.value.url == store.url, name
            assert self.raw_keys(store) == {"present"}, f"{name} was refused and changed something"

    # --------------------------------------------------------------------------------------------------------- append

    def test_append_extends_and_shows_at_once(self, store: Store) -> None:
        need(store, "append")
        store.create("j/a", b"1\n")
        versions = [store.stat("j/a").version]
        for line in (b"22\n", b"333\n"):
            store.append("j/a", line)
            versions.append(store.stat("j/a").version)
        assert self.raw_read(store, "j/a") == store.read("j/a") == b"1\n22\n333\n"
        assert store.stat("j/a").size == 9
        assert len(set(versions)) == 3
        assert self.raw_keys(store) == {"j/a"}

    def test_append_makes_no_file(self, store: Store) -> None:
        need(store, "append")
        self.raw_write(store, "folder/x", b"")
        for key in ("missing", "no/such", "folder"):
            with refused(KeyNotFoundError, key):
                store.append(key, b"x\n")
        assert self.raw_keys(store) == {"folder/x"}

    def test_append_to_a_renamed_file_is_refused(self, store: Store) -> None:
        need(store, "append")
        store.create("a", b"1\n")
        store.rename("a", "b")
        with pytest.raises((KeyNotFoundError, KeyMovedError)):
            store.append("a", b"2\n")
        assert self.raw_read(store, "b") == b"1\n"
        assert self.raw_keys(store) == {"b"}

    def test_an_appender_creates_with_its_folders(self, store: Store) -> None:
        need(store, "append")
        appender = store.open_append("x/y/z")
        assert self.raw_read(store, "x/y/z") == b""
        appender.write(b"1\n")
        assert self.raw_read(store, "x/y/z") == b"1\n", "acknowledged bytes must not wait in a buffer"
        appender.write(b"")
        appender.write(b"2" * 1_000_000)
        assert store.read("x/y/z") == b"1\n" + b"2" * 1_000_000
        appender.close()

    def test_an_appender_extends_what_is_there(self, store: Store) -> None:
        need(store, "append")
        self.raw_write(store, "a", b"1\n")
        appender = store.open_append("a")
        appender.write(b"2\n")
        appender.close()
        store.append("a", b"3\n")
        assert self.raw_read(store, "a") == b"1\n2\n3\n"

    def test_an_exclusive_appender_claims_its_key(self, store: Store) -> None:
        need(store, "append")
        store.open_append("a/b", exclusive=True).close()
        with refused(KeyExistsError, "a/b"):
            store.open_append("a/b", exclusive=True)
        with refused(KeyExistsError, "a/b"):
            store.create("a/b", b"")
        assert self.raw_read(store, "a/b") == b""

    def test_a_closed_appender_says_so(self, store: Store) -> None:
        need(store, "append")
        appender = store.open_append("a")
        appender.close()
        appender.close()
        with pytest.raises(ValueError, match="closed"):
            appender.write(b"1\n")
        assert self.raw_read(store, "a") == b""

    # --------------------------------------------------------------------------------------------------------- rename

    def test_rename_moves_the_bytes(self, store: Store) -> None:
        need(store, "append")
        store.create("a/b", b"1\n")
        store.rename("a/b", "c/d/e")
        assert self.raw_keys(store) == {"c/d/e"}
        assert store.read("c/d/e") == b"1\n"
        assert not store.exists("a/b")
        store.create("a/b", b"2\n")
        store.append("c/d/e", b"3\n")
        assert (store.read("a/b"), store.read("c/d/e")) == (b"2\n", b"1\n3\n")

    def test_rename_refuses_a_taken_name(self, store: Store) -> None:
        need(store, "append")
        store.create("a", b"1")
        store.create("b", b"2")
        with refused(KeyExistsError, "b"):
            store.rename("a", "b")
        with pytest.raises(KeyExistsError):
            store.rename("a", "a")
        assert (self.raw_read(store, "a"), self.raw_read(store, "b")) == (b"1", b"2")
        assert self.raw_keys(store) == {"a", "b"}

    def test_rename_of_nothing(self, store: Store) -> None:
        need(store, "append")
        self.raw_write(store, "folder/x", b"")
        for key in ("missing", "no/such", "folder"):
            with refused(KeyNotFoundError, key):
                store.rename(key, "new")
        assert self.raw_keys(store) == {"folder/x"}

    # ---------------------------------------------------------------------------------------------- links, local paths

    def test_link_from_shares_the_file(self, store: Store, tmp_path: Path) -> None:
        need(store, "link")
        local = tmp_path / "local"
        local.write_bytes(b"payload")
        store.link_from(local, "data/x")
        assert self.raw_read(store, "data/x") == store.read("data/x") == b"payload"
        assert os.stat(store.locate("data/x")).st_ino == local.stat().st_ino
        with refused(KeyExistsError, "data/x"):
            store.link_from(local, "data/x")
        store.delete("data/x")
        assert local.read_bytes() == b"payload"

    def test_link_from_a_missing_file(self, store: Store, tmp_path: Path) -> None:
        need(store, "link")
        with pytest.raises(FileNotFoundError):
            store.link_from(tmp_path / "missing", "data/x")
        assert self.raw_keys(store) == set()

    def test_a_symlink_is_a_key_that_is_not_followed(self, store: Store, tmp_path: Path) -> None:
        need(store, "symlink")
        local = tmp_path / "target"
        local.write_bytes(b"payload")
        store.symlink_from(local, "data/x")
        found = store.stat("data/x")
        assert (found.size, bool(found.special)) == (0, True)
        assert [*store.list("data")] == [*store.children("data").entries] == [found]
        assert store.exists("data/x")
        every = operations(store, tmp_path)
        for name in {"read", "open_read", "get_file", "append", "open_append", "local_path"} & every.keys():
            with refused(SpecialFileError, "data/x"):
                every[name]("data/x")
                pytest.fail(f"{name} follows the link")
        for name in ("create", "symlink_from"):
            with refused(KeyExistsError, "data/x"):
                every[name]("data/x")
        store.write("data/x", b"mine")
        assert store.read("data/x") == b"mine"
        store.symlink_from(local, "data/y")
        store.delete("data/y")
        assert not store.exists("data/y")
        assert local.read_bytes() == b"payload"

    def test_nothing_is_reached_by_a_symlink_among_the_folders(self, store: Store, tmp_path: Path) -> None:
        need(store, "symlink")
        folder = tmp_path / "folder"
        folder.mkdir()
        (folder / "inner").write_bytes(b"1")
        store.symlink_from(folder, "data/x")
        assert keys(store) == ["data/x"]
        assert store.children("data").folders == ()
        assert [*store.list("data/x")] == [*store.children("data/x").entries] == []
        assert not store.exists("data/x/inner")
        for read in (store.read, store.stat, store.open_read):
            with refused(KeyNotFoundError, "data/x/inner"):
                read("data/x/inner")
        every = operations(store, tmp_path)
        for name in ("write", "create", "symlink_from"):
            with refused(SpecialFileError, "data/x/new"):
                every[name]("data/x/new")
                pytest.fail(f"{name} follows the link")
        store.delete("data/x/inner")
        store.prune("data/x")
        store.prune()
        assert [path.name for path in folder.iterdir()] == ["inner"]

    def test_a_symlink_is_read_through_when_that_is_asked_for(self, store: Store, tmp_path: Path) -> None:
        need(store, "symlink")
        (tmp_path / "folder").mkdir()
        (tmp_path / "folder" / "inner").write_bytes(b"payload")
        store.symlink_from(tmp_path / "folder" / "inner", "data/x")
        store.symlink_from(tmp_path / "folder", "data/y")
        file, folder = store.through("data/x"), store.through("data/y")
        assert file.read("data/x", 3, 2) == b"lo"
        assert (file.stat("data/x").size, file.stat("data/x").special) == (7, "")
        with file.open_read("data/x") as stream:
            assert stream.read() == b"payload"
        file.get_file("data/x", tmp_path / "copy")
        assert (tmp_path / "copy").read_bytes() == b"payload"
        assert [(stat.key, stat.size) for stat in folder.list("data/y")] == [("data/y/inner", 7)]
        assert folder.read("data/y/inner") == b"payload"
        with refused(SpecialFileError, "data/x"):
            folder.read("data/x")
        with refused(SpecialFileError, "data/x"):
            store.through("data/x", outside=False).read("data/x")

    def test_through_reads_what_is_no_link(self, store: Store) -> None:
        store.write("folder/a", b"1")
        assert store.through("folder/a").read("folder/a") == b"1"
        assert [stat.key for stat in store.through("folder", outside=False).list("folder")] == ["folder/a"]

    def test_local_path_is_the_file(self, store: Store) -> None:
        need(store, "local_path")
        assert not store.local_path("not/yet").parent.exists()
        store.write("a/b", b"1")
        assert store.local_path("a/b").read_bytes() == b"1"
        store.local_path("a/b").write_bytes(b"22")
        assert store.read("a/b") == b"22"

    def test_path_reads_what_the_key_holds(self, store: Store) -> None:
        try:
            path = store.path("folder")
        except UnsupportedOperationError:
            assert "local_path" not in store.capabilities
            return
        store.write("folder/a", b"1")
        assert (path / "a").read_bytes() == b"1"
        assert [one.name for one in path.iterdir()] == ["a"]
        for secret in self.secrets:
            assert secret not in f"{path!r} {path}"
