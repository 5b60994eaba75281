"""Numbers, depth, length: what a document says is read in bounded time, and what can be written can be read."""

from __future__ import annotations

import json

import pytest

import molexp as me

RUN = "projects/metals/experiments/cu/runs/bad"
DATA = "projects/metals/data/reference"
ABSURD = [1 << 63, -1, 10**4000, True, 1.5, "big"]


def short(value):
    return str(value)[:20]


@pytest.fixture
def bad(exp, place, tmp_path):
    """A finished run beside a good one, and imported data, by their files."""
    for name in ("good", "bad"):
        with exp.Run(id=name).start() as ctx:
            ctx.artifact.save("a.txt", "text")
            ctx.set_result("x", 1)
    (tmp_path / "source").write_text("text")
    exp.project.data_assets.import_asset("reference", tmp_path / "source")
    return place


def check_named(ws, what):
    """The damage is named, by the catalog and by `fsck`; and the catalog works."""
    assert [reason for reason in ws.catalog.unreadable().values() if what in reason]
    assert [finding for finding in ws.fsck().findings if what in finding.what]
    ws.catalog.compact()
    ws.catalog.verify()
    ws.catalog.rebuild()
    assert [reason for reason in ws.catalog.unreadable().values() if what in reason]
    assert {row.id: str(row.status) for row in ws.catalog.runs()} == {"good": "succeeded", "bad": "succeeded"}
    assert len(ws.catalog.assets()) == 3


@pytest.mark.parametrize("name", ["size", "version"])
@pytest.mark.parametrize("value", ABSURD, ids=short)
class TestAnAbsurdNumberIsAsIfItWereMissing:
    def test_in_an_end(self, bad, name, value):
        (asset,) = bad.document(f"{RUN}/executions/1.end.json")["assets"]
        bad.change(f"{RUN}/executions/1.end.json", assets=[{**asset, name: value}])
        ws = bad.load()

        (asset,) = ws.run("metals/cu/bad").assets
        assert (asset.size, asset.version) == ((0, 1) if name == "size" else (4, 1))
        check_named(ws, f"the {name} of asset metals/cu/bad#1:artifact:a.txt@1 is")

    def test_in_imported_data(self, bad, name, value):
        bad.change(f"{DATA}/1.json", **{name: value})
        ws = bad.load()

        asset = ws.project("metals").data_assets["reference"]
        assert (asset.size, asset.version) == ((0, 1) if name == "size" else (4, 1))
        check_named(ws, f"the {name} of asset metals:data:reference@1 is")


def test_a_number_of_a_million_digits_makes_its_document_unreadable_and_no_other(bad):
    data = bad.store.read(f"{RUN}/executions/1.end.json")
    bad.store.write(f"{RUN}/executions/1.end.json", data.replace(b'"x":1', b'"x":' + b"1" * 1_000_000))
    ws = bad.load()

    assert {row.id: str(row.status) for row in ws.catalog.runs()} == {"good": "succeeded", "bad": "interrupted"}
    assert any("1000000 digits" in reason for reason in ws.catalog.unreadable().values())


@pytest.mark.parametrize("retry", [10**18, 10**4000, -(10**18)], ids=short)
def test_the_number_of_a_retry_costs_nothing(bad, retry):
    claim = bad.store.read(f"{RUN}/executions/1.jsonl").splitlines(keepends=True)[0]
    bad.store.delete(f"{RUN}/executions/1.end.json")
    events = [
        {"type": "task", "task": "t", "retry": 0, "status": "failed"},
        {"type": "result", "task": "t", "retry": retry, "name": "y", "value": 1},
        {"type": "result", "task": "t", "retry": 0, "name": "x", "value": 2},
    ]
    bad.store.write(f"{RUN}/executions/1.jsonl", claim + b"".join(json.dumps(one).encode() + b"\n" for one in events))

    assert bad.load().run("metals/cu/bad").results == {"y": 1, "x": 2}


