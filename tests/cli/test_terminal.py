"""A stranger's workspace on a terminal: no name and no value in it is obeyed."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

import molexp as me
from molexp.workflow import WorkflowBuilder
from tests.cli.helpers import Terminal, program

# What terminals obey: titles, colours, the cursor, C1 controls; and what changes the order of letters.
OBEYED = (
    "\x1b]0;owned\x07",
    "\x1b[2J",
    "\x1b(0",
    "\x1bP1$r\x1b\\",
    "\x9b31m",
    "\x9d0;x\x9c",
    "\x85",
    "\x08",
    "\u202e",
    "\u2066",
)
RAW = [*"\x07\x08\x85\x9b\x9c\x9d\u202e\u2066", "\x1b]", "\x1b[2J", "\x1b(0", "\x1bP"]
EVIL = "evil" + "".join(OBEYED)

SCRIPT = f"""
import molexp as me
from molexp.workflow import WorkflowBuilder

wf = WorkflowBuilder(name={EVIL!r})

@wf.task
def task(ctx):
    raise ValueError({EVIL!r})

ws = me.Workspace("./mine")
exp = ws.Project("p").Experiment("e", params={{{EVIL!r}: {EVIL!r}}})
wf.build().bind_to(exp)
me.entry(ws)
"""


@pytest.fixture
def stranger(pattern: Path, tmp_path: Path) -> Path:
    """A folder of its own for each test, with a workspace whose every name and value has them."""
    return shutil.copytree(pattern, tmp_path / "there")


@pytest.fixture(scope="module")
def pattern(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that tests get copies of, as evil as a file system allows."""
    tmp_path = tmp_path_factory.mktemp("stranger")
    folder = tmp_path / "there"
    ws = me.Workspace(str(folder / "lab"), name="evil")
    project = ws.Project("evil project", id="p")
    experiment = project.Experiment("evil experiment", id="e", params={"evil": "evil"}, workflow_source="evil.py")
    source = tmp_path / "evil-data"
    source.write_text("evil")
    project.data_assets.import_asset("evil-data", source, tags=["evil"])
    for name in ("one", "two", "three"):
        run = experiment.Run({"evil": f"evil{name}", "n": {"evil": [name]}}, id=name)
        run.annotate(tags=["evil"], note="evil")
        try:
            with run.start() as ctx:
                ctx.set_result("evil", f"evil{name}")
                ctx.artifact.save("data.txt", "evil")
                ctx.log("train").append(f"evil{name}")
                data = ctx.find_asset("evil-data")
                assert data is not None
                data.read_bytes()
                ctx.shell(["echo", "evil"])
                if name == "two":
                    raise RuntimeError("evil")
        except RuntimeError:
            pass
    wf = WorkflowBuilder(name="evil")
    wf.add(lambda ctx: None, name="evil", retries=1)
    wf.build().execute_sync(run=experiment.Run(id="graph"))
    shutil.rmtree(folder / "lab/.molexp")
    escaped = json.dumps(EVIL)[1:-1].encode()
    for path in [*folder.rglob("*")]:
        if path.is_file():
            as_text = path.suffix in (".txt", ".log") or "logs" in path.parts
            content = path.read_bytes().replace(b"evil", EVIL.encode() if as_text else escaped)
            content = content.replace(b'"data.txt"', b'"' + escaped + b'"')
            path.write_bytes(content.replace(b'"train"', b'"' + escaped + b'-log"'))
    (folder / "lab" / EVIL.replace("/", "")).write_text("evil")
    (folder / "lab/projects/p/experiments/e/runs/one/edits" / f"{EVIL}.json").write_text("evil")
    (folder / "lab/projects/p/experiments/e/runs" / EVIL).mkdir()
    (folder / "lab/projects/p/experiments/e/runs" / EVIL / "run.json").write_text("evil")
    (folder / "script.py").write_text(SCRIPT)
    return folder


