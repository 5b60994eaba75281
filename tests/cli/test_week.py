"""A newcomer's week: every command once, typed into a real shell on a real terminal, in the order in which one meets them."""

from __future__ import annotations

import fcntl
import os
import re
import select
import shutil
import struct
import subprocess
import sys
import termios
import time
from pathlib import Path
from textwrap import dedent
from typing import NamedTuple

import pytest

SCRIPT = """\
    import os
    import molexp as me
    from molexp.workflow import WorkflowBuilder

    wf = WorkflowBuilder(name="relax")


    @wf.task
    def build(ctx):
        return [ctx.params["a"] * scale for scale in (0.98, 1.0, 1.02)]


    @wf.task(depends_on=[build])
    def energy(ctx):
        if ctx.params["a"] == 3.5 and not os.path.exists("mended"):
            raise ValueError("the density oscillates")
        for step in range(20):
            ctx.metrics.log(step=step, residual=0.5**step)
        ctx.log("relax").append(f"a = {ctx.params['a']}")
        ctx.artifact.save("volumes.json", ctx.inputs)
        ctx.set_result("energy", -3.72 + (ctx.params["a"] - 3.6) ** 2)


    ws = me.Workspace("./lab")
    exp = ws.Project("metals").Experiment("cu", params={"xc": "PBE"}, space=me.grid(a=[3.4, 3.5, 3.6, 3.7]))
    wf.build().bind_to(exp)
    me.entry(ws)
"""


class Typed(NamedTuple):
    """A line that is typed, the exit code that it has to have, and texts that have to be on the screen then."""

    line: str
    shows: tuple[str, ...] = ()
    code: int = 0


def t(line: str, *shows: str, code: int = 0) -> Typed:
    return Typed(line, shows, code)


FAILED = "$(molexp runs list --status failed --output csv | tail -n 1 | grep -o 'metals/cu/[0-9a-f]*')"

WEEK = {
    "Monday: look around, track something": [
        t("molexp --version", "molexp 0.1"),
        t("molexp --help", "Begin:", "Maintain:"),
        t("molexp runs list", "No workspace is given", "hint:", code=3),
        t("molexp init lab", "Made the workspace"),
        t("molexp -w labb info", "Did you mean 'lab'?", code=3),
        t("export MOLEXP_WORKSPACE=lab"),
        t("molexp info", "runs"),
        t(
            "molexp exec metals/hand --id first --set a=3.8 --output '*.txt' -- sh -c 'echo hello > out.txt; echo done'",
            "done",
        ),
        t("molexp show first", "succeeded", "3.8", "out.txt"),
        t("molexp logs first stdout", "done"),
        t("molexp ls metals/hand", "first"),
    ],
    "Tuesday: a script, a failure": [
        t("molexp run relax.py --dry-run", "4"),
        t("molexp run relax.py -j 2", "3 succeeded, 1 failed", "the density oscillates", code=1),
        t("molexp runs list", "5 runs: 4 succeeded, 1 failed", "-3.72"),
        t("molexp runs list --where 'x'", "No such option", code=2),
        t("molexp runs list 'params.a >'", "expected a value", code=2),
        t("molexp runs list --status faild", "failed", code=2),
        t(f"molexp show {FAILED}", "ValueError", "relax.py", "hint:"),
        t(f"molexp why {FAILED} --script relax.py", "failed"),
        t("molexp runs lst", "list", code=2),
    ],
    "Wednesday: mend it, compare, draw": [
        t("touch mended"),
        t("molexp run relax.py --failed --resume", "1 succeeded"),
        t("molexp run relax.py", "4 skipped"),
        t("molexp compare --where 'params.a < 3.55'", "3.4", "3.5"),
        t("molexp plot results.energy params.a", "results.energy", "params.a"),
        t("molexp plot residual --by a -o residual.svg --logy", "residual.svg"),
        t("molexp watch --once", "Nothing is running"),
        t("molexp lineage @latest", "metals/cu/"),
        t("molexp assets list --kind artifact", "metals/hand/first"),
        t("molexp assets get @latest:volumes.json volumes.json", "volumes.json"),
        t("molexp run relax.py --set a=3.9,4.0 --limit 1", "1 succeeded"),
    ],
    "Thursday: old results, order": [
        t("molexp import old 'a{a:float}' --to metals/old --results '*.json' --dry-run", "2"),
        t("molexp import old 'a{a:float}' --to metals/old --results '*.json'", "2"),
        t("molexp import old 'a{a:float}' --to metals/old --results '*.json'", "2"),
        t("molexp runs tag old --where 'experiment == \"old\"' --yes", "metals/old/"),
        t("molexp runs note 'from the old disk' --where '\"old\" in tags' --yes", "metals/old/"),
        t("molexp runs archive first", "first"),
        t("molexp experiments list", "old", "cu"),
        t("molexp projects rename metals 'The metals'", "The metals"),
        t("molexp runs delete --where '\"old\" in tags' --dry-run", "nothing was changed"),
        t("molexp runs delete --where '\"old\" in tags' --yes", "metals/old/"),
        t("molexp gc", "nothing was freed"),
        t("molexp gc --yes", "freed"),
    ],
    "Friday: share, check": [
        t("molexp report -o report.html", "runs"),
        t("molexp export -o runs.csv && head -n 1 runs.csv", "params.a"),
        t("molexp export --where 'params.a < 3.55' -o two.zip", "2 runs"),
        t("molexp sync lab copy", "copied"),
        t("molexp -w copy runs list --output csv | head -n 1", "id,"),
        t("molexp fsck", "fsck:"),
        t("molexp catalog verify", "matches the files"),
        t("molexp doctor", "ok"),
        t("molexp config list", "run_id_scheme"),
        t("molexp plugins list", "molexp-fs"),
        t("molexp runs list | head -n 1", "RUN"),
    ],
}
OURS = re.compile(r"molexp-\w+/src")  # in a traceback


