"""People can look at a part of what MolExp itself saves, as text or as an image, and read in one line what it is."""

from __future__ import annotations

import json
import struct
import zlib

import pytest

from molexp.contracts import Preview


def png(width=3, height=2, pixels=b"\0" * 20):
    """Return a PNG file."""

    def chunk(name, data):
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


@pytest.mark.parametrize(
    ("name", "obj", "text"),
    [
        ("a.json", {"a": [1, float("nan")]}, '{\n  "a": [\n    1,\n    {\n      "$float": "nan"\n    }\n  ]\n}'),
        ("a.txt", "one\ntwo\n", "one\ntwo"),
        ("a.txt", "", ""),
        ("long.txt", "x" * 200, "x" * 157 + "..."),
        ("many.txt", "\n".join(map(str, range(100))), "\n".join([*map(str, range(40)), "..."])),
        ("large.txt", "α" * (1 << 20), "α" * 157 + "...\n..."),
        ("red.txt", "\x1b[31mred\a\tand tab", "\N{REPLACEMENT CHARACTER}[31mred\N{REPLACEMENT CHARACTER}\tand tab"),
        ("a.csv", b"r,e\n1,2\n", "r,e\n1,2"),
        ("a.bin", b"\0\1\2", ""),
        ("a.bin", b"\xff\xfe", ""),
    ],
    ids=["JSON", "text", "empty", "long", "many", "large", "escapes", "bytes", "zero", "other"],
)
def test_a_file_is_shown_as_text_if_it_is_one(run, name, obj, text):
    with run.start() as ctx:
        ctx.artifact.save(name, obj)

    assert run.asset(name).preview() == Preview(text=text)


def test_json_of_somebody_else_is_shown_on_several_lines(run, tmp_path):
    (tmp_path / "in.json").write_text('{"a":[1,2]}')
    (tmp_path / "torn.json").write_text('{"a":[1,')
    (tmp_path / "large.json").write_text(json.dumps(list(range(100_000))))
    with run.start() as ctx:
        for name in ("in.json", "torn.json", "large.json"):
            ctx.artifact.save(name, tmp_path / name)

    assert run.asset("in.json").preview().text == '{\n  "a": [\n    1,\n    2\n  ]\n}'
    assert run.asset("torn.json").preview().text == '{"a":[1,'
    assert run.asset("large.json").preview().text.startswith("[0, 1, 2, ")


def test_an_image_is_known_by_its_bytes(run):
    large = png(pixels=bytes(9 << 20))
    with run.start() as ctx:
        ctx.artifact.save("plot", png())
        ctx.artifact.save("large.png", large)
        ctx.artifact.save("no.png", b"\x89PNG")

    assert run.asset("plot").preview() == Preview(text="PNG image, 3 x 2", png=png())
    assert run.asset("large.png").preview() == Preview(text="PNG image, 3 x 2")
    assert run.asset("no.png").preview() == Preview()


def test_of_what_grows_the_end_is_shown(run):
    with run.start() as ctx:
        for step in range(100):
            ctx.log("relax").append(f"step {step}")
            ctx.metrics.log(step=step, loss=1.0)
        ctx.log("short").append("done")

    shown = run.asset("relax").preview().text.splitlines()
    assert (shown[0], shown[1], shown[-1], len(shown)) == ("...", "step 60", "step 99", 41)
    assert run.asset("short").preview() == Preview(text="done")
    assert '"step":99' in run.asset("metrics").preview().text.splitlines()[-1].replace(" ", "")


def test_errors_checkpoints_data_and_tasks_are_described_and_shown(ws, run, tmp_path):
    (tmp_path / "data.csv").write_text("a,b\n")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "one").write_text("1")
    data = run.experiment.data_assets.import_asset("table", tmp_path / "data.csv")
    folder = run.experiment.data_assets.import_asset("folder", tmp_path / "folder")
    with pytest.raises(ValueError, match="too"), run.start() as ctx:
        ctx.checkpoint.save("model", {"w": 1}, step=3)
        raise ValueError("too\nrough")

    assert run.asset("model").describe().endswith("bytes, json, at step 3")
    assert run.asset("model").preview().text == '{\n  "w": 1\n}'
    trace = run.asset("error-trace")
    assert trace.describe() == "traceback of ValueError: too rough"
    assert trace.preview().text.splitlines()[-2:] == ["ValueError: too", "rough"]
    assert data.describe() == f"a file of 4 bytes, imported from {tmp_path / 'data.csv'}"
    assert data.preview() == Preview(text="a,b")
    assert folder.describe().startswith("a folder of 1 file of 1 bytes")
    assert folder.preview() == Preview()


def test_the_tasks_of_a_workflow_are_shown_with_their_outcomes(run):
    from molexp.workflow import WorkflowBuilder

    wf = WorkflowBuilder("pair")
    wf.add(lambda ctx: 1, name="scan")
    wf.add(lambda ctx: 1, name="fit", depends_on=["scan"])
    wf.build().execute_sync(run=run, check=True)

    assert run.asset("execution-state").preview().text == "scan: succeeded\nfit: succeeded"
    assert "tasks of a workflow" in run.asset("execution-state").describe()