@pytest.mark.parametrize(
    "key",
    [
        f"{RUN}/executions/{'9' * 30}.jsonl",
        f"{RUN}/executions/{'9' * 30}.end.json",
        f"{RUN}/executions/٣.jsonl",
        f"{DATA}/{'9' * 30}.json",
        f"{DATA}/².json",
        f"{DATA}/01.json",
        f"settings/{'9' * 30}.json",
        "settings/².json",
        f"projects/metals/experiments/cu/experiment.{'9' * 30}.json",
        f".molexp/snapshots/{'9' * 30}.json",
        f".molexp/live/metals~cu~bad~{'9' * 30}",
    ],
)
def test_a_file_whose_name_has_an_absurd_number_is_foreign(bad, key):
    bad.store.write(key, b'{"schema": 1, "type": "data", "values": {"x": 1}}')
    ws = bad.load()

    assert {row.id: str(row.status) for row in ws.catalog.runs()} == {"good": "succeeded", "bad": "succeeded"}
    assert len(ws.run("metals/cu/bad").execution_history) == 1
    assert [asset.version for asset in ws.project("metals").data_assets.versions("reference")] == [1]
    ws.catalog.compact()
    assert key.startswith(".molexp/") or [finding for finding in ws.fsck().findings if finding.key == key]


@pytest.mark.parametrize("name", ["replicas", "revision"])
@pytest.mark.parametrize("value", [*ABSURD, None, []], ids=short)
def test_what_an_experiment_says_of_itself(bad, name, value):
    bad.change("projects/metals/experiments/cu/experiment.json", **{name: value})

    assert getattr(bad.load().project("metals").experiment("cu"), name) == 1


@pytest.mark.parametrize("sign", [1, -1])
class TestWhatIsWrittenCanBeRead:
    LARGEST = 10**4300 - 1

    def test_the_largest_integer(self, exp, place, sign):
        with exp.Run({"n": sign * self.LARGEST}, id="one").start() as ctx:
            ctx.set_result("n", sign * self.LARGEST)
            ctx.metrics.log(step=1, n=sign * self.LARGEST)
            ctx.artifact.save("n.json", {"n": sign * self.LARGEST})

        run = place.load().run("metals/cu/one")
        assert run.parameters["n"] == run.results["n"] == sign * self.LARGEST
        assert run.asset("n.json").load() == {"n": sign * self.LARGEST}
        assert run.asset("metrics").load()[0]["n"] == sign * self.LARGEST
        assert place.load().fsck().findings == ()

    def test_a_larger_one_is_refused(self, exp, sign):
        number = sign * (self.LARGEST + 1)
        with pytest.raises(me.SerializationError, match=r"parameters\.n.*4300 decimal digits"):
            exp.Run({"n": number})
        with exp.Run(id="one").start() as ctx:
            for save in (
                lambda: ctx.set_result("n", [number]),
                lambda: ctx.metrics.log(step=1, n=number),
                lambda: ctx.artifact.save("n.json", {"n": number}),
            ):
                with pytest.raises(me.SerializationError, match="more than 4300 decimal digits"):
                    save()


def nested(depth, key):
    value: object = 1
    for _ in range(depth):
        value = {key: value} if key else [value]
    return value


@pytest.mark.parametrize("key", ["", "a", "$a"])
def test_what_is_as_deep_as_can_be_written_can_be_read(exp, place, key):
    depth = 200
    while depth:
        try:
            exp.Run({"deep": nested(depth, key)}, id="one")
            break
        except me.SerializationError:
            depth -= 1
    assert depth >= 49
    with exp.run("one").start() as ctx:
        ctx.set_result("deep", nested(depth, key))
        ctx.artifact.save("deep.json", nested(depth, key))

    run = place.load().run("metals/cu/one")
    assert run.parameters["deep"] == run.results["deep"] == run.asset("deep.json").load() == nested(depth, key)
    assert place.load().fsck().findings == ()
    assert [row.id for row in place.load().catalog.runs()] == ["one"]


@pytest.mark.parametrize("name", ["parameters", "own_parameters", "config"])
@pytest.mark.parametrize("value", [3, [], "x", {"$float": "nan"}, {"$asset": "x"}], ids=short)
def test_a_definition_without_its_mappings_is_read_from_the_claim(bad, name, value):
    bad.change(f"{RUN}/run.json", **{name: value})
    ws = bad.load()

    assert {row.id: dict(row.parameters) for row in ws.catalog.runs()} == {"good": {"a": 3.6}, "bad": {"a": 3.6}}
    assert dict(me.describe_run(ws.run("metals/cu/bad"))["parameters"]) == {"a": 3.6}
    assert [reason for reason in ws.catalog.unreadable().values() if f"its {name} is a JSON" in reason]
