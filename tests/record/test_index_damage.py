"""An index, or a snapshot, that is not what was written: answers are those of the files, and nothing of it is published."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
from contextlib import closing, contextmanager
from pathlib import Path
from random import Random

import pytest

import molexp as me
from tests.internals import at, checksum
from tests.record.compacting import compact, derived, done, forged, rows, write
from tests.record.helpers import READING, amid

FLIPS = 60  # of bits, each in an index of its own


@pytest.fixture
def reader(lab):
    """A workspace with some runs, as somebody sees it who has an index of it."""
    for number in range(3):
        done(write(lab, f"r{number}", value=number + 0.25))
    found = lab.load()
    assert len(found.catalog.runs()) == 3
    return found


@contextmanager
def as_if_untouched(file):
    """While a file is changed, as by a disk that forgets: nothing shows it."""
    before = os.stat(file)
    yield
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))


def spoil(ws, statement):
    """Somebody changes an index; a while ago, so that nobody waits for a process that may be about to say that it was it."""
    with closing(sqlite3.connect(ws._session.index.location)) as connection, connection:
        connection.execute(statement)
    os.utime(ws._session.index.location, (1.5, 1.5))


def flip(data, random):
    changed = bytearray(data)
    changed[random.randrange(len(data))] ^= 1 << random.randrange(8)
    return bytes(changed)


# ------------------------------------------------------------------------------------------------------------ the index


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM entities",
        "DELETE FROM documents WHERE id = 1",
        "DELETE FROM fields",
        "DELETE FROM journals",
        "DROP TABLE records",
        "DROP TABLE meta",
        "UPDATE documents SET document = NULL, cover = NULL",
        "UPDATE documents SET document = replace(document, '0.25', '7.25')",
        "UPDATE entities SET status = 'nonsense', shown = 0",
        "UPDATE meta SET value = NULL",
    ],
)
@pytest.mark.parametrize("ask", ["runs", "verify", "rebuild"])
def test_whatever_somebody_does_to_an_index_the_answers_are_those_of_the_files(lab, reader, statement, ask):
    before = rows(reader)
    reader._session.index.close()
    spoil(reader, statement)

    again = lab.load()
    if ask != "runs":
        assert getattr(again.catalog, ask)().ok

    assert rows(again) == rows(reader) == before
    assert again.catalog.verify().findings == ()


def test_nothing_is_written_to_an_index_that_another_version_has_begun_meanwhile(lab, reader):
    """It may have tables that this one does not know of, and would not keep as they have to be."""

    def version(change=""):
        with closing(sqlite3.connect(file)) as connection:
            return connection.execute(f"PRAGMA user_version{change}").fetchall()

    file = reader._session.index.location
    ours = version()
    with as_if_untouched(file):
        version(" = 1000")
    lab.load().run("metals/cu/r1").archive()

    assert [row.id for row in reader.catalog.runs()] == ["r0", "r2"]
    assert version() == ours


def test_an_index_in_which_a_bit_was_flipped_is_not_believed(lab, reader):
    before = rows(reader)
    reader._session.index.close()
    location, random = Path(reader._session.index.location), Random(5)
    sound = location.read_bytes()
    for _ in range(FLIPS):
        location.write_bytes(flip(sound, random))
        os.utime(location, (1.5, 1.5))
        assert rows(lab.load()) == before


def test_what_a_disk_forgets_unnoticed_is_not_shown(lab, reader):
    documents = {row.path: row.document for row in reader.catalog.runs()}
    assets = {asset.id for asset in reader.catalog.assets()}
    reader._session.index.close()
    location, random = Path(reader._session.index.location), Random(6)
    sound = location.read_bytes()
    for _ in range(FLIPS):
        with as_if_untouched(location):
            location.write_bytes(flip(sound, random))
        again = lab.load()
        assert {row.path: row.document for row in again.catalog.runs()}.items() <= documents.items()
        assert {asset.id for asset in again.catalog.assets()} <= assets
        with as_if_untouched(location):
            location.write_bytes(sound)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE documents SET document = replace(document, '0.25', '7.25')",
        "UPDATE documents SET document = NULL",
        "UPDATE documents SET sum = NULL",
        "DELETE FROM documents",
        "UPDATE records SET record = replace(record, 'a.json', 'b.json')",
        "DELETE FROM records",
        "UPDATE statuses SET runs = runs + 1",
        "UPDATE sizes SET lower = lower + 1",
    ],
)
def test_a_row_that_is_not_what_was_read_is_neither_shown_nor_published(lab, reader, statement, tmp_path, monkeypatch):
    before, totals = rows(reader), reader.catalog.totals()
    reader._session.index.close()
    with as_if_untouched(reader._session.index.location):
        spoil(reader, statement)

    assert lab.load().catalog.compact().counts["snapshot"] == 1

    assert (rows(reader), reader.catalog.totals()) == (before, totals)
    monkeypatch.setenv("MOLEXP_CACHE_DIR", str(tmp_path / "somebody else's"))
    assert (rows(lab.load()), lab.load().catalog.totals()) == (before, totals)


@pytest.mark.parametrize("segment", ["of all rows", "of what came since"])
def test_compaction_publishes_what_was_read_not_what_an_index_says(lab, reader, tmp_path, monkeypatch, segment):
    if segment == "of what came since":
        compact(reader)
        reader.run("metals/cu/r1").annotate(tags=["late"])
    before = rows(reader)
    with as_if_untouched(reader._session.index.location):
        spoil(reader, "UPDATE documents SET document = replace(document, '0.25', '7.25')")
    compact(reader)

    monkeypatch.setenv("MOLEXP_CACHE_DIR", str(tmp_path / "somebody else's"))
    assert rows(lab.load()) == rows(reader) == before


def test_rebuild_answers_from_what_was_known_until_it_is_done(lab, reader, monkeypatch):
    before = rows(reader)

    def fail():
        raise me.UnavailableError("away")

    with monkeypatch.context() as patch:
        amid(patch, lab.store, READING, "/runs/", fail, every=True)
        with pytest.raises(me.UnavailableError):
            reader.catalog.rebuild()
    assert rows(reader) == before


def test_an_index_is_made_anew_once_not_each_time(lab, reader, monkeypatch):
    location = reader._session.index.location
    reader._session.index.close()
    os.utime(location, (1.5, 1.5))  # as after a copy
    assert len(lab.load().catalog.runs()) == 3
    amid(monkeypatch, lab.store, READING, "/runs/", lambda: pytest.fail("read again"))

    assert len(lab.load().catalog.runs()) == 3


# -------------------------------------------------------------------------------------------------------------- snapshots


def newest(lab):
    number = max(int(name[:-5]) for name in derived(lab, "snapshots") if name.endswith(".json"))
    return f".molexp/snapshots/{number}.json"


@pytest.mark.parametrize("what", ["manifest", "segment"])
def test_a_damaged_snapshot_is_passed_over_and_named_and_replaced(lab, reader, what, tmp_path, monkeypatch):
    before = rows(reader)
    compact(reader)
    key = newest(lab)
    if what == "manifest":
        changed = lab.store.read(key).replace(b'"built_on": 0', b'"built_on": 7')
    else:
        key = lab.document(newest(lab))["segments"][0]["key"]
        changed = lab.store.read(key)[:-9] + b"something"
    assert changed != lab.store.read(key)
    lab.store.write(key, changed)

    monkeypatch.setenv("MOLEXP_CACHE_DIR", str(tmp_path / "somebody else's"))
    other = lab.load()
    assert rows(other) == before
    assert [finding.key for finding in other.catalog.verify().findings] == [key]
    assert not other.catalog.verify().ok
    compact(other)
    assert other.catalog.verify().findings == ()


@pytest.mark.parametrize("version", [8, 99])
def test_a_snapshot_of_another_version_is_passed_over_and_replaced(lab, reader, tmp_path, monkeypatch, version):
    before = rows(reader)
    compact(reader)
    with forged(lab, tables=version) as image:
        image.execute("ALTER TABLE entities DROP COLUMN cause")
        image.execute(f"PRAGMA user_version = {version}")

    monkeypatch.setenv("MOLEXP_CACHE_DIR", str(tmp_path / "somebody else's"))
    other = lab.load()
    assert rows(other) == before
    assert other.catalog.verify().findings == ()
    reader.run("metals/cu/r1").annotate(tags=["late"])
    after = rows(other)
    compact(other)
    monkeypatch.setenv("MOLEXP_CACHE_DIR", str(tmp_path / "of a third"))
    with monkeypatch.context() as patch:
        amid(patch, lab.store, READING, "/runs/", lambda: pytest.fail("read again"))
        assert rows(lab.load()) == after


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE entities SET path = '../../../x' WHERE path LIKE '%/r1'",
        "UPDATE entities SET path = 'a' || char(0) || 'b' WHERE path LIKE '%/r1'",
        "UPDATE entities SET path = NULL WHERE path LIKE '%/r1'",
        "UPDATE entities SET status = 'nonsense'",
        "UPDATE documents SET document = NULL",
        "UPDATE documents SET document = '{}', cover = '{}'",
        "UPDATE records SET record = NULL",
        "UPDATE documents SET document = CAST('no JSON' AS BLOB)",
        "UPDATE documents SET document = CAST('[1]' AS BLOB)",
        "UPDATE documents SET document = CAST('no JSON' AS BLOB) WHERE id = (SELECT max(id) FROM documents)",
        "UPDATE documents SET document = CAST('no JSON' AS BLOB) WHERE id = (SELECT id FROM entities WHERE path LIKE '%/r1')",
        "UPDATE documents SET cover = CAST('no JSON' AS BLOB)",
        "UPDATE records SET record = CAST('no JSON' AS BLOB)",
        "UPDATE records SET record = CAST('[1]' AS BLOB)",
        "INSERT INTO meta VALUES ('news', 'many')",
    ],
)
def test_a_forged_snapshot_with_rows_of_no_sort_is_passed_over(lab, reader, tmp_path, monkeypatch, statement):
    """All its checksums hold."""
    before = rows(reader)
    compact(reader)
    with forged(lab) as image:
        image.execute(statement)
        for table, sql in {
            "documents": "SELECT path, id, document, cover FROM documents JOIN entities USING (id)",
            "records": "SELECT path, r.id, record FROM records r JOIN assets a USING (id) JOIN entities e ON e.id = owner",
        }.items():
            for path, number, *parts in image.execute(sql).fetchall():
                image.execute(f"UPDATE {table} SET sum = ? WHERE id = ?", (checksum(path or "", *parts), number))

    monkeypatch.setenv("MOLEXP_CACHE_DIR", str(tmp_path / "somebody else's"))
    other = lab.load()
    assert rows(other) == before
    assert other.catalog.lineage("metals/cu/r0").of.status == "succeeded"
    assert isinstance(other.catalog.verify().counts["rows"], int)


def test_a_giant_snapshot_is_passed_over_and_not_hashed_for_hours(lab, reader, tmp_path, monkeypatch):
    before = rows(reader)
    compact(reader)
    document = json.loads(lab.store.read(newest(lab)))
    os.truncate(lab.folder / document["segments"][0]["key"], 2 << 40)  # sparse: it takes no space
    document["segments"][0]["size"] = 2 << 40
    del document["sha256"]
    lab.store.write(newest(lab), json.dumps(document).encode())

    monkeypatch.setenv("MOLEXP_CACHE_DIR", str(tmp_path / "somebody else's"))
    other = lab.load()
    assert rows(other) == before
    assert any("more than are read" in finding.what for finding in other.catalog.verify().findings)


def test_a_snapshot_whose_rows_do_not_hold_is_passed_over_and_replaced(lab, reader, tmp_path, monkeypatch):
    """Its hash does: whoever wrote it had another idea of what a row should be."""
    before = rows(reader)
    compact(reader)
    with forged(lab) as image:
        image.execute("UPDATE documents SET document = replace(document, '0.25', '7.25'), sum = 7")

    monkeypatch.setenv("MOLEXP_CACHE_DIR", str(tmp_path / "somebody else's"))
    other = lab.load()
    assert rows(other) == before
    compact(other)
    monkeypatch.setenv("MOLEXP_CACHE_DIR", str(tmp_path / "of a third"))
    with monkeypatch.context() as patch:
        amid(patch, lab.store, READING, "/runs/", lambda: pytest.fail("read again"))
        assert rows(lab.load()) == before


def test_an_index_that_another_process_rebuilds_meanwhile_answers_no_less(lab, reader, monkeypatch):
    """It was begun before the newest run, and comes between the look at what is new and the answer."""
    before = {row.path for row in reader.catalog.runs()}
    other, kept = lab.load(), lab.folder.parent / "kept.sqlite3"

    def keep(_, path):
        shutil.copy(path, kept)
        raise KeyboardInterrupt

    at(monkeypatch, "the index is replaced", keep)
    with pytest.raises(KeyboardInterrupt):
        other.catalog.rebuild()
    made = reader.project("metals").experiment("cu").Run(id="newest")

    at(monkeypatch, "a question is answered", lambda *_: other._session.index.becomes(str(kept)))
    assert {row.path for row in reader.catalog.runs()} == before | {made.path}
