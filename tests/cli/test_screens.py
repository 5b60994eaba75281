"""Compare screens with files that were looked at: `SCREENS=write uv run pytest tests/cli/test_screens.py` writes them anew; then look at them.

The record is made to look as if it came from another machine, some days ago. Nothing of the program is replaced.
"""

from __future__ import annotations

import os
import re
import shutil
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from textwrap import dedent

import pytest

import molexp as me
from tests.cli.helpers import Terminal, eventually, program

SCREENS = Path(__file__).parent / "screens"
BEGAN = datetime.now(UTC) - timedelta(days=3, hours=2)

SCRIPT = """
    import os, time
    import molexp as me
    from molexp.workflow import WorkflowBuilder

    wf = WorkflowBuilder(name="relax")

    @wf.task
    def build(ctx):
        return [ctx.params["a"] * scale for scale in (0.98, 1.0, 1.02)]

    @wf.task(depends_on=[build])
    def energy(ctx):
        if ctx.params["a"] == 3.5:
            raise ValueError("the density oscillates between two states, after 60 steps of mixing")
        for step in range(3):
            ctx.metrics.log(step=step, residual=0.5 ** (step + 3))
            ctx.metrics.flush()
            while ctx.params["a"] > 3.55 and not os.path.exists("go"):
                time.sleep(0.01)
        ctx.set_result("energy", -3.72 + (ctx.params["a"] - 3.6) ** 2)
        ctx.set_result("forces", [[0.0, 0.01, -0.01]] * 4)

    ws = me.Workspace("./lab")
    exp = ws.Project("metals", id="metals").Experiment("cu", params={"xc": "PBE"}, space=me.grid(a=[3.4, 3.5, 3.6, 3.7]))
    wf.build().bind_to(exp)
    me.entry(ws)
"""

MASKS = (
    (r"(?<=python     ).*", "<python>"),
    (r"0:00:\d\d", "0:00:0x"),
    (r"about [\d.]+ (s|min) left", "about t left"),
    (r"\d{4}-\d\d-\d\d", "2026-11-23"),
    (r"\d\d:\d\d:\d\dZ", "08:30:21Z"),
    (r"failed in [\d.]+ s", "failed in t s"),
    (r"(?m)^((?:build|energy) +\w+ +)\d\.\d{3}", r"\g<1>0.00t"),
)


@pytest.fixture
def here(tmp_path):
    folder = tmp_path / "here"
    folder.mkdir()
    (folder / "relax.py").write_text(dedent(SCRIPT))
    return folder


@pytest.fixture
def record(here):
    """A workspace with three runs that succeeded and one that failed."""
    (here / "go").touch()
    assert program(here, "run", "relax.py").code == 1
    me.Workspace(here / "lab").Project("noble", id="noble").Experiment("ar").Run({"sigma": 3.4}, id="argon")
    backdate(here / "lab")
    shutil.rmtree(here / "lab/.molexp")
    return here


