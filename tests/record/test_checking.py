"""`fsck` compares bytes with their records, and documents with what repeats them."""

from __future__ import annotations

import msgspec
import pytest

import molexp as me

EXPERIMENT = "projects/metals/experiments/cu"
RUN = f"{EXPERIMENT}/runs/one"
ARTIFACT = f"{RUN}/artifacts/a.txt"


@pytest.fixture
def finished(ws, run, tmp_path):
    (tmp_path / "f.bin").write_bytes(b"one file")
    (tmp_path / "d" / "deep").mkdir(parents=True)
    (tmp_path / "d" / "x").write_bytes(b"x")
    (tmp_path / "d" / "deep" / "y").write_bytes(b"y")
    ws.data_assets.import_asset("f", tmp_path / "f.bin")
    run.experiment.data_assets.import_asset("d", tmp_path / "d")
    with run.start() as ctx:
        ctx.set_result("x", 1)
        ctx.artifact.save("a.txt", "what was recorded")
        ctx.log("train").append("one")
    return run


def found(place, **how):
    return {finding.key: finding.what for finding in place.load().fsck(**how).findings}


def key_of(ws, name):
    return next(iter(ws.catalog.assets(f"name == '{name}'"))).key


PAYLOADS = {
    "an artifact": lambda place: ARTIFACT,
    "a log": lambda place: f"{RUN}/logs/train.log",
    "a file of data": lambda place: key_of(place.load(), "f"),
    "a file in a folder of data": lambda place: f"{key_of(place.load(), 'd')}/deep/y",
}


def test_where_all_is_well_all_bytes_are_read_and_nothing_is_found(place, finished):
    told = []
    report = place.load().fsck(read_data=True, progress=lambda done, total: told.append((done, total)))

    assert report.findings == ()
    assert report.ok
    assert report.counts["files"] >= len(PAYLOADS)
    assert report.counts["known"] == 0
    assert told == sorted(told)
    assert told[-1][0] == told[-1][1] > 0


@pytest.mark.parametrize("what", PAYLOADS)
def test_bytes_of_equal_number_that_have_changed_are_found_by_reading_them(place, finished, what):
    key = PAYLOADS[what](place)
    data = place.store.read(key)
    place.store.write(key, data[:-1] + bytes([data[-1] ^ 1]))

    assert found(place) == {}
    ((where, said),) = found(place, read_data=True).items()
    assert key.startswith(where)
    assert "its bytes are sha256" in said
    assert "restore" in said


@pytest.mark.parametrize("what", PAYLOADS)
def test_bytes_that_are_gone_or_cut_off_are_found_by_looking(place, finished, what):
    key = PAYLOADS[what](place)
    data = place.store.read(key)
    place.store.write(key, data[:-1])
    ((where, said),) = found(place).items()
    assert key.startswith(where)
    assert "restore" in said
    place.store.delete(key)
    ((where, said),) = found(place).items()
    assert key.startswith(where)
    assert "restore" in said


@pytest.fixture
def scrubbed(lab, lab_exp, tmp_path, monkeypatch):
    """Four runs, and a scrub that is interrupted when all but the last one have been read."""
    monkeypatch.setenv("MOLEXP_CACHE_DIR", str(tmp_path / "cache"))
    for name in "abcd":
        with lab_exp.Run(id=name).start() as ctx:
            ctx.artifact.save("a.txt", name * 1000)

    def scrub():
        def interrupt(done, total):
            if done == total:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            lab.load().fsck(read_data=True, progress=interrupt)

    return scrub


def test_a_scrub_that_was_interrupted_goes_on_where_it_was(lab, scrubbed):
    scrubbed()
    again = lab.load().fsck(read_data=True).counts
    assert (again["known"], again["bytes"]) == (again["files"] - 1, 1000)

    assert lab.load().fsck(read_data=True).counts["known"] == 0, "that one had ended"
    scrubbed()
    assert lab.load().fsck(read_data=True, restart=True).counts["known"] == 0
    scrubbed()
    lab.store.write(f"{EXPERIMENT}/runs/a/artifacts/a.txt", b"b" * 1000)
    assert len(lab.load().fsck(read_data=True).findings) == 1, "it looks different"


def test_what_an_interrupted_scrub_has_found_is_told_by_the_one_that_goes_on(lab, scrubbed):
    bad = f"{EXPERIMENT}/runs/a/artifacts/a.txt"
    lab.store.write(bad, b"b" * 1000)
    scrubbed()

    report = lab.load().fsck(read_data=True)
    assert report.counts["known"] == report.counts["files"] - 1
    assert [finding.key for finding in report.findings] == [bad]


def test_who_is_at_work_may_change_what_he_has_recorded(place, run):
    with run.start() as ctx:
        ctx.artifact.save("a.txt", "first")
        ctx.flush()
        place.store.write(ARTIFACT, b"about to be recorded")
        assert found(place, read_data=True) == {}


def test_external_data_that_has_changed_is_told_as_such(lab, lab_exp, tmp_path):
    outside = tmp_path / "shared.txt"
    outside.write_bytes(b"then")
    data = lab_exp.data_assets.import_asset("shared", outside, action="symlink")
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "x").write_bytes(b"x")
    lab_exp.data_assets.import_asset("folder", tmp_path / "d", action="symlink")
    assert found(lab, read_data=True) == {}
    outside.write_bytes(b"now!")
    (tmp_path / "d" / "x").write_bytes(b"z")

    said = found(lab, read_data=True)
    assert data.key in said
    assert all("outside of the workspace, which may change there" in one for one in said.values())


