"""`LocalStore` keeps the store contract, in memory and on a disk; the back door is plain file calls."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path
from typing import Any, ClassVar

import pytest

from molexp.contracts import Store
from molexp.testing import StoreTests
from molexp_fs import LocalStore

REPOSITORY = Path(__file__).parents[2]


class LocalStoreTests(StoreTests, abstract=True):
    folds_keys = Path(__file__.swapcase()).exists()
    options: ClassVar[dict[str, Any]] = {}

    @pytest.fixture
    def store(self, tmp_path: Path) -> Store:
        return LocalStore.open(str(tmp_path / "lab"), self.options)

    def raw_write(self, store: Store, key: str, data: bytes) -> None:
        path = self.root(store) / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)

    def raw_read(self, store: Store, key: str) -> bytes | None:
        path = self.root(store) / key
        return path.read_bytes() if path.is_file() else None

    def raw_keys(self, store: Store) -> set[str]:
        root = self.root(store)
        return {Path(folder, name).relative_to(root).as_posix() for folder, _, names in os.walk(root) for name in names}

    def break_storage(self, store: Store) -> None:
        shutil.rmtree(self.root(store))
        self.root(store).write_bytes(b"no folder any more")

    def root(self, store: Store) -> Path:
        return Path(store.locate("x")).parent


class TestLocalStore(LocalStoreTests):
    """In the temporary folder, which is in memory where there is a tmpfs."""


class TestLocalStoreThatAlwaysSyncs(LocalStoreTests):
    options: ClassVar[dict[str, Any]] = {"durability": "always"}


class TestLocalStoreOnDisk(LocalStoreTests):
    """Test in the folder of the repository, which is on a disk."""

    @pytest.fixture
    def tmp_path(self, tmp_path: Path) -> Any:
        if os.stat(REPOSITORY).st_dev == os.stat(tmp_path).st_dev:
            pytest.skip("the temporary folder is on that disk already")
        folder = tempfile.mkdtemp(prefix=".stores-", dir=REPOSITORY)
        yield Path(folder)
        shutil.rmtree(folder)