class Shell:
    """An interactive shell on a terminal of a given width. Its prompt is a mark with the exit code of what came before."""

    def __init__(self, program: str, folder: Path, columns: int) -> None:
        self.fd, its = os.openpty()
        fcntl.ioctl(its, termios.TIOCSWINSZ, struct.pack("HHHH", 50, columns, 0, 0))
        settings = {
            "HOME": str(folder),
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "TERM": "xterm-256color",
            "PAGER": "cat",
            "PS1": "<$?>" if program == "bash" else "<%?>",
            "PROMPT": "<%?>",
        }
        options = (
            ["--norc", "--noprofile", "--noediting", "-i"]
            if program == "bash"
            else ["-f", "-i", "+Z", "-o", "nopromptsp"]
        )
        environment = {k: v for k, v in os.environ.items() if k not in ("COLUMNS", "LINES", "CI")} | settings
        self.process = subprocess.Popen(
            [program, *options], cwd=folder, env=environment, stdin=its, stdout=its, stderr=its, start_new_session=True
        )
        os.close(its)
        self.until_prompt()

    def type(self, line: str) -> tuple[int, str]:
        """Type a line, and return the exit code and the text that came."""
        os.write(self.fd, f"{line}\n".encode())
        return self.until_prompt()

    def until_prompt(self) -> tuple[int, str]:
        text, deadline = "", time.monotonic() + 300
        while not (found := re.search(r"<(\d+)>(?:\x1b\[\S*)*$", text)):
            assert time.monotonic() < deadline, text
            assert select.select([self.fd], [], [], 300)[0], text
            text += os.read(self.fd, 65536).decode("utf-8", "replace").replace("\r\n", "\n")
        return int(found[1]), text[: found.start()]

    def close(self) -> None:
        os.close(self.fd)
        self.process.kill()
        self.process.wait()


def is_cut(line: str, columns: int) -> bool:
    """Tell whether a terminal breaks a line of several words within one of them."""
    return (
        len(line) > columns
        and line[columns - 1 : columns + 1].isprintable()
        and " " in line[1:columns].partition(": ")[2]
    )


@pytest.fixture
def here(tmp_path):
    folder = tmp_path / "here"
    folder.mkdir()
    (folder / "relax.py").write_text(dedent(SCRIPT))
    for a in (3.3, 3.9):
        (folder / f"old/a{a}").mkdir(parents=True)
        (folder / f"old/a{a}/out.json").write_text(f'{{"energy": {-a}}}')
    return folder


@pytest.mark.parametrize(
    ("program", "columns"),
    [
        pytest.param("bash", 80, marks=pytest.mark.soak),
        pytest.param("zsh", 120, marks=pytest.mark.long),
    ],
)
def test_a_newcomer_gets_through_the_week(program, columns, here):
    if shutil.which(program) is None:
        pytest.skip(f"{program} is not installed")
    shell = Shell(program, here, columns)
    wrong = []
    try:
        for day, lines in WEEK.items():
            for typed in lines:
                code, text = shell.type(typed.line)
                plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text)
                missing = [word for word in typed.shows if word not in plain]
                if code != typed.code or missing or OURS.search(plain):
                    wrong.append(f"{day}\n$ {typed.line}\n{plain}\nexit code {code}, not on the screen: {missing}")
                broken = [
                    line
                    for line in plain.splitlines()
                    if line.startswith(("molexp:", "hint:")) and is_cut(line, columns)
                ]
                wrong += [f"{day}\n$ {typed.line}\nbroken within a word: {line}" for line in broken]
    finally:
        shell.close()
    assert not wrong, "\n\n".join(wrong)
    for file in ("residual.svg", "report.html", "runs.csv", "two.zip", "volumes.json", "copy/workspace.json"):
        assert (here / file).stat().st_size > 0
