"""Files among journals and snapshots that are neither: compaction deletes what is MolExp's by its content, nothing else."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing

import pytest

from tests.record.compacting import compact, derived, done, rows, write

DATA = b'{"text": "of a data set"}\n'
TOKEN = "0123456789abcdef"


def in_all_names(folder, count=20):
    """Files of somebody's data set, in names that a journal may bear, too, and in others."""
    names = [f"train-{number}" for number in range(count)] + [f"train-{number:06}" for number in range(count)]
    names += [f"{number:016x}" for number in range(count)] + [f"{TOKEN}-{number:06}" for number in range(1, count)]
    return [f".molexp/{folder}/{name}.jsonl" for name in names]


@pytest.mark.parametrize("folder", ["sealed", "journals"])
def test_what_is_no_journal_is_left(place, silent, folder):
    files = in_all_names(folder)
    for key in files:
        place.store.write(key, DATA)
    for number in range(20):
        done(write(place, f"r{number}"))
    reader = place.load()
    before = rows(reader)
    compact(reader, 3)

    assert {key: place.store.read(key) for key in files} == dict.fromkeys(files, DATA)
    left = {name for folder in ("sealed", "journals") for name in derived(place, folder)}
    assert left == {key.rpartition("/")[2] for key in files}, "and all that are, are folded and deleted"
    assert rows(reader) == rows(place.load()) == before


def test_fsck_names_what_is_no_journal_and_no_part_of_a_snapshot(place):
    done(write(place, "one"))
    reader = place.load()
    compact(reader)
    before = {finding.key for finding in reader.fsck().findings}
    foreign = [
        *(f".molexp/{folder}/{TOKEN}.jsonl" for folder in ("sealed", "journals")),
        *(f".molexp/snapshots/{name}" for name in ("7.json", f"1-{TOKEN}.jsonl", f"1-{TOKEN}.sqlite3", "notes.txt")),
    ]
    for key in foreign:
        place.store.write(key, DATA)

    assert {finding.key for finding in reader.fsck().findings} - before == set(foreign)


def test_what_is_no_part_of_a_snapshot_is_left(lab, tmp_path):
    with closing(sqlite3.connect(tmp_path / "db")) as theirs, theirs:
        theirs.execute("CREATE TABLE important (x)")
    foreign = {
        f".molexp/snapshots/1-{TOKEN}.sqlite3": (tmp_path / "db").read_bytes(),
        f".molexp/snapshots/2-{TOKEN}.jsonl": DATA,
        ".molexp/snapshots/1.json": b'{"number": 1}',
        ".molexp/snapshots/2.json": DATA,
    }
    for key, data in foreign.items():
        lab.store.write(key, data)
    for number in range(8):
        done(write(lab, f"r{number}"))
        compact(lab.load())

    assert {key: lab.store.read(key) for key in foreign} == foreign


def test_a_snapshot_that_names_somebodys_files_as_folded_deletes_none(lab):
    """As of a workspace that somebody has made for us: its names prove nothing."""
    done(write(lab, "one"))
    compact(lab.load())
    key = ".molexp/snapshots/1.json"
    document = lab.document(key)
    document["folded"]["1"] |= {"train.jsonl": "0", f"{TOKEN}.jsonl": "0", f"{TOKEN}-000002.jsonl": "0"}
    del document["sha256"]  # as older versions wrote it
    lab.store.write(key, json.dumps(document).encode())
    theirs = [f".molexp/sealed/{name}.jsonl" for name in ("train", TOKEN, f"{TOKEN}-000002")]
    for one in theirs:
        lab.store.write(one, DATA)
    compact(lab.load())
    done(write(lab, "two"))
    compact(lab.load())

    assert [one for one in theirs if lab.store.exists(one)] == theirs