DOCUMENTS = [
    "projects/metals/project.json",
    f"{EXPERIMENT}/experiment.json",
    f"{EXPERIMENT}/experiment.2.json",
    "settings/1.json",
    "settings/2.json",
]


@pytest.mark.parametrize("key", DOCUMENTS)
def test_a_document_that_cannot_be_read_is_named(place, finished, key):
    place.workspace().configure(durability="never")
    place.workspace().Project("metals").Experiment("cu", params={"a": 1}, update=True)
    place.store.write(key, b"{ torn")

    said = found(place)
    assert set(said) == {key}


def test_a_provenance_document_is_what_its_name_says(place, finished):
    key = next(stat.key for stat in place.store.list("provenance"))
    place.store.write(key, place.store.read(key) + b"\n")

    assert set(found(place)) == {key}
    assert set(found(place, read_data=True)) == {key}


# ------------------------------------------------------------------------------------------- run.json, and what repeats it


CHANGES = {
    "parameters": {"a": 3.6, "b": 2},
    "own_parameters": {"b": 2},
    "replica": 7,
    "config": {"basis": "SVP"},
}


@pytest.mark.parametrize("going_on", [False, True], ids=["ended", "going on"])
@pytest.mark.parametrize("name", CHANGES)
def test_a_run_json_that_was_changed_is_named_and_mended_from_the_claim(place, run, name, going_on):
    ctx = run.start()
    if not going_on:
        ctx.finish()
    before = place.document(f"{RUN}/run.json")
    place.change(f"{RUN}/run.json", **{name: CHANGES[name]})
    reader = place.load()

    (row,) = reader.catalog.runs()
    assert row.document[name] == CHANGES[name], "it is what counts"
    assert reader.run(run.path).to_dict()[name] == CHANGES[name]
    ((key, reason),) = reader.catalog.unreadable().items()
    assert key == f"{RUN}/run.json"
    assert f"its {name} are not what the claim of attempt 1 repeats" in reason
    assert found(place) == {key: reason}

    (finding,) = reader.fsck(repair=True).findings
    assert finding.done == "written again from an attempt's claim"
    assert place.document(f"{RUN}/run.json")[name] == before[name]
    assert found(place) == {}
    assert dict(reader.catalog.unreadable()) == {}
    if going_on:
        ctx.finish()


def test_a_torn_run_json_is_written_again_from_whichever_attempt_repeats_it(lab, lab_run):
    """A power loss may leave it empty, the first claim gone, and a second claim that nothing is left of."""
    lab_run.start().finish()
    lab_run.start(if_succeeded="rerun").finish()
    folder = lab.folder / RUN
    (folder / "run.json").write_bytes(b"")
    (folder / "executions/1.jsonl").unlink()
    (folder / "executions/2.jsonl").write_bytes(b"")
    (folder / "executions/2.end.json").unlink()

    done = {finding.key: finding.done for finding in lab.load().fsck(repair=True).findings}

    assert done[f"{RUN}/run.json"] == "written again from an attempt's claim"
    assert lab.document(f"{RUN}/run.json")["parameters"] == {"a": 3.6, "b": 1}


def test_what_makes_no_other_run_may_differ(place, run):
    with run.start():
        pass
    document = place.document(f"{RUN}/run.json")
    document |= {
        "token": "0" * 16,
        "created_at": "2020-01-01T00:00:00Z",
        "colour": "red",
        "config": {"executor": "slurm"},
    }
    document["parameters"] = {"b": 1.0, "a": 3.6}
    place.store.write(f"{RUN}/run.json", msgspec.json.encode(document))

    assert found(place) == {}
    assert dict(place.load().catalog.unreadable()) == {}


def test_a_claim_that_was_changed_is_named_itself(place, run):
    for _ in range(2):
        with run.start():
            pass
    claim, _, rest = place.store.read(f"{RUN}/executions/1.jsonl").partition(b"\n")
    document = msgspec.json.decode(claim)
    document["definition"]["parameters"]["b"] = 5
    place.store.write(f"{RUN}/executions/1.jsonl", msgspec.json.encode(document) + b"\n" + rest)

    ((key, said),) = found(place).items()
    assert key == f"{RUN}/executions/1.jsonl"
    assert said == f"its parameters are not what '{RUN}/run.json' says, which counts"


def test_fsck_and_the_catalog_name_the_same(place, exp, finished):
    with exp.Run(id="two").start():
        pass
    for name in ("run.json", "executions/1.jsonl", "executions/1.end.json"):
        place.store.write(f"{RUN}/{name}", b"{ torn")
    place.store.write("data/f/1.json", b"{ torn")

    reader = place.load()
    assert [row.id for row in reader.catalog.runs()] == ["two"]
    assert set(reader.catalog.unreadable()) == set(found(place)) == {f"{RUN}/run.json", "data/f/1.json"}
    assert not place.load().fsck().ok


def test_a_mere_reader_mends_nothing(place, run):
    with run.start():
        pass
    place.change(f"{RUN}/run.json", parameters={"b": 2})
    before = place.everything()

    report = place.load(read_only=True).fsck(repair=True)

    assert not report.ok
    assert place.everything() == before
    assert isinstance(report, me.Report)