COMMANDS = [
    ("runs", "list"),
    ("runs", "list", "params.nothing == 'x'"),
    ("show", "p/e/one"),
    ("show", "p/e/two"),
    ("show", "p/e/graph", "--graph"),
    ("show", EVIL),
    ("logs", "p/e/one"),
    ("logs", "p/e/one", f"{EVIL}-log"),
    ("compare", "one", "two", "three"),
    ("plot", "seconds", f"params.{EVIL}"),
    ("plot", "seconds", "replica", "--by", f"params.{EVIL}"),
    ("plot", EVIL),
    ("watch", "--once", EVIL),
    ("lineage", "p/e/one"),
    ("assets", "list"),
    ("assets", "get", f"one:{EVIL}", "-"),
    ("assets", "get", f"one:{EVIL}"),
    ("assets", "add", "/nonexistent/" + EVIL, "--to", "p"),
    ("catalog", "verify"),
    ("catalog", "rebuild"),
    ("catalog", "unreadable"),
    ("fsck",),
    ("gc",),
    ("sync", "lab", "copy"),
    ("execute", "p/e/one"),
    ("exec", f"p/e{EVIL}", "--", EVIL),
    ("run", "script.py"),
    ("run", "script.py", "--dry-run"),
    ("run", EVIL),
    ("plugins", "list"),
    ("plugins", "show", EVIL),
    ("info",),
    ("doctor",),
    ("ls", EVIL),
    ("ls", "p/e"),
    ("ls", "p/e/one"),
    ("projects", "list"),
    ("experiments", "list"),
    ("experiments", "delete", f"p/{EVIL}", "--yes"),
    ("config", "get", EVIL),
    ("config", "explain", EVIL),
    ("runs", "tag", EVIL, "--where", f"params.x == '{EVIL}'"),
    ("runs", "delete", "--where", "status != 'none'", "--dry-run"),
    (EVIL,),
]


@pytest.mark.parametrize("words", COMMANDS, ids=lambda words: " ".join(words).replace(EVIL, "EVIL"))
def test_nothing_of_it_reaches_a_terminal_as_it_is(stranger, words):
    env = {"MOLEXP_WORKSPACE": "lab"}
    for extra in ((), ("--json",)) if words[0] in ("runs", "show", "logs", "lineage") else ((),):
        terminal = Terminal(stranger, *words, *extra, env=env)
        terminal.end()
        assert [raw for raw in RAW if raw in terminal.text] == [], terminal.text
    if words[0] != "logs" and "-" not in words:  # which are contents
        piped = program(stranger, *words, env=env)
        assert [raw for raw in RAW if raw in piped.out + piped.err] == []


def test_it_is_shown_all_the_same(stranger):
    env = {"MOLEXP_WORKSPACE": "lab"}
    for words in (
        ("runs", "list"),
        ("show", "p/e/two"),
        ("show", "p/e/graph", "--graph"),
        ("logs", "p/e/one"),
        ("compare", "one", "two"),
        ("assets", "list"),
    ):
        terminal = Terminal(stranger, *words, env=env, columns=400)
        assert terminal.end() == 0
        assert "evil\\u001b]0;owned\\u0007" in terminal.text, words


def test_json_means_the_same(stranger):
    found = program(stranger, "show", "p/e/one", "--json", env={"MOLEXP_WORKSPACE": "lab"}).json()
    assert found["parameters"][EVIL] == f"{EVIL}one"


def test_a_log_goes_to_a_program_as_it_is_and_to_a_terminal_without_colours(tmp_path):
    run = me.Workspace(str(tmp_path / "lab")).Project("p").Experiment("e").Run(id="one")
    with run.start() as ctx:
        ctx.log("train").write("\x1b[1;31mred\x1b[0m 10%\r20%\r\nü\tend\n")
    arguments = ("-w", str(tmp_path / "lab"), "logs", "p/e/one")
    terminal = Terminal(tmp_path, *arguments)

    assert terminal.end() == 0
    assert terminal.text == "red 10%\n20%\nü\tend\n"
    assert program(tmp_path, *arguments).out == "\x1b[1;31mred\x1b[0m 10%\r20%\r\nü\tend\n"


def test_a_traceback_is_text(tmp_path):
    terminal = Terminal(tmp_path, "show", EVIL, env={"MOLEXP_DEBUG": "1", "MOLEXP_WORKSPACE": "lab" + EVIL})
    assert terminal.end() != 0
    assert "Traceback" in terminal.text
    assert [raw for raw in RAW if raw in terminal.text] == []
