"""A run that was deleted, freed and brought back is in every reader's catalog, by whichever index, as the files say."""

from __future__ import annotations

import shutil
from random import Random

import pytest

import molexp as me
from tests.internals import tune
from tests.pairwise import pairwise
from tests.record.compacting import compact, rows

RUN = "projects/p/experiments/e/runs"
TRIALS = 25  # of random histories


class Readers:
    """Readers with indexes of their own, each made by the first question."""

    def __init__(self, lab, tmp_path, monkeypatch):
        self._lab, self._folder, self._patch = lab, tmp_path, monkeypatch
        self._known = {}

    def by(self, name):
        self._patch.setenv("MOLEXP_CACHE_DIR", str(self._folder / f"index of {name}"))
        if name not in self._known:
            self._known[name] = self._lab.load()
            self._known[name]._session.index  # noqa: B018 - it is made where the variable says now
        return self._known[name]

    def new(self):
        return self.by(f"new reader {len(self._known)}")


@pytest.fixture
def readers(lab, tmp_path, monkeypatch):
    return Readers(lab, tmp_path / "indexes", monkeypatch)


def tracked(lab, *names):
    exp = lab.workspace().Project("p").Experiment("e")
    for name in names:
        with exp.Run(id=name).start() as ctx:
            ctx.set_result("x", 1)


def copied_back(lab, mirror, name):
    shutil.copytree(mirror / RUN / name, lab.folder / RUN / name)


def ids(ws):
    return [row.id for row in ws.catalog.runs()]


WAYS = ("sync", "by hand")
COMPACTIONS = ("before gc", "after gc", "before and after", "after all", "none")
SEGMENTS = ("lines", "full")
TAGS = ("", "with a tag that the copy lacks")


@pytest.mark.parametrize(("way", "compactions", "segment", "tagged"), pairwise(WAYS, COMPACTIONS, SEGMENTS, TAGS))
def test_a_run_that_was_freed_and_comes_back_is_in_every_catalog(
    lab, readers, tmp_path, monkeypatch, way, compactions, segment, tagged
):
    if segment == "full":
        tune(monkeypatch, "rows that make a full segment", 1)
    mirror = tmp_path / "mirror"
    tracked(lab, *"abcdef")
    ws = readers.by("owner")
    assert len(ids(readers.by("idle"))) == 6
    me.sync_workspace(lab.url, mirror)
    if tagged:
        ws.run("p/e/a").annotate(tags=["seen"])
        compact(ws)
    ws.run("p/e/a").delete()
    if "before" in compactions:
        compact(ws)
    ws.gc(dry_run=False)
    if compactions == "after gc" or compactions.endswith("and after"):
        compact(ws)
    watching = readers.by("watching")
    assert ids(watching) == [*"bcdef"]
    if way == "sync":
        me.sync_workspace(mirror, lab.url, restore=["p/e/a"])
    else:
        copied_back(lab, mirror, "a")
    if compactions == "after all":
        compact(readers.by("owner"))

    readers.by("judge").catalog.rebuild()
    expected = rows(readers.by("judge"))
    assert [path.rpartition("/")[2] for path in expected[0]] == [*"abcdef"]
    for reader in (readers.new(), readers.by("owner"), readers.by("idle"), readers.by("watching")):
        assert rows(reader) == expected
    compact(readers.by("owner"))
    compact(readers.by("idle"))
    for reader in (readers.new(), readers.by("owner"), readers.by("watching")):
        assert rows(reader) == expected
        assert reader.catalog.verify().findings == ()


def test_on_storage_without_folders_too(place, tmp_path):
    mirror = tmp_path / "mirror"
    tracked(place, "a", "b")
    ws = place.load()
    me.sync_workspace(ws, mirror)
    ws.run("p/e/a").delete()
    compact(ws)
    ws.gc(dry_run=False)
    assert ids(ws) == ["b"]
    me.sync_workspace(mirror, ws, restore=["p/e/a"])

    assert ids(ws) == ["a", "b"]
    compact(ws)
    other = place.load()
    other._session.index.discard()
    assert ids(other) == ["a", "b"]


@pytest.mark.parametrize("seed", range(TRIALS))
def test_in_whichever_order_things_happen(lab, readers, tmp_path, monkeypatch, seed):
    random = Random(seed)
    if random.random() < 0.5:
        tune(monkeypatch, "rows that make a full segment", 2)
    mirror = tmp_path / "mirror"
    tracked(lab, *"abc")
    me.sync_workspace(lab.url, mirror)
    steps = {
        "look": lambda who, _: readers.by(who).catalog.runs(),
        "new": lambda *_: readers.new().catalog.runs(),
        "delete": lambda who, name: readers.by(who).run(f"p/e/{name}").delete(),
        "tag": lambda who, name: readers.by(who).run(f"p/e/{name}").annotate(tags=[f"t{random.random()}"]),
        "again": lambda who, name: readers.by(who).run(f"p/e/{name}").start(if_succeeded="rerun").__enter__().finish(),
        "compact": lambda who, _: compact(readers.by(who)),
        "gc": lambda who, _: readers.by(who).gc(dry_run=False),
        "sync": lambda _, name: me.sync_workspace(mirror, lab.url, restore=[f"p/e/{name}"]),
        "to": lambda *_: me.sync_workspace(lab.url, mirror),
        "copy": lambda _, name: copied_back(lab, mirror, name),
    }
    weights = [2, 1, 4, 2, 1, 5, 5, 4, 1, 2]
    done = []
    for step in random.choices([*steps], weights, k=random.randrange(6, 16)):
        who, name = random.choice(["one", "two"]), random.choice("abc")
        done.append((step, who, name))
        try:
            steps[step](who, name)
        except (me.NotFoundError, FileExistsError, FileNotFoundError):
            pass

    judge = readers.by("judge")
    judge.catalog.rebuild()
    expected = rows(judge)
    for reader in (readers.new(), readers.by("one"), readers.by("two")):
        assert rows(reader) == expected, done
