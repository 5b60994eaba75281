"""Large files are copied whole, as they were when they were read, and their record says what lies there."""

from __future__ import annotations

import os
from hashlib import sha256

import pytest

PIECE = 1 << 17
SMALL = 1 << 20
SIZES = [0, 1, PIECE - 1, PIECE, PIECE + 1, SMALL, SMALL + 1, 3 * SMALL + 5]


def content(size):
    """Return bytes of which no two pieces are equal."""
    return b"".join(number.to_bytes(4) for number in range(size // 4 + 1))[:size]


def hash_of(data):
    return f"sha256:{sha256(data).hexdigest()}"


@pytest.mark.parametrize("size", SIZES)
def test_a_file_of_any_size_is_saved_imported_and_downloaded(place, run, tmp_path, size):
    data = content(size)
    source = tmp_path / "source.bin"
    source.write_bytes(data)
    told: list[int] = []
    with run.start() as ctx:
        saved = ctx.artifact.save("saved.bin", source)
        with ctx.artifact.writing("written.bin") as path:
            path.write_bytes(data)
        run.experiment.data_assets.import_asset("imported", source, progress=told.append)

    assets = [run.asset(name) for name in ("saved.bin", "written.bin", "imported")]
    assert [(asset.size, asset.content_hash) for asset in assets] == [(size, hash_of(data))] * 3
    assert saved.content_hash == hash_of(data)
    assert sum(told) == size
    for number, asset in enumerate(assets):
        fetched: list[int] = []
        assert asset.download(tmp_path / f"{number}.bin", progress=fetched.append).read_bytes() == data
        assert sum(fetched) == size


def test_a_sparse_file_is_saved_with_its_zeros(lab_run, tmp_path):
    source = tmp_path / "sparse.bin"
    with source.open("wb") as file:
        file.write(b"begin")
        file.truncate(5 * SMALL)
        file.seek(4 * SMALL)
        file.write(b"amid")
    with lab_run.start() as ctx:
        asset = ctx.artifact.save("sparse.bin", source)
    assert asset.read_bytes() == source.read_bytes()
    assert asset.content_hash == hash_of(source.read_bytes())


@pytest.mark.parametrize("change", ["grows", "is overwritten", "shrinks"])
def test_of_a_file_that_changes_meanwhile_the_record_says_what_was_copied(lab_exp, tmp_path, change):
    """Nobody can have all of it as it was at one time, but the record is true of what lies in the workspace."""
    source = tmp_path / "source.bin"
    source.write_bytes(content(3 * SMALL))
    told: list[int] = []

    def changed(count):
        if not told:
            with source.open("r+b") as file:
                if change == "grows":
                    file.seek(0, os.SEEK_END)
                    file.write(b"more" * SMALL)
                elif change == "is overwritten":
                    file.write(b"\xff" * (3 * SMALL))
                else:
                    file.truncate(SMALL)
        told.append(count)

    asset = lab_exp.data_assets.import_asset("data", source, progress=changed)
    assert asset.size == sum(told)
    assert asset.content_hash == hash_of(asset.path.read_bytes())


def test_a_copy_that_is_ended_leaves_nothing(lab, lab_exp, tmp_path):
    source = tmp_path / "source.bin"
    source.write_bytes(content(3 * SMALL))

    def enough(_):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        lab_exp.data_assets.import_asset("data", source, progress=enough)
    assert [entry.key for entry in lab.store.list() if "data" in entry.key and not entry.key.endswith(".json")] == []
    assert [*lab.store.leftovers(-1)] == []
