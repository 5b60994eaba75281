"""molexp logs: what a run wrote; with -f as it comes, until the run ends."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import threading
from pathlib import Path

import pytest

from tests.cli.helpers import DEADLINE, PROGRAM, Terminal, eventually, program, spawn


@pytest.fixture
def run(in_lab):
    return in_lab.Project("p").Experiment("e").Run(id="one")


def write(run, **logs):
    with run.start() as ctx:
        for name, text in logs.items():
            ctx.log(name).write(text)


def test_one_log_is_printed_as_it_is(run, molexp):
    write(run, train="one\ntwo\nno end")
    assert molexp("logs", "one").out == "one\ntwo\nno end"
    assert molexp("logs", "one", "train").out == "one\ntwo\nno end"


def test_several_have_their_names_above_them(run, molexp):
    write(run, train="one\n", test="two\n")
    assert molexp("logs", "one").out == "==> train <==\none\n\n==> test <==\ntwo\n"
    assert molexp("logs", "one", "test").out == "two\n"


def test_json_is_a_line_for_each_line(run, molexp):
    write(run, train="one\nt\x1bwo\n", test="10%\r20%\r\nend")
    found = [json.loads(line) for line in molexp("logs", "one", "--json").lines()]
    assert found == [
        {"log": "train", "attempt": 1, "line": "one"},
        {"log": "train", "attempt": 1, "line": "t\x1bwo"},
        {"log": "test", "attempt": 1, "line": "10%"},
        {"log": "test", "attempt": 1, "line": "20%"},
        {"log": "test", "attempt": 1, "line": "end"},
    ]


def test_a_run_without_logs_prints_nothing_and_people_are_told(run, molexp):
    write(run)
    told, program = molexp("logs", "one"), molexp("logs", "one", "--json")
    assert (told.code, told.out, told.err) == (0, "", f"molexp: {run.path} has no logs.\n")
    assert (program.code, program.out, program.err) == (0, "", "")


def test_one_that_is_not_there_is_an_error_with_the_nearest(run, molexp):
    write(run, train="one\n")
    for arguments in (["trane"], ["trane", "--follow"]):
        done = molexp("logs", "one", *arguments)
        assert (done.code, done.out) == (3, "")
        assert "Did you mean 'train'?" in done.err


def test_bytes_that_are_no_text_come_as_they_are(run, here):
    write(run, train="\n")
    run.asset("train").path.write_bytes(b"\xff\xfe\n")
    done = subprocess.run([PROGRAM, "logs", "one"], cwd=here, capture_output=True, check=True)
    assert done.stdout == b"\xff\xfe\n"
    assert json.loads(program(here, "logs", "one", "--json").out)["line"] == "\ufffd\ufffd"


def test_attempts_follow_each_other_and_each_can_be_asked_for(run, molexp):
    write(run, train="first", other="kept\n")
    write(run, train="second\n")
    assert molexp("logs", "one", "train").out == "first\nsecond\n"
    assert molexp("logs", "one", "train", "--attempt", "2").out == "second\n"
    assert molexp("logs", "one", "other").out == "kept\n"
    assert molexp("logs", "one").out == (
        "==> train (attempt 1) <==\nfirst\n\n==> train (attempt 2) <==\nsecond\n\n==> other (attempt 1) <==\nkept\n"
    )
    assert [json.loads(line)["attempt"] for line in molexp("logs", "one", "train", "--json").lines()] == [1, 2]


class Followed:
    """``molexp logs -f`` in a process; what it prints is read as it comes."""

    def __init__(self, folder, *arguments):
        self.process = spawn(folder, "logs", *arguments, "--follow", stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def line(self):
        timer = threading.Timer(DEADLINE, self.process.kill)
        timer.start()
        try:
            return self.process.stdout.readline().decode()
        finally:
            timer.cancel()

    def end(self):
        out, err = self.process.communicate(timeout=DEADLINE)
        return self.process.returncode, out.decode(), err.decode()


def test_following_shows_lines_as_they_come_and_ends_with_the_run(run, here):
    with run.start() as ctx:
        ctx.log("train").append("before")
        followed = Followed(here, "one", "train")
        assert followed.line() == "before\n"
        ctx.log("train").append("while")
        assert followed.line() == "while\n"
        ctx.log("train").write("no end")
    assert followed.end() == (0, "no end", "")


def test_following_waits_for_a_log_and_for_a_run(run, here):
    followed = Followed(here, "one", "train", "--json")
    with run.start() as ctx:
        ctx.log("other").append("not asked for")
        ctx.log("train").append("one")
        assert json.loads(followed.line()) == {"log": "train", "attempt": 1, "line": "one"}
    assert followed.end() == (0, "", "")


def test_following_all_logs_says_which_one_a_line_is_from(run, here):
    with run.start() as ctx:
        followed = Followed(here, "one")
        ctx.log("a").append("1")
        assert [followed.line() for _ in range(2)] == ["==> a <==\n", "1\n"]
        ctx.log("b").append("2")
        assert [followed.line() for _ in range(3)] == ["\n", "==> b <==\n", "2\n"]
    assert followed.end()[0] == 0


def test_following_goes_on_when_the_file_is_replaced(run, here):
    with run.start() as ctx:
        ctx.log("train").append("old, and long enough")
        path = run.asset("train").path
        followed = Followed(here, "one", "train")
        assert followed.line() == "old, and long enough\n"
        new = Path("new")
        new.write_text("new, and even longer than the old one\n")
        new.replace(path)
        assert followed.line() == "new, and even longer than the old one\n"
        path.write_text("cut\n")
        assert followed.line() == "cut\n"
        path.unlink()
        new.write_text("there again\n")
        new.replace(path)
        assert followed.line() == "there again\n"
    assert followed.end()[0] == 0


def test_following_a_run_whose_process_is_killed_ends(in_lab, here):
    script = "echo started; echo $$ > pid.new; mv pid.new pid; exec sleep 3000"
    running = spawn(here, "exec", "p/e", "--id", "dies", "--", "sh", "-c", script, stderr=subprocess.PIPE)
    eventually(Path("pid").exists)
    try:
        followed = Followed(here, "p/e/dies", "stdout")
        assert followed.line() == "started\n"
        running.kill()
        running.communicate()
        assert followed.end()[0] == 0
        assert in_lab.run("p/e/dies").status == "interrupted"
    finally:
        os.killpg(int(Path("pid").read_text()), signal.SIGKILL)


def test_ctrl_c_ends_following_quietly(run, here):
    with run.start() as ctx:
        ctx.log("train").append("one")
        terminal = Terminal(here, "logs", "one", "--follow")
        terminal.wait_for("one\n")
        terminal.press("\x03")
        assert terminal.end() == 130
    assert "Traceback" not in terminal.text


def test_a_long_log_comes_whole(run, here):
    with run.start() as ctx:
        ctx.log("train").write("x" * 99 + "\n")
        path = run.asset("train").path
        path.write_bytes((b"x" * 99 + b"\n") * 200_000)
    done = subprocess.run([PROGRAM, "logs", "one"], cwd=here, capture_output=True, check=True)
    assert len(done.stdout) == 20_000_000


@pytest.fixture
def resumed(in_lab):
    """A run of two attempts, the first of which failed."""
    run = in_lab.Project("p").Experiment("e").Run(id="one")
    with pytest.raises(ValueError, match="first"), run.start() as ctx:
        ctx.log("train").append("1\n2\n3")
        ctx.metrics.log(step=0, loss=1.0)
        raise ValueError("the first one fails")
    with run.start() as ctx:
        ctx.log("train").append("4\n5")
        ctx.metrics.log(step=1, loss=0.5)
    return run


@pytest.mark.parametrize(
    ("words", "printed"),
    [
        (["-n", "1"], ["5"]),
        (["-n", "3"], ["3", "4", "5"]),
        (["--tail", "9"], ["1", "2", "3", "4", "5"]),
        (["-n", "0"], []),
        (["-n", "2", "--attempt", "1"], ["2", "3"]),
        (["-n", "2", "-f"], ["4", "5"]),
    ],
    ids=" ".join,
)
def test_the_last_lines_go_over_attempts(resumed, molexp, words, printed):
    assert molexp("logs", "one", "train", *words).lines() == printed
    lines = [json.loads(line)["line"] for line in molexp("logs", "one", "train", *words, "--json").lines()]
    assert lines == printed


def test_of_a_long_log_only_the_end_is_read(in_lab, molexp):
    with in_lab.Project("p").Experiment("e").Run(id="long").start() as ctx:
        ctx.log("train").append("\n".join(f"line {number}" for number in range(200_000)))
    assert molexp("logs", "long", "train", "-n", "2").lines() == ["line 199998", "line 199999"]


def test_metrics_and_tracebacks_are_printed_too(resumed, molexp):
    rows = [line.split() for line in molexp("logs", "one", "metrics").lines()]
    assert rows == [["ATTEMPT", "STEP", "NAME", "VALUE"], ["1", "0", "loss", "1.0"], ["2", "1", "loss", "0.5"]]
    assert [json.loads(line)["value"] for line in molexp("logs", "one", "metrics", "-a", "2", "--json").lines()] == [
        0.5
    ]
    trace = molexp("logs", "one", "traceback").lines()
    assert (trace[0], trace[-1]) == ("Traceback (most recent call last):", "ValueError: the first one fails")
    assert molexp("logs", "one", "traceback", "-n", "1").lines() == trace[-1:]
    none = molexp("logs", "one", "traceback", "--attempt", "2")
    assert (none.code, none.out, none.err) == (0, "", "molexp: p/e/one has no traceback of attempt 2.\n")


def test_an_attempt_has_its_points_also_where_a_later_one_replaced_them(in_lab, molexp):
    run = in_lab.Project("p").Experiment("e").Run(id="one")
    for loss in (2.0, 1.0):
        with run.start() as ctx:
            for step in range(2):
                ctx.metrics.log({"val/loss": loss / (step + 1)}, step=step)
    words = {None: [], 1: ["-a", "1"], 2: ["-a", "2", "-n", "1"]}
    found = {which: molexp("logs", "one", "metrics", *more, "--json").lines() for which, more in words.items()}
    values = {which: [json.loads(line)["value"] for line in lines] for which, lines in found.items()}
    assert values == {None: [1.0, 0.5], 1: [2.0, 1.0], 2: [0.5]}
    assert molexp("logs", "one", "metrics", "-a", "3").err == "molexp: p/e/one has no metrics of attempt 3.\n"


def test_metrics_are_followed_too(in_lab, here, molexp):
    experiment = in_lab.Project("p").Experiment("e")
    with experiment.Run(id="first").start() as one:
        one.metrics.log(step=0, loss=3.0)
        one.metrics.log(step=1, loss=2.0)
        one.metrics.flush()
        both = spawn(here, "logs", "p/e", "metrics", "-f", "-n", "1", stdout=subprocess.PIPE)
        own = spawn(here, "logs", "first", "metrics", "-f", "--json", stdout=subprocess.PIPE)
        assert both.stdout.readline().split() == b"RUN ATTEMPT STEP NAME VALUE".split()
        assert both.stdout.readline().split() == b"first 1 1 loss 2.0".split()
        assert [json.loads(own.stdout.readline())["value"] for _ in range(2)] == [3.0, 2.0]
        one.metrics.log(step=2, loss=1.0)
    for process in (both, own):
        with process.stdout as rest:
            assert b"1.0" in rest.read()
        assert process.wait(DEADLINE) == 0
    assert molexp("logs", "p/e", "metrics", "-f").err == "molexp: No run of p/e goes on.\n"
    done = molexp("logs", "first", "traceback", "-f")
    assert (done.code, "A traceback does not grow. Leave out --follow." in done.err) == (2, True)


def test_all_runs_of_an_experiment_are_followed(in_lab, here):
    experiment = in_lab.Project("p").Experiment("e")
    with experiment.Run(id="first").start() as one:
        one.log("train").append("a")
        following = spawn(here, "logs", "p/e", "train", "-f", stdout=subprocess.PIPE)
        assert following.stdout.readline() == b"first: a\n"
        with experiment.Run(id="second").start() as two:
            two.log("train").append("b")
            assert following.stdout.readline() == b"second: b\n"
        one.log("train").append("c")
        assert following.stdout.readline() == b"first: c\n"
        with experiment.Run(id="silent").start():
            pass
    with following.stdout as rest:
        assert rest.read() == b""
    assert following.wait(DEADLINE) == 0


def test_an_experiment_in_which_nothing_goes_on_says_so(resumed, molexp):
    assert molexp("logs", "p/e", "-f").err == "molexp: No run of p/e goes on.\n"
