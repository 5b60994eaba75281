"""molexp show: all that is known of one run."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from molexp.workflow import WorkflowBuilder
from tests.cli.helpers import DEADLINE


def test_it_shows_what_people_ask_for(finished, molexp):
    done = molexp("show", "metals/cu/copper")
    assert done.code == 0
    text = done.out
    assert text.startswith("metals/cu/copper\nstatus     failed\n")
    assert "error      ZeroDivisionError: division by zero\n" in text
    for words in (
        'cell  {"n":2}',
        "a     3.6",
        "energy  -3.72",
        "gap     nan",
        "tags       odd",
        "look again",
    ):
        assert words in text
    trace = next(line.split(maxsplit=1)[1] for line in done.lines() if line.startswith("traceback"))
    assert "ZeroDivisionError" in Path(trace).read_text()
    (attempt,) = (line for line in done.lines() if line.startswith("1 "))
    assert "failed" in attempt
    assert "exception  ZeroDivisionError: division by zero" in attempt
    for name in ("volumes.json", "relax", "error-trace"):
        assert any(line.startswith(name) for line in done.lines()), name


def test_a_name_is_on_one_line(in_lab, molexp):
    with in_lab.Project("p").Experiment("e").Run({"a\n  b": 1}, id="one").start() as ctx:
        ctx.set_result("c\td", 2)
    assert "\n  a\\n  b  1\n" in (text := molexp("show", "one").out)
    assert "\n  c\\td  2\n" in text


def test_a_foreign_submission_of_an_attempt_is_no_hindrance(in_lab, molexp):
    with in_lab.Project("p").Experiment("e").Run(id="one").start():
        pass
    for file in Path("lab/projects/p/experiments/e/runs/one/executions").glob("1.*"):
        file.write_text(file.read_text().replace('"attempt":1', '"attempt":1,"submission":"x"'))
    assert in_lab.run("p/e/one").execution_history[-1]["submission"] == "x"
    assert molexp("show", "one").code == 0


def test_of_an_attempt_that_was_found_dead_it_shows_when_it_was_last_seen(in_lab, molexp):
    code = "import os, sys, molexp as me; me.Workspace(sys.argv[1]).Project('p').Experiment('e').Run(id='one').start(); os._exit(1)"
    subprocess.run([sys.executable, "-c", code, in_lab.url], check=False, timeout=DEADLINE)

    (attempt,) = (line for line in molexp("show", "one").lines() if line.startswith("1 "))
    assert "  last seen 20" in attempt
    assert "  owner_died  process " in attempt


def test_json_has_the_same_and_more(finished, molexp):
    found = molexp("show", "copper", "--json").json()
    assert (found["path"], found["status"], found["cause"]) == ("metals/cu/copper", "failed", "exception")
    assert found["parameters"] == {"a": 3.6, "cell": {"n": 2}}
    assert found["results"] == {"energy": -3.72, "gap": {"$float": "nan"}}
    assert found["tags"] == ["odd"]
    assert found["notes"][0]["text"] == "look again"
    assert found["error"]["type"] == "ZeroDivisionError"
    assert "ZeroDivisionError" in Path(found["error"]["traceback"]).read_text()
    by_name = {asset["name"]: asset for asset in found["assets"]}
    assert by_name["volumes.json"]["kind"] == "artifact"
    assert json.loads(Path(by_name["volumes.json"]["location"]).read_text()) == [1, 2]
    assert found["execution_history"][0]["attempt"] == 1
    assert found["workspace"] == finished.experiment.project.workspace.url


@pytest.mark.parametrize("name", ["metals/cu/copper", "copper", "cop", "metals/cu/cop", "@latest", "metals/cu/@latest"])
def test_a_run_goes_by_path_by_the_beginning_of_its_id_or_as_the_latest(finished, molexp, name):
    assert molexp("show", name, "--json").json()["id"] == "copper"


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("metals/cu/coper", "Did you mean 'metals/cu/copper'"),
        ("metals/zn/copper", "There is no experiment 'zn'"),
        ("gold", "There is no run 'gold'"),
        ("", "Give its path"),
    ],
)
def test_one_that_is_not_there_is_an_error_with_the_nearest(finished, molexp, name, words):
    done = molexp("show", name)
    assert (done.code, done.out) == (3, "")
    assert words in done.err


def test_a_beginning_that_several_have_names_them(finished, molexp):
    finished.experiment.Run(id="copper-2")
    done = molexp("show", "cop")
    assert done.code == 3
    assert "metals/cu/copper, metals/cu/copper-2" in done.err


def test_one_that_never_ran_is_short(finished, molexp):
    done = molexp("show", "silver")
    assert done.code == 0
    assert "status     pending" in done.out
    assert "attempts" not in done.out
    assert molexp("show", "silver", "--json").json()["error"] is None


def test_a_deleted_one_is_not_there(finished, molexp):
    finished.delete()
    done = molexp("show", "metals/cu/copper")
    assert done.code == 3
    assert "deleted" in done.err


def test_an_error_that_a_later_attempt_made_good_is_history(finished, molexp):
    with finished.start():
        pass
    found = molexp("show", "copper", "--json").json()
    assert found["error"] is None
    assert [one["status"] for one in found["execution_history"]] == ["failed", "succeeded"]
    assert "\nerror  " not in molexp("show", "copper").out


def test_a_path_in_the_workspace_and_an_asset_come_as_json_has_them(in_lab, molexp):
    with in_lab.Project("p").Experiment("e").Run(id="one").start() as ctx:
        asset = ctx.artifact.save("a.txt", "x")
        assert asset is not None
        ctx.set_result("asset", asset)
        ctx.set_result("path", asset.path)
        ctx.set_result("big", 2**80)
    results = molexp("show", "one", "--json").json()["results"]
    assert results["asset"] == {"$asset": asset.id}
    assert Path(results["path"]) == asset.path
    assert results["big"] == 2**80


def test_a_run_whose_definition_is_gone_is_said_to_be_damaged(finished, molexp):
    for found in Path("lab/projects/metals/experiments/ag/runs/silver").glob("*.json"):
        found.write_text("{")
    done = molexp("show", "metals/ag/silver")
    assert done.code == 4
    assert "cannot be read" in done.err


SCRIPT = """
import json
import molexp as me

