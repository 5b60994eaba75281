"""The code on record is that which was executed, told by the process that did it."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

import molexp as me
from molexp.workflow import WorkflowBuilder
from tests.workflow.runs.editing import Script

EDITED = """
VALUES = [1]
wf = WorkflowBuilder("w")

@wf.task
def a(ctx):
    did("a")
    path = Path(__file__)
    if "EDIT" in os.environ:
        path.write_text(path.read_text().replace(*os.environ["EDIT"].split("|")))

@wf.task(depends_on=[a], executor=EXECUTOR)
def b(ctx):
    did("b")
    return 1, VALUES
"""


@pytest.fixture
def script(tmp_path):
    return Script(tmp_path, EDITED.replace("EXECUTOR", '"process"'))


def test_a_worker_tells_which_code_it_executed(script):
    first = script.execute()
    assert first["outputs"]["b"] == "(1, [1])"
    again = script.execute()
    assert again["reasons"] == {"a": "unchanged", "b": "unchanged"}, "both processes find one hash"


@pytest.mark.parametrize("edit", ["return 1,|return 2,", "VALUES = [1]|VALUES = [2]"])
def test_what_a_worker_executed_of_a_file_that_was_edited_is_on_record(script, edit):
    text = script.path.read_text()
    first = script.execute(EDIT=edit)
    assert first["outputs"]["b"] in ("(2, [1])", "(1, [2])"), "the worker has imported the edited file"
    script.path.write_text(text)
    again = script.execute()
    assert again["outputs"]["b"] == "(1, [1])"
    assert again["reasons"]["b"] == "its code changed"
    assert script.execute()["reasons"]["b"] == "unchanged"


@pytest.mark.parametrize("edit", ["return 1,|return 2,", "VALUES = [1]|VALUES = [2]"])
def test_what_this_process_executed_of_a_file_that_was_edited_is_what_it_had_imported(tmp_path, edit):
    script = Script(tmp_path, EDITED.replace("EXECUTOR", '"inline"'))
    assert script.execute(EDIT=edit)["outputs"]["b"] == "(1, [1])"
    again = script.execute()
    assert again["outputs"]["b"] in ("(2, [1])", "(1, [2])")
    assert again["reasons"]["b"] == "its code changed"


@pytest.mark.parametrize("when", ["after the workflow was made", "before"])
def test_a_file_that_changes_between_its_import_and_the_first_execution_is_not_believed(tmp_path, monkeypatch, when):
    """Its text is not what was imported, and no function in it says so."""
    run = me.Workspace(tmp_path / "lab").Project("p").Experiment("e").Run(id="one")
    helper = tmp_path / "helper_that_changes.py"
    helper.write_text("import os\nPLACE = os.environ.get('NOWHERE', 'old')\n")
    os.utime(helper, (1, 1))
    (tmp_path / "flow_that_changes.py").write_text(
        "import helper_that_changes\ndef task(ctx): return helper_that_changes.PLACE\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    import flow_that_changes  # type: ignore[import-not-found]

    if when == "before":
        helper.write_text("import os\nPLACE = os.environ.get('NOWHERE', 'new')\n")
    spec = WorkflowBuilder("w").add(flow_that_changes.task, name="t").build()
    if when != "before":
        helper.write_text("import os\nPLACE = os.environ.get('NOWHERE', 'new')\n")
    try:
        spec.execute_sync(run=run, check=True)
        reason = spec.execute_sync(run=run, resume=True).tasks["t"].reason
        assert "nobody can tell whether it changed: helper_that_changes.py was changed after it was imported" in reason
        assert Path(helper).exists()
    finally:
        del sys.modules["flow_that_changes"], sys.modules["helper_that_changes"]


def test_what_was_executed_of_unknown_code_is_not_taken_for_known(tmp_path):
    run = me.Workspace(tmp_path / "lab").Project("p").Experiment("e").Run(id="one")
    namespace: dict[str, object] = {}
    exec("def task(ctx): return 1", namespace)
    WorkflowBuilder("w").add(namespace["task"], name="t").build().execute_sync(run=run)
    spec = WorkflowBuilder("w").add(lambda ctx: 1, name="t").build()
    reason = spec.execute_sync(run=run, resume=True).tasks["t"].reason
    assert reason == "nobody can tell whether it changed: which code was executed is not known"
