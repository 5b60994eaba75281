"""me.track_command: any command as a run. How it looks to users is in tests/cli."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import molexp as me
from tests.internals import check_payload_name, fold_name, name_of_output

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="commands of POSIX")


def artifacts(done):
    return {asset.name: asset.read_bytes() for asset in done.artifacts}


def test_a_command_is_recorded_on_every_storage(exp, here):
    done = me.track_command(
        exp, ["sh", "-c", "echo out; echo err >&2; echo x > a.xyz"], parameters={"b": 1}, tags=["t"], outputs=["*.xyz"]
    )
    assert (done.exit_code, done.problem, done.attempt) == (0, "", 1)
    assert artifacts(done) == {"a.xyz": b"x\n"}
    assert done.run.parameters == {"a": 3.6, "b": 1}
    assert done.run.tags == {"t"}
    assert done.run.status == "succeeded"
    assert (done.run.logs["stdout"].text(), done.run.logs["stderr"].text()) == ("out\n", "err\n")


def test_a_failure_comes_back_and_is_on_record(exp, here):
    done = me.track_command(exp, ["sh", "-c", "echo why >&2; exit 4"], id="one")
    assert done.exit_code == 4
    assert done.problem == "The command \"sh -c 'echo why >&2; exit 4'\" ended with exit code 4.\nwhy"
    assert done.run.status == "failed"
    assert done.run.execution_history[0]["error"]["message"] == done.problem


def test_the_end_of_much_that_it_said_is_told(exp, here):
    done = me.track_command(exp, ["sh", "-c", "seq 1000000 >&2; exit 1"])
    assert done.problem.splitlines()[1:] == [str(number) for number in range(999_981, 1_000_001)]


def test_it_runs_where_it_is_told_with_the_variables_that_it_is_given(exp, here):
    folder = here / "elsewhere"
    folder.mkdir()
    done = me.track_command(exp, ["sh", "-c", 'echo "$WORD" > a.txt'], outputs=["a.txt"], cwd=folder, env={"WORD": "w"})
    assert artifacts(done) == {"a.txt": b"w\n"}
    assert done.run.execution_history[0]["commands"][0]["cwd"] == str(folder)
    assert not Path("a.txt").exists()


def test_whoever_asks_hears_of_the_run_before_the_command_starts(exp, here):
    seen = []
    me.track_command(
        exp, ["touch", "ran"], on_start=lambda run: seen.append((run.path, Path("ran").exists(), run.status))
    )
    assert [one[1:] for one in seen] == [(False, "pending")]


SEGMENTS = st.one_of(
    st.sampled_from(
        ["com1.dat", "NUL", ".tmp-x", "a.", "a ", "a", "A", "ä", "n" * 255, "ü" * 127, "\udcff", "x:y", "%63om1.dat"]
    ),
    st.text(min_size=1, max_size=255).filter(lambda name: not {"/", "\0"} & set(name) and name not in (".", "..")),
)


@pytest.mark.parametrize(
    ("command", "options"),
    [
        ([], {}),
        ([""], {}),
        (["true"], {"outputs": ["/x"]}),
        (["true"], {"outputs": ["a/../b"]}),
        (["true"], {"timeout": 0}),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_made(exp, here, command, options):
    with pytest.raises(ValueError, match=r"command|outside|timeout"):
        me.track_command(exp, command, **options)
    assert len(exp.runs) == 0


def test_a_missing_folder_is_a_failed_run(exp, here):
    done = me.track_command(exp, ["true"], cwd=here / "missing")
    assert done.exit_code == 127
    assert done.run.status == "failed"


@pytest.mark.parametrize(
    ("texts", "parameters"),
    [
        ([], {}),
        (
            ["a=3.6", "b=text here", "c=", "d=1e-3", "e=010"],
            {"a": 3.6, "b": "text here", "c": None, "d": 1e-3, "e": "010"},
        ),
        (["a.b.c=1", "a.b.d={x: [true]}"], {"a": {"b": {"c": 1, "d": {"x": [True]}}}}),
        (["a=b=c"], {"a": "b=c"}),
        ([" a = 1 "], {"a": 1}),
    ],
)
def test_parameters_are_read_as_people_type_them(texts, parameters):
    assert me.parse_parameters(texts) == parameters


def test_for_queries_dotted_names_stay_as_they_are():
    assert me.parse_parameters(["a.b=1", "c=x"], nested=False) == {"a.b": 1, "c": "x"}


@pytest.mark.parametrize(
    "texts", [["a"], ["=1"], [".a=1"], ["a..b=1"], ["a=1", "a=1"], ["a=1", "a.b=2"], ["a.b=2", "a=1"], ["a=.inf"]]
)
def test_what_sets_no_parameter_is_refused(texts):
    with pytest.raises(ValueError, match=r"sets no parameter|set twice|cannot be"):
        me.parse_parameters(texts)


@given(st.sets(st.lists(SEGMENTS, min_size=1, max_size=6).map("/".join), min_size=1, max_size=5))
@example({"\U0002f800"})  # NFC spells it otherwise
def test_names_of_output_files_can_be_those_of_artifacts_and_differ(paths):
    taken: set[str] = set()
    names = [name_of_output(path, taken) for path in sorted(paths)]
    assert [check_payload_name(name) for name in names] == names
    assert len({fold_name(name) for name in names}) == len(paths)
