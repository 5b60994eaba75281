"""molexp exec: any command as a run, with its arguments, exit code, output and files."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import molexp as me
from tests.cli.helpers import PROGRAM, program, spawn

PRINTS = "echo out; echo err >&2"


@pytest.fixture
def execute(here):
    """Run ``molexp exec`` in a process of its own, in the workspace ``./lab``."""

    def execute(*arguments, **options):
        return program(here, "-w", "lab", "exec", *arguments, **options)

    return execute


def the_run(folder="lab"):
    (row,) = me.Workspace.load(folder).catalog.runs()
    return me.Workspace.load(folder).run(row.path)


def test_it_makes_what_is_missing_and_records_the_command(execute, here):
    done = execute("metals/cu", "--", "sh", "-c", PRINTS)
    assert done.code == 0
    assert done.out == "out\n"
    run = the_run()
    assert done.err.splitlines() == [f"molexp: run {run.path}", "err", f"molexp: {run.path} succeeded"]
    assert run.path.startswith("metals/cu/2")
    assert (run.status, run.logs["stdout"].text(), run.logs["stderr"].text()) == ("succeeded", "out\n", "err\n")
    (command,) = run.execution_history[0]["commands"]
    assert (command["command"], command["exit_code"], command["timed_out"]) == (["sh", "-c", PRINTS], 0, False)
    assert (command["log"], command["cwd"]) == ("stdout", str(here))
    assert command["started_at"] <= command["ended_at"]


def test_parameters_and_tags_are_the_runs(execute):
    settings = [
        "a=3.6",
        "tol=1e-3",
        "cell.n=2",
        "cell.kind=fcc",
        "on=true",
        "list=[1, 2]",
        "word='1'",
        "none=null",
        "e=",
    ]
    arguments = [word for setting in settings for word in ("--set", setting)]
    assert execute("metals/cu", *arguments, "--tag", "one", "-t", "two", "--", "true").code == 0
    run = the_run()
    assert run.parameters == {
        "a": 3.6, "tol": 1e-3, "cell": {"n": 2, "kind": "fcc"}, "on": True, "list": [1, 2], "word": "1", "none": None,
        "e": None,
    }  # fmt: skip
    assert run.tags == {"one", "two"}


def test_without_an_id_each_is_a_new_run_and_with_one_another_attempt(execute):
    execute("metals/cu", "--", "true")
    execute("metals/cu", "--", "true")
    assert len(me.Workspace.load("lab").catalog.runs()) == 2
    execute("metals/cu", "--id", "mine", "--set", "a=1", "--", "false")
    assert execute("metals/cu", "--id", "mine", "--set", "a=1.0", "--", "true").code == 0
    run = me.Workspace.load("lab").run("metals/cu/mine")
    assert [one["status"] for one in run.execution_history] == ["failed", "succeeded"]
    differs = execute("metals/cu", "--id", "mine", "--set", "a=2", "--", "true")
    assert differs.code == 125
    assert "exists with a different definition" in differs.err
    assert len(run.execution_history) == 2


def test_names_become_ids_and_a_definition_that_is_there_is_used(execute, here):
    me.Workspace("lab").Project("Noble Metals").Experiment("cu", params={"a": 3.6})
    assert execute("Noble Metals/cu", "--set", "b=1", "--", "true").code == 0
    assert the_run().parameters == {"a": 3.6, "b": 1}
    assert the_run().path.startswith("noble-metals/cu/")


# ---------------------------------------------------------------------------------------------------------- how it ends


@pytest.mark.parametrize(("code", "status"), [(0, "succeeded"), (1, "failed"), (3, "failed"), (255, "failed")])
def test_the_exit_code_is_the_commands(execute, code, status):
    assert execute("p/e", "--", "sh", "-c", f"exit {code}").code == code
    run = the_run()
    assert run.status == status
    assert run.execution_history[0]["commands"][0]["exit_code"] == code


def test_a_failure_says_so_with_the_last_that_the_command_said(execute):
    done = execute("p/e", "--", "sh", "-c", "echo broken >&2; exit 3")
    assert "failed: The command \"sh -c 'echo broken >&2; exit 3'\" ended with exit code 3." in done.err
    assert done.err.count("broken\n") == 1
    assert the_run().execution_history[0]["error"]["message"].endswith("ended with exit code 3.\nbroken")


def test_a_signal_that_ends_the_command_is_128_and_its_number(execute):
    done = execute("p/e", "--", "sh", "-c", "kill -9 $$")
    assert done.code == 137
    assert "was ended by SIGKILL" in done.err
    assert the_run().status == "failed"


@pytest.mark.parametrize(
    ("make", "command", "code", "words"),
    [
        (None, "no-such-program", 127, "There is no program 'no-such-program' on the PATH."),
        (None, "./no-such-file", 127, "There is no file './no-such-file' to execute."),
        (("#!/no/such/interpreter\n", 0o755), "./script", 127, "its first line names (#!)"),
        (("echo\n", 0o644), "./script", 126, "'./script' cannot be executed: Permission denied."),
        (("\x00\x01", 0o755), "./script", 126, "'./script' cannot be executed: Exec format error."),
    ],
)
def test_a_command_that_cannot_be_started_is_a_failed_run_and_a_sentence(execute, make, command, code, words):
    if make is not None:
        Path("script").write_text(make[0])
        Path("script").chmod(make[1])
    done = execute("p/e", "--", command, "argument")
    assert (done.code, done.out) == (code, "")
    assert words in done.err
    assert "Traceback" not in done.err
    run = the_run()
    assert run.status == "failed"
    assert words in run.execution_history[0]["error"]["message"]
    assert run.execution_history[0]["commands"][0]["exit_code"] == code


def test_one_that_takes_too_long_is_killed_with_its_children(here):
    for number, limit in enumerate(("0.3", "3", "30")):  # the longer ones where a shell takes long to start
        folder = f"lab{number}"
        script = "sleep 3000 & echo $! > pid; wait"
        done = program(here, "-w", folder, "exec", "p/e", "--timeout", limit, "--", "sh", "-c", script)
        assert done.code == 124
        assert f"ran longer than {limit} s and was killed" in done.err
        if Path("pid").exists() and Path("pid").read_text():
            break
    state = Path("/proc", Path("pid").read_text().strip(), "stat")
    assert not state.exists() or state.read_text().rpartition(")")[2].split()[0] == "Z"
    assert the_run(folder).execution_history[0]["commands"][0]["timed_out"] is True


# --------------------------------------------------------------------------------------------------------------- output


def test_files_that_match_and_are_new_or_changed_are_saved(execute, here):
    Path("old.xyz").write_text("old")
    Path("changed.xyz").write_text("before")
    Path("out").mkdir()
    script = "echo after > changed.xyz; echo new > new.xyz; echo log > out/a.log; touch other.txt; mkdir folder.xyz"
    done = execute("p/e", "-o", "*.xyz", "--output", "**/*.log", "--", "sh", "-c", script)
    assert done.code == 0
    assert "saved changed.xyz, new.xyz, out/a.log" in done.err
    run = the_run()
    saved = {asset.name: asset for asset in run.assets if asset.kind == "artifact"}
    assert set(saved) == {"changed.xyz", "new.xyz", "out/a.log"}
    assert saved["changed.xyz"].read_bytes() == b"after\n"
    assert Path("new.xyz").read_text() == "new\n"


def test_files_of_a_command_that_failed_are_saved_too(execute):
    assert execute("p/e", "-o", "*.out", "--", "sh", "-c", "echo part > a.out; exit 1").code == 1
    assert the_run().asset("a.out").read_bytes() == b"part\n"


def test_the_workspace_itself_is_no_output(execute):
    assert execute("p/e", "-o", "**/*", "--", "sh", "-c", "echo x > a").code == 0
    assert [asset.name for asset in the_run().assets if asset.kind == "artifact"] == ["a"]


def test_what_was_done_is_left_until_the_command_its_parameters_or_inputs_change(execute, here):
    (here / "in").mkdir()
    (here / "in" / "mol.xyz").write_text("H")

    def again(*options, word="a"):
        given = ["--skip-done", "--json", "--input", "in", *options]
        done = execute("metals/cu", *given, "--", "sh", "-c", f"echo {word} >> log; mkdir -p traj/x; cp log traj/x/1")
        assert done.code == 0, done.err
        return done.json()

    first = again("--output", "traj/")
    assert (first["status"], first["attempt"], first["artifacts"]) == ("succeeded", 1, ["traj/x/1"])
    assert again() == {**first, "skipped": True, "artifacts": []}
    assert me.Workspace.load("lab").run(first["path"]).execution_history[0]["commands"][0]["inputs"].keys() == {"in"}
    paths = [first["path"], again("--set", "a=1")["path"], again(word="b")["path"]]
    (here / "in" / "mol.xyz").write_text("He")
    paths.append(again()["path"])
    assert len(set(paths)) == 4
    assert (here / "log").read_text().split() == ["a", "a", "b", "a"]
    failed = execute("metals/cu", "--skip-done", "--json", "--", "sh", "-c", "echo no; exit 3")
    assert (failed.code, failed.json()["exit_code"], "no\n" in failed.err) == (3, 3, True)
    assert execute("metals/cu", "--skip-done", "--json", "--", "sh", "-c", "echo no; exit 3").json()["attempt"] == 2
    missing = execute("metals/cu", "--skip-done", "--input", "nothing", "--", "true")
    assert (missing.code, "nothing" in missing.err) == (125, True)


def test_in_the_folder_of_the_workspace_only_its_own_files_are_left_out(in_lab, here):
    done = program(here / "lab", "exec", "p/e", "-o", "**/*", "--", "sh", "-c", "echo x > a; mkdir b; echo y > b/c")
    assert done.code == 0
    assert [asset.name for asset in the_run().assets if asset.kind == "artifact"] == ["a", "b/c"]


def test_names_that_some_system_cannot_store_are_quoted(execute):
    script = "import os; [open(name, 'w').write(str(name)) for name in (b'a:b.x', b'\\xff.x', b'A.x', b'a.x', 'ü.x', b'end..x')]"
    assert execute("p/e", "-o", "*.x", "--", sys.executable, "-c", script).code == 0
    names = sorted(asset.name for asset in the_run().assets if asset.kind == "artifact")
    assert names == sorted(["%FF.x", "A.x", "a%3Ab.x", "a~2.x", "end..x", "ü.x"])


def test_every_name_that_a_file_can_have_becomes_one_that_an_artifact_can_have(execute):
    long = "n" * 240 + ".dat"
    deep = "/".join(["d" * 150] * 3)
    script = (
        f"mkdir -p {deep}; for name in com1.dat NUL.dat .tmp-a.dat {long} {deep}/rdf.dat; do echo $name > $name; done"
    )
    done = execute("p/e", "--output", "**/*.dat", "--", "sh", "-c", script)
    assert done.code == 0
    assert the_run().status == "succeeded"
    saved = {asset.read_bytes().decode().strip(): asset.name for asset in the_run().assets if asset.kind == "artifact"}
    assert saved["com1.dat"] == "%63om1.dat"
    assert saved["NUL.dat"] == "%4EUL.dat"
    assert saved[".tmp-a.dat"] == "%2Etmp-a.dat"
    assert (saved[long][:3], saved[long][-4:]) == ("nnn", ".dat")
    assert saved[f"{deep}/rdf.dat"].endswith("/rdf.dat")


def test_a_file_that_cannot_be_saved_costs_only_itself(execute):
    """A dot at the end is dropped, as Windows does: one of the two would be a file, and a folder."""
    script = "mkdir x; echo 1 > x/y; echo 2 > x.; echo 3 > z; exit 3"
    done = execute("p/e", "--output", "**/*", "--", "sh", "-c", script)
    assert done.code == 3, "the command's"
    assert done.err.count("warning: 1 of the output files could not be saved") == 1
    run = the_run()
    assert run.execution_history[0]["reason"].startswith("The command")
    assert len([asset for asset in run.assets if asset.kind == "artifact"]) == 2


def test_many_saved_files_are_told_in_few_words(execute):
    script = "i=0; while [ $i -lt 300 ]; do echo $i > $i.dat; i=$((i+1)); done"
    done = execute("p/e", "--output", "*.dat", "--", "sh", "-c", script)
    assert "and 290 more" in done.err
    assert len(done.err) < 1000
    assert len([asset for asset in the_run().assets if asset.kind == "artifact"]) == 300


@pytest.mark.parametrize("pattern", ["/tmp/*.xyz", "../*.xyz", "a/../../b", ""])
def test_a_pattern_that_leads_elsewhere_is_refused_before_anything_is_made(execute, pattern):
    done = execute("p/e", "--output", pattern, "--", "touch", "ran")
    assert done.code == 2
    assert "pattern" in done.err
    assert not Path("ran").exists()
    assert not me.Workspace("lab").catalog.runs()


def test_output_that_is_no_text_is_kept_and_shown_as_it_is(execute):
    done = execute("p/e", "--", "printf", r"\377\376\n")
    assert done.out.encode("utf-8", "surrogateescape") == b"\xff\xfe\n"
    assert the_run().asset("stdout").read_bytes() == b"\xff\xfe\n"


def test_arguments_that_are_no_text_reach_the_command(execute):
    done = execute("p/e", "--", "printf", "%s", b"\xff")
    assert done.code == 0
    assert done.out.encode("utf-8", "surrogateescape") == b"\xff"
    assert the_run().status == "succeeded"


def test_much_output_is_kept_whole_and_shown_whole(execute, here):
    script = "import sys; [sys.stdout.buffer.write(b'x' * 99999 + b'\\n') for _ in range(500)]"
    done = subprocess.run(
        [PROGRAM, "-w", "lab", "exec", "p/e", "--", sys.executable, "-c", script],
        cwd=here, capture_output=True, check=True,
    )  # fmt: skip
    assert len(done.stdout) == 50_000_000
    assert the_run().asset("stdout").size == 50_000_000


def test_nobody_who_reads_does_not_end_the_command(execute, here):
    script = "import sys; [print('x' * 99) for _ in range(100_000)]; open('finished', 'w')"
    command = ["-w", "lab", "exec", "p/e", "--", sys.executable, "-c", script]
    running = spawn(here, *command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    with running:
        running.stdout.readline()
        running.stdout.close()
        assert running.stderr.read().splitlines()[-1].endswith(b"succeeded")
    assert Path("finished").exists()
    assert the_run().asset("stdout").size == 10_000_000


def test_the_command_reads_what_we_are_given(execute):
    assert execute("p/e", "--", "cat", stdin=b"typed\n").out == "typed\n"


def test_the_commands_own_options_are_its_own(execute):
    done = execute("p/e", "--", "echo", "-w", "x", "--set", "y", "--", "--help", "-h")
    assert done.out == "-w x --set y -- --help -h\n"


# ------------------------------------------------------------------------------------------------------------ wrong use


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["p/e"], "Missing argument"),
        (["p/e", "--"], "Missing argument"),
        (["p/e", "true"], "add '--' before the command"),
        (["p/e", "xtb", "--opt"], "Is '--' missing before the command?"),
        (["p", "--", "true"], "'p' is not of the form PROJECT/EXPERIMENT"),
        (["p/e/r", "--", "true"], "'p/e/r' is not of the form"),
        (["/e", "--", "true"], "'/e' is not of the form"),
        (["p/e", "--set", "a", "--", "true"], "for --set: 'a' sets no parameter: write NAME=VALUE"),
        (["p/e", "--set", "a=[1", "--", "true"], "for --set: The parameter 'a=[1' has a value that cannot be used"),
        (["p/e", "--set", "=1", "--", "true"], "'=1' sets no parameter"),
        (["p/e", "--set", "a=.nan", "--", "true"], "cannot be"),
        (["p/e", "--set", "a=1", "--set", "a=2", "--", "true"], "'a' is set twice"),
        (["p/e", "--set", "a=1", "--set", "a.b=2", "--", "true"], "'a.b' is set twice, or as a whole and in part"),
        (["p/e", "--id", "../x", "--", "true"], "'../x' cannot be used as run id"),
        (["p/e", "--timeout", "0", "--", "true"], "leaves no time"),
        (["p/e", "--timeout", "soon", "--", "true"], "soon"),
        (["p/e", "--tag", " ", "--", "true"], "A tag is empty"),
        (["p/e", "--", ""], "There is no command to run"),
    ],
)
def test_wrong_usage_is_a_sentence_and_starts_nothing(in_lab, molexp, arguments, words):
    done = molexp("exec", *arguments)
    assert (done.code, done.out) == (2, ""), done
    assert words in done.err
    assert not in_lab.catalog.runs(status="succeeded")


def test_it_needs_a_workspace_and_makes_one_only_where_it_is_told(here):
    done = program(here, "exec", "p/e", "--", "touch", "ran")
    assert done.code == 125
    assert "-w URL" in done.err
    assert not list(here.iterdir())


def test_a_run_that_is_alive_is_left_alone(in_lab, molexp):
    run = in_lab.Project("p").Experiment("e").Run(id="busy")
    with run.start():
        done = molexp("exec", "p/e", "--id", "busy", "--", "touch", "ran")
        assert done.code == 125
        assert "is being executed by process" in done.err
    assert not Path("ran").exists()
    assert len(run.execution_history) == 1


@pytest.mark.skipif(shutil.which("unshare") is None, reason="there is no unshare(1) to mount something read-only with")
def test_on_a_read_only_file_system_it_says_so_and_reading_works(finished, here):
    mount = 'mount --bind lab lab && mount -o remount,bind,ro lab && exec "$@"'
    prefix = ["unshare", "--mount", "sh", "-c", mount, "sh", str(PROGRAM), "-w", "lab"]
    probe = subprocess.run(
        [*prefix[:4], mount.replace('exec "$@"', "true")], cwd=here, capture_output=True, check=False
    )
    if probe.returncode:
        pytest.skip(f"nothing can be mounted here: {probe.stderr.decode()}")

    def inside(*arguments):
        return subprocess.run([*prefix, *arguments], cwd=here, capture_output=True, text=True, check=False)

    done = inside("exec", "p/e", "--", "touch", "ran")
    assert done.returncode == 125
    assert "ead-only" in done.stderr
    assert "Traceback" not in done.stderr
    assert not Path("ran").exists()
    assert json.loads(inside("show", "copper", "--json").stdout)["status"] == "failed"
    assert inside("logs", "copper").stdout == "step 1\n"
    assert len(json.loads(inside("runs", "list", "--json").stdout)) == 2