def backdate(lab):
    """Make a record look as if it came from another machine, some days ago."""
    times = {"created_at": 0, "started_at": 1, "ended_at": 65}
    for file in lab.glob("projects/**/*.json*"):
        text = file.read_text()
        for name, seconds in times.items():
            moment = (BEGAN + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
            text = re.sub(rf'"{name}":( ?)"[^"]*"', rf'"{name}":\1"{moment}"', text)
        text = re.sub(r'"pid":( ?)\d+', r'"pid":\g<1>4242', re.sub(r'"host":( ?)"[^"]*"', r'"host":\1"node7"', text))
        file.write_text(text)


def masked(text: str, here: Path) -> str:
    text = text.replace(f"file://{here}", "/home/ada").replace(str(here), "/home/ada")
    text = re.sub(r"(?<=\S)\n(?=['\"]?/home/ada)", " ", text)  # a path that is longer here begins a line
    text = re.sub(r"[\d.]+ k?B\b", lambda size: re.sub(r"\d", "x", size[0]), text)
    for pattern, instead in MASKS:
        text = re.sub(pattern, instead, text)
    return "\n".join(line.rstrip() for line in text.splitlines()) + "\n"


def screen(text: str) -> str:
    """Return the text that stays on a terminal; rich goes up, and writes lines anew."""
    lines, row = [""], 0
    for part in re.findall(r"\x1b\[[0-9;?]*[A-Za-z]|\n|\r|[^\x1b\n\r]+", text):
        if part == "\n":
            row += 1
        elif part == "\r":
            lines[row] = lines[row] if row + 1 == len(lines) else ""
        elif part.endswith("A"):
            row -= int(part[2:-1] or 1)
        elif part == "\x1b[2K":
            lines[row] = ""
        elif not part.startswith("\x1b"):
            lines[row] += part
        lines += [""] * (row + 1 - len(lines))
    return "\n".join(lines)


def same(name: str, columns: int, text: str) -> None:
    """Compare with what was looked at."""
    file = SCREENS / f"{name}-{columns}.txt"
    if os.environ.get("SCREENS") == "write":
        file.write_text(text, encoding="utf-8")
    assert text == file.read_text(encoding="utf-8")
    whole = (
        "molexp: ",
        "hint: ",
        "files in ",
        "traceback ",
        "workspace ",
        "  File ",
        "    raise ",
    )  # to copy: the terminal breaks them
    long = [line for line in text.splitlines() if len(line) > columns and not line.startswith(whole)]
    assert long == [], "it does not fit"


WORDS = {
    "runs-list": ["runs", "list", "-e", "metals/cu"],
    "runs-list-none": ["runs", "list", 'params.xc == "PBEE" and results.energy < 0'],
    "ls": ["ls"],
    "ls-experiment": ["ls", "metals/cu"],
    "show": ["show", "@failed"],
    "compare": ["compare", "--where", "params.xc == 'PBE'"],
    "plot": ["plot", "energy", "a"],
    "plot-metric": ["plot", "residual", "metals/cu", "--logy"],
    "error": ["show", "metals/cu/argon"],
    "error-workspace": ["-w", "labb", "runs", "list"],
}


@pytest.mark.skipif(os.name == "nt", reason="there are no pseudo-terminals")
@pytest.mark.parametrize("columns", [80, 120])
def test_screens_are_those_that_were_looked_at(record, columns):
    failed = next(
        run for run in me.Workspace(record / "lab").project("metals").experiment("cu").runs if run.status == "failed"
    )
    for name, words in WORDS.items():
        given = [failed.path if word == "@failed" else word for word in words]
        workspace = [] if given[0] == "-w" else ["-w", "lab"]
        env = {"NO_COLOR": "1", "MOLEXP_CACHE_DIR": str(record / "cache")}
        terminal = Terminal(record, *workspace, *given, columns=columns, env=env)
        terminal.end()
        same(name, columns, masked(screen(terminal.text), record))


@pytest.mark.skipif(os.name == "nt", reason="there are no pseudo-terminals")
@pytest.mark.parametrize("columns", [80, 120])
def test_a_run_is_followed_to_its_end(here, columns):
    terminal = Terminal(here, "run", "relax.py", "-j", "2", columns=columns, env={"NO_COLOR": "1"})
    while not ("2/4" in (seen := screen(terminal.text)) and seen.count("1/2") == 2):
        assert terminal._read(), terminal.text
    same("run-live", columns, masked(seen, here))
    eventually(lambda: sum(file.stat().st_size > 0 for file in here.glob("lab/**/metrics.jsonl")) == 3)
    shutil.copytree(here / "lab", here / "copy", ignore=shutil.ignore_patterns(".molexp"))
    backdate(here / "copy")
    heard = time.time() - 49 * 3600 - 1  # what is shown of it stays the same for an hour
    for file in here.glob("copy/projects/**/metrics.jsonl"):
        os.utime(file, (heard, heard))
    watched = Terminal(here, "-w", "copy", "watch", "--once", columns=columns, env={"NO_COLOR": "1"})
    assert watched.end() == 0
    same("watch", columns, masked(screen(watched.text), here))
    (here / "go").touch()
    assert terminal.end() == 1
    same("run-failed", columns, masked(screen(terminal.text).lstrip(), here))
    (here / "relax.py").write_text((here / "relax.py").read_text().replace("== 3.5:", "== 0:"))
    again = Terminal(here, "run", "relax.py", columns=columns, env={"NO_COLOR": "1"})
    assert again.end() == 0
    same("run-finished", columns, masked(screen(again.text).lstrip(), here))
