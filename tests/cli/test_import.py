"""molexp import: old folders of results become runs, once, with the dates, ends and bytes that they had."""

from __future__ import annotations

import json
import os
import signal
from datetime import UTC, datetime
from pathlib import Path

import pytest

import molexp as me
from tests.cli.helpers import eventually, spawn

BEGAN = 1_500_000_000  # seconds since 1970
SMALL = 20
RESULTS = ("--results", "result.json")


def dress(folder: Path, number: int) -> None:
    """Leave in a folder what a script left: of ten, one failed and one never came to its result."""
    folder.mkdir(parents=True)
    failed = number % 10 == 3
    if number % 10 != 7:
        (folder / "result.json").write_text(json.dumps({"energy": -number / 7, "scf": {"steps": number}}))
    (folder / "rc.txt").write_text(f"{int(failed)}\n")
    (folder / "sub").mkdir()
    (folder / "sub" / "out.log").write_bytes(bytes([number % 256]) * 1000 + b"\r\nTraceback" * failed)
    (folder / "train.csv").write_text(f"step,loss\n0,1.0\n1,{number / 3}\n")
    for place, file in enumerate(sorted(path for path in folder.rglob("*") if path.is_file())):
        os.utime(file, (0, BEGAN + 1000 * number + 10 * place))


