"""molexp exec when it is interrupted: Ctrl-C, SIGTERM, a cancel request, and kill -9."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

import pytest

from tests.cli.helpers import DEADLINE, Terminal, eventually, program, spawn

# Says that it runs, waits, and says which signal came; exits with 7 then.
WAITS = """
trap 'echo got INT; exit 7' INT
trap 'echo got TERM; exit 7' TERM
echo ready
echo $$ > pid.new; mv pid.new pid
while :; do sleep 0.05; done
"""
STUBBORN = "trap 'echo heard' INT TERM; echo $$ > pid.new; mv pid.new pid; while :; do sleep 0.05; done"


@pytest.fixture
def start(in_lab, here):
    """Start ``molexp exec p/e --id one`` on a shell script, and wait until that runs."""
    started = []

    def start(script, **options):
        running = spawn(
            here, "exec", "p/e", "--id", "one", "--", "sh", "-c", script,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options,
        )  # fmt: skip
        started.append(running)
        eventually(Path("pid").exists)
        return running

    yield start
    for running in started:
        running.kill()
        running.communicate()
    if Path("pid").exists():
        try:
            os.killpg(int(Path("pid").read_text()), signal.SIGKILL)
        except ProcessLookupError:
            pass


def ended(running):
    out, err = running.communicate(timeout=DEADLINE)
    return running.returncode, out.decode(), err.decode()


def gone(pid):
    state = Path("/proc", str(pid), "stat")
    return not state.exists() or state.read_text().rpartition(")")[2].split()[0] == "Z"


def test_sigterm_is_passed_on_and_the_run_is_interrupted(start, in_lab):
    running = start(WAITS)
    running.send_signal(signal.SIGTERM)
    code, out, err = ended(running)
    assert code == 143
    assert out == "ready\ngot TERM\n"
    assert err.startswith("molexp: run p/e/one\n")
    assert err.endswith("molexp: interrupted: received SIGTERM\n")
    run = in_lab.run("p/e/one")
    assert run.status == "interrupted"
    assert run.execution_history[0]["reason"] == "received SIGTERM"
    assert run.logs["stdout"].text() == "ready\ngot TERM\n"
    assert gone(int(Path("pid").read_text()))


def test_sigint_is_passed_on_and_the_run_is_cancelled(start, in_lab):
    running = start(WAITS)
    running.send_signal(signal.SIGINT)
    assert ended(running) == (130, "ready\ngot INT\n", "molexp: run p/e/one\nmolexp: cancelled\n")
    assert in_lab.run("p/e/one").status == "cancelled"


def test_ctrl_c_on_a_terminal_does_the_same(in_lab, here):
    terminal = Terminal(here, "exec", "p/e", "--id", "one", "--", "sh", "-c", WAITS)
    terminal.wait_for("ready\n")
    terminal.press("\x03")
    assert terminal.end() == 130
    assert "got INT\n" in terminal.text
    assert "molexp: cancelled\n" in terminal.text
    assert "Traceback" not in terminal.text
    assert in_lab.run("p/e/one").status == "cancelled"


def test_a_second_ctrl_c_ends_a_command_that_does_not_listen(start, in_lab):
    running = start(STUBBORN)
    pid = int(Path("pid").read_text())
    running.send_signal(signal.SIGINT)
    eventually(lambda: "heard" in in_lab.run("p/e/one").logs["stdout"].text())
    assert not gone(pid)
    running.send_signal(signal.SIGINT)
    assert ended(running)[0] == 130
    assert gone(pid)
    assert in_lab.run("p/e/one").status == "cancelled"


def test_a_cancel_request_ends_it(in_lab, start):
    running = start(WAITS, env={"MOLEXP_LEASE_BEAT": "0.1", "MOLEXP_LEASE_TTL": "600"})
    in_lab.run("p/e/one").cancel("not needed")
    code, out, err = ended(running)
    assert code == 130
    assert out == "ready\ngot TERM\n"
    assert err.endswith("molexp: cancelled\n")
    run = in_lab.run("p/e/one")
    assert (run.status, run.execution_history[0]["reason"]) == ("cancelled", "not needed")


def test_after_kill_9_the_run_is_interrupted_and_what_was_printed_is_there(start, in_lab, here):
    running = start("echo early; " + WAITS)
    run = in_lab.run("p/e/one")
    eventually(lambda: "ready" in run.logs["stdout"].text())
    running.kill()
    running.wait()
    assert run.status == "interrupted"
    assert run.logs["stdout"].text().startswith("early\nready\n")
    os.killpg(int(Path("pid").read_text()), signal.SIGKILL)
    again = program(here, "exec", "p/e", "--id", "one", "--", "true")
    assert again.code == 0
    assert [one["status"] for one in run.execution_history] == ["interrupted", "succeeded"]


def test_a_terminal_that_goes_away_interrupts_it(start, in_lab):
    running = start("trap 'exit 7' HUP;" + WAITS)
    running.send_signal(signal.SIGHUP)
    assert ended(running)[0] == 129
    assert in_lab.run("p/e/one").execution_history[0]["reason"] == "received SIGHUP"