def load(text):
    return json.loads(text)

with me.Workspace("lab").Project("p").Experiment("e").Run(id="fails").start():
    load("{")
"""


def test_a_failure_ends_with_your_own_frames_and_how_to_go_on(in_lab, here, molexp):
    (here / "mine.py").write_text(SCRIPT)
    subprocess.run([sys.executable, "mine.py"], cwd=here, check=False, capture_output=True, timeout=DEADLINE)
    done = molexp("show", "fails")
    *_, trace = done.out.partition("traceback\nTraceback (most recent call last):\n")
    assert [line.strip() for line in trace.splitlines() if "^" not in line] == [
        f'File "{here / "mine.py"}", line 9, in <module>',
        'load("{")',
        f'File "{here / "mine.py"}", line 6, in load',
        "return json.loads(text)",
        "... 3 frames of MolExp or libraries",
        "json.decoder.JSONDecodeError: Expecting property name enclosed in double quotes: line 1 column 2 (char 1)",
    ]
    assert done.err == (
        "hint: To try again, call the script that started it, or start it in Python: ws.run('p/e/fails').start()\n"
    )
    assert molexp("show", "fails", "--json").json()["error"]["frames"].endswith(trace.strip())


def test_a_run_is_shown_though_its_experiment_cannot_be_read(in_lab, molexp):
    exp = in_lab.Project("p").Experiment("broken")
    wf = WorkflowBuilder(name="w")

    @wf.task
    def divide(ctx):
        return 1 / 0

    spec = wf.build()
    spec.bind_to(exp)
    spec.execute_sync(run=exp.Run(id="one"))
    next(Path("lab").rglob("broken/experiment.json")).write_text("{")
    assert (
        molexp("show", "p/broken/one").err
        == "hint: To resume it: molexp execute p/broken/one --script SCRIPT --resume\n"
    )


def test_a_command_that_failed_shows_how_to_try_it_again(in_lab, molexp):
    molexp("exec", "p/e", "--id", "one", "--", "sh", "-c", "exit 3")
    assert molexp("show", "one").err == "hint: To try again: molexp exec p/e --id one -- sh -c 'exit 3'\n"
    molexp("exec", "p/e", "--id", "two", "--", "true")
    assert molexp("show", "two").err == ""


def test_it_says_how_long_the_run_took_and_how_long_ago_it_was(finished, molexp):
    text = molexp("show", "copper").out
    assert re.search(r"\nduration   \d+\.\d s\n", text)
    assert "Z, now\n" in text