def point(number: int) -> dict[str, object]:
    return {"a": round(3.5 + number // 50 * 0.05, 3), "xc": ("PBE", "LDA")[number // 25 % 2], "seed": number % 25}


def nested(old: Path, count: int) -> list[str]:
    for number in range(count):
        dress(old / "a{a}_xc{xc}/seed{seed}".format(**point(number)), number)
    return ["a{a:float}_xc{xc}/seed{seed:int}"]


def flat(old: Path, count: int) -> list[str]:
    for number in range(count):
        dress(old / "a={a},xc={xc},seed={seed}".format(**point(number)), number)
    return ["a={a},xc={xc},seed={seed}"]


def numbered(old: Path, count: int) -> list[str]:
    """Numbered folders, of which every other one has its parameters in YAML."""
    for number in range(count):
        folder = old / f"run{number:04d}"
        dress(folder, number)
        said = json.dumps(point(number)) if number % 2 else "".join(f"{k}: {v}\n" for k, v in point(number).items())
        file = folder / f"params.{'json' if number % 2 else 'yaml'}"
        file.write_text(said)
        os.utime(file, (0, BEGAN + 1000 * number))
    return ["run*", "--params", "params.*"]


@pytest.mark.parametrize("count", [SMALL, pytest.param(500, marks=pytest.mark.long)])
@pytest.mark.parametrize("layout", [nested, flat, numbered])
def test_old_folders_become_runs_once(molexp, lab, here, layout, count):
    pattern = layout(here / "old", count)
    (here / "old" / "notes").mkdir()
    command = ("-w", "lab", "import", "old", *pattern, "--to", "metals/cu", *RESULTS, "--exit-code", "rc.txt")
    done = molexp(*command, "--metrics", "train.csv")
    failures = len([n for n in range(count) if n % 10 == 3])
    assert done.out == f"imported {count} runs: {count - failures} succeeded, {failures} failed\n"
    assert "old/notes is left out: its name is not of the form" in done.err
    rows = {tuple(row.parameters.values()): row for row in lab.catalog.runs("imported == true")}
    assert len(rows) == count
    for number in range(count):
        row = rows[tuple(point(number).values())]
        run = lab.run(row.path)
        folder = Path(run.to_dict()["imported_from"]["folder"])
        files = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
        times = [datetime.fromtimestamp(path.stat().st_mtime, UTC) for path in files.values()]
        began, ended = (datetime.fromisoformat(run.execution_history[0][name]) for name in ("started_at", "ended_at"))
        assert (began, ended) == (min(times), max(times))
        assert datetime.fromisoformat(row.created_at) == began
        assert run.status == ("failed" if number % 10 == 3 else "succeeded")
        expected = {} if number % 10 == 7 else {"energy": -number / 7, "scf": {"steps": number}}
        assert run.results == expected
        saved = {one.name: one.read_bytes() for one in run.assets if one.kind == "artifact"}
        assert saved == {name: path.read_bytes() for name, path in files.items()}
        assert row.metrics["loss"]["last"] == number / 3
        assert run.provenance is None
    before = sorted(path for path in Path("lab/projects").rglob("*"))
    again = molexp(*command, "--metrics", "train.csv")
    assert again.out == f"imported 0 runs\n{count} folders imported before, and left as they are\n"
    assert sorted(path for path in Path("lab/projects").rglob("*")) == before


def test_a_dry_run_shows_the_runs_and_writes_nothing(molexp, here):
    pattern = nested(here / "old", 9)
    done = molexp("import", "old", *pattern, "--to", "metals/cu", *RESULTS, "--dry-run")
    assert done.code == 0
    assert done.lines()[4].split()[:3] == ["old/a3.5_xcPBE/seed3", "import", "succeeded"]
    assert "2017-07-14 03:30:00Z" in done.lines()[4]
    assert "no file in it matches 'result.json'" in done.lines()[8]
    assert [path.name for path in here.iterdir()] == ["old"]
    found = molexp("import", "old", *pattern, "--to", "metals/cu", *RESULTS, "-n", "--json").json()
    assert [one["status"] for one in found["runs"]].count("interrupted") == 1
    assert found["runs"][0]["files"] == ["rc.txt", "result.json", "train.csv", "sub/out.log"]


@pytest.mark.parametrize(
    ("options", "status", "reason"),
    [
        ((), "succeeded", ""),
        (("--results", "nothing.json"), "interrupted", "no file in it matches 'nothing.json'"),
        (("--results", "torn.json"), "interrupted", "torn.json cannot be read: it is not valid JSON"),
        (("--exit-code", "rc.txt"), "failed", "exit code 7"),
        (("--exit-code", "state.json:code"), "succeeded", ""),
        (("--exit-code", "none.txt"), "interrupted", "no file says how it ended: none.txt"),
        (("--status", "STATUS"), "cancelled", "STATUS says aborted"),
        (("--failed-if", "*.err"), "failed", "there is job.err"),
        (("--failed-if", "*.err:Traceback", "--results", "state.json"), "failed", "job.err has 'Traceback'"),
        (("--failed-if", "*.err:Segmentation", "--results", "state.json"), "succeeded", ""),
    ],
)
def test_how_it_ended_is_told_by_files(molexp, lab, here, options, status, reason):
    old = here / "old" / "a1"
    old.mkdir(parents=True)
    (old / "torn.json").write_text('{"energy": ')
    (old / "rc.txt").write_text("7\n")
    (old / "STATUS").write_text("ABORTED\n")
    (old / "state.json").write_text('{"code": 0, "began": "2020-02-03T04:05:06Z"}')
    (old / "job.err").write_text("x" * 100 + "Traceback")
    assert molexp("-w", "lab", "import", "old", "a{a}", "--to", "m/cu", *options).code == 0
    (run,) = lab.project("m").experiment("cu").runs
    assert (run.status, str(run.execution_history[0].get("reason") or "")[: len(reason) or None]) == (status, reason)


def test_dates_and_results_are_chosen_by_options(molexp, lab, here):
    old = here / "old" / "a1"
    old.mkdir(parents=True)
    (old / "state.json").write_text('{"began": "2020-02-03T04:05:06Z", "scf": {"e": [1, 2.5]}, "x": NaN}')
    (old / "table.dat").write_text("# cycle energy note\n1 -1.5 a\n2 -1.75 b\n")
    (old / "end").touch()
    os.utime(old / "end", (0, 1.6e9))
    options = ("--started", "state.json:began", "--ended", "end", "--results", "*.json", "--results", "table.dat")
    picked = ("--result", "e=scf.e.1", "--result", "energy=energy", "--result", "x=x", "--result", "gone=no.such")
    assert molexp("-w", "lab", "import", "old", "a{cell.a:int}", "--to", "m/cu", *options, *picked).code == 0
    (run,) = lab.project("m").experiment("cu").runs
    assert run.created_at == "2020-02-03T04:05:06.000000Z"
    assert run.execution_history[0]["ended_at"] == "2020-09-13T12:26:40.000000Z"
    assert run.parameters == {"cell": {"a": 1}}
    assert (run.results["e"], run.results["energy"], run.results.keys()) == (2.5, -1.75, {"e", "energy", "x"})


def test_links_take_no_space_and_chosen_files_alone_are_kept(molexp, lab, here):
    nested(here / "old", 2)
    options = ("--link", "--files", "**/*.log", "--files", "*.txt", "--exclude", "rc.*", "--tag", "old")
    assert molexp("-w", "lab", "import", "old", "*/seed{seed:int}", "--to", "m/cu", *options).code == 0
    for run in lab.project("m").experiment("cu").runs:
        (asset,) = run.assets
        assert os.path.samefile(asset.path, here / "old" / "a3.5_xcPBE" / f"seed{run.parameters['seed']}" / asset.name)
        assert (asset.name, asset.fields.external, run.tags) == ("sub/out.log", True, {"old"})


@pytest.mark.parametrize(
    ("folder", "why"),
    [
        ("seed1", "its name is not of the form 'a{a:float}'"),
        ("a1", "no file in it matches 'params.*'"),
        ("a2", "its path says a=2.0, and the file of parameters says a=3"),
        ("a3", "params.json and params.yaml match 'params.*', and one of them has to be meant"),
        ("a4", "params.json has no mapping of parameters"),
        ("a5", "params.toml cannot be read: it is not valid TOML"),
        ("a6", "it is a workspace: molexp sync --merge takes its runs along"),
        ("a7", "s.json cannot be read: it is not valid JSON"),
    ],
)
def test_a_folder_that_does_not_fit_is_left_out_with_the_reason(molexp, here, folder, why):
    def put(name: str, text: str) -> None:
        (here / "old" / name).parent.mkdir(parents=True, exist_ok=True)
        (here / "old" / name).write_text(text)

    put("seed1/params.json", "{}")
    put("a0/params.json", '{"b": 1}')
    put("a1/other.json", "{}")
    put("a2/params.json", '{"a": 3}')
    put("a3/params.json", "{}")
    put("a3/params.yaml", "b: 2")
    put("a4/params.json", "[1]")
    put("a5/params.toml", "a = ")
    put("a6/workspace.json", "{}")
    put("a7/params.json", "{}")
    put("a7/s.json", "{")
    command = (
        "-w",
        "lab",
        "import",
        "old",
        "a{a:float}",
        "--to",
        "m/cu",
        "--params",
        "params.*",
        "--status",
        "s.json:end",
    )
    strict = molexp(*command, "--strict")
    assert (strict.code, "nothing was imported" in strict.err, (here / "lab").exists()) == (4, True, False)
    done = molexp(*command)
    assert done.out == "imported 1 run: 1 interrupted\n"
    assert f"old/{folder} is left out: {why}" in done.err


def test_odd_names_and_values_are_told_and_the_rest_is_kept(molexp, lab, here):
    os.makedirs(os.fsencode(here / "old") + b"/a\xff")
    (here / "old" / "a1").mkdir()
    (here / "old" / "a1" / "x:y?.txt").write_text("1")
    (here / "old" / "a1" / "r.json").write_text(json.dumps({"big": "x" * 70000, "": 1, "e": float("nan")}))
    (here / "old" / "a1" / "broken").symlink_to("/nowhere")
    os.mkfifo(here / "old" / "a1" / "pipe")
    (here / "old" / "a1" / "r.csv").write_text(f"cell\n{'x' * 200_000}\n")
    (here / "old" / "a1" / "r.jsonl").write_text("[" * 200_000)
    (here / "mine.txt").write_text("2")
    (here / "old" / "a1" / "link.txt").symlink_to(here / "mine.txt")
    (here / "old" / "a1" / "folder").symlink_to(here)
    command = ("-w", "lab", "import", "old", "a*", "--to", "m/cu", "--results", "r.*")
    found = molexp(*command, "--json").json()
    assert {name.rpartition("/")[2] for name in found["imported"]} == {"a1"}
    assert "the same parameters as old/a1;" in next(iter(found["failed"].values()))  # both have no parameters
    notes = "\n".join(one["why"] for one in found["notes"])
    assert len(found["notes"]) == 6
    assert "folder is left out: it is a link to a folder" in notes
    assert f"link.txt is a link to {here / 'mine.txt'}, which is copied" in notes
    (run,) = lab.project("m").experiment("cu").runs
    assert [*run.results] == ["e"]
    assert "r.csv cannot be read: field larger than" in run.to_dict()["execution_history"][-1]["reason"]
    assert {asset.name for asset in run.assets} == {"link.txt", "r.csv", "r.json", "r.jsonl", "x%3Ay%3F.txt"}


def test_a_link_in_the_place_of_a_folder_is_followed_and_named(molexp, lab, here):
    for name in ("away/try0", "old/a1/try0"):
        dress(here / name, 0)
    (here / "old" / "a2").symlink_to(here / "away")
    done = molexp("-w", "lab", "import", "old", "a{a:int}/*", "--to", "m/cu")
    (told,) = [line for line in done.err.splitlines() if "link" in line]
    assert told == f"molexp: old/a2/try0: a link leads to {here / 'away/try0'}, whose files are copied"
    assert sorted(run.parameters["a"] for run in lab.project("m").experiment("cu").runs) == [1, 2]


def test_two_folders_with_the_same_parameters_are_told_apart(molexp, lab, here):
    for name in ("a1/try0", "a1/try1"):
        dress(here / "old" / name, 0)
    command = ("-w", "lab", "import", "old", "a{a}/*", "--to", "m/cu")
    refused = "old/a1/try1 is refused: it has the same parameters as old/a1/try0"
    strict = molexp(*command, "--strict")
    assert (strict.code, refused in strict.err, "nothing was imported" in strict.err) == (4, True, True)
    planned = molexp(*command, "--dry-run")
    assert (len(planned.lines()), refused in planned.err) == (2, True)
    done = molexp(*command)
    assert (done.code, done.lines()[0], refused in done.err) == (1, "imported 1 run: 1 succeeded", True)
    assert molexp("-w", "lab", "import", "old", "a{a}/try{n:int}", "--replica", "n", "--to", "m/sure").code == 0
    assert [run.replica for run in lab.project("m").experiment("sure").runs].count(1) == 1


def test_a_folder_with_the_parameters_of_a_run_that_is_there_is_refused(molexp, lab, here):
    exp = lab.Project("m").Experiment("cu")
    with exp.derived_run({"a": 1.0}).start() as ctx:
        ctx.set_result("energy", -1.0)
    exp.derived_run({"a": 2})
    for name in ("a1", "a2"):
        dress(here / "old" / name, 0)
    done = molexp("-w", "lab", "import", "old", "a{a:int}", "--to", "m/cu", "--dry-run")
    assert [line.split()[:2] for line in done.lines()[1:]] == [["old/a2", "import"]]
    assert f"old/a1 is refused: it has the same parameters as the run {ctx.run.path};" in done.err
    os.rename(here / "old" / "a2", here / "a2")
    done = molexp("-w", "lab", "import", "old", "a{a:int}", "--to", "m/cu")
    assert (done.code, done.lines()[0], "fits" in done.err) == (1, "imported 0 runs", False)
    assert "old/a1 is refused" in done.err


def test_an_import_reads_none_of_the_runs_that_no_folder_would_be(molexp, lab, here, monkeypatch):
    exp = lab.Project("m").Experiment("cu")
    for number in (1, 2, 3, 4):
        with exp.derived_run({"a": number}).start():
            pass
    dress(here / "old" / "a1", 0)
    dress(here / "old" / "a5", 0)
    assert molexp("-w", "lab", "import", "old", "a{a:int}", "--to", "m/cu").code == 1
    read, document = [], vars(me.RunRow)["document"].fget

    def noted(row):
        read.append(row.path)
        return document(row)

    monkeypatch.setattr(me.RunRow, "document", property(noted))

    done = molexp("-w", "lab", "import", "old", "a{a:int}", "--to", "m/cu", "--dry-run")

    assert [line.split()[:2] for line in done.lines()[1:]] == [["old/a5", "there"]]
    assert set(read) == {exp.derived_run({"a": 1}).path, exp.derived_run({"a": 5}).path}


def test_a_run_that_was_given_another_id_stands_in_no_ones_way(molexp, lab, here):
    with lab.Project("m").Experiment("cu").Run({"a": 1}, id="mine").start():
        pass
    dress(here / "old" / "a1", 0)
    done = molexp("-w", "lab", "import", "old", "a{a:int}", "--to", "m/cu")
    assert (done.code, done.lines()[0]) == (0, "imported 1 run: 1 succeeded"), done.err


def test_a_parameter_that_no_run_can_have_leaves_its_folder_out(molexp, lab, here):
    dress(here / "old" / "one", 0)
    (here / "old" / "one" / "params.json").write_text('{"a": NaN}')
    command = ("-w", "lab", "import", "old", "*", "--to", "m/cu", "--params", "params.json")
    done = molexp(*command)
    assert done.code == 3
    assert "old/one is left out: parameters.a (float) cannot be recorded" in done.err


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("a{a:complex}", "--to", "m/cu"), 2, "there are int, float and str"),
        (("a{a}_{a}", "--to", "m/cu"), 2, "'a' twice"),
        (("a{a", "--to", "m/cu"), 2, "do not close"),
        (("../x", "--to", "m/cu"), 2, "no pattern of folders"),
        (("a{a}", "--to", "cu"), 2, "PROJECT/EXPERIMENT"),
        (("a{a}", "--to", "m/cu", "--results", "../*.json"), 2, "no pattern of files"),
        (("a{a}", "--to", "m/cu", "--result", "energy"), 2, "NAME=KEY"),
        (("b{b}", "--to", "m/cu"), 3, "no folder in 'old' fits 'b{b}'"),
    ],
)
def test_wrong_input_is_refused_before_anything_is_written(molexp, here, arguments, code, said):
    dress(here / "old" / "a1", 0)
    done = molexp("-w", "lab", "import", "old", *arguments)
    assert (done.code, said in done.err.replace("\n", " ")) == (code, True), done.err
    assert not (here / "lab").exists()


def test_a_killed_import_goes_on(molexp, lab, here):
    pattern = nested(here / "old", SMALL)
    command = ("-w", "lab", "import", "old", *pattern, "--to", "metals/cu", *RESULTS)
    process = spawn(here, *command)
    eventually(lambda: any(Path("lab/projects").rglob("1.end.json")))
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert molexp(*command).code == 0
    runs = me.Workspace.load("lab").project("metals").experiment("cu").runs
    assert len(runs) == SMALL
    for run in runs:
        folder = Path(run.to_dict()["imported_from"]["folder"])
        assert run.asset("sub/out.log").read_bytes() == (folder / "sub/out.log").read_bytes()
        assert run.status == ("succeeded" if run.results else "interrupted")
