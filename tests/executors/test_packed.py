"""Calls as bytes: they are made in any process, and whatever becomes of them is an answer."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

import molexp as me
from molexp.contracts import Call, Outcome
from molexp.executors import ProcessExecutor, pack, run_packed, unpack, unpacked_call
from tests.executors import calls
from tests.executors.builtin import kit

_RUN = """
import sys
from molexp.executors import run_packed
answer = run_packed(sys.stdin.buffer.read())
open(sys.argv[1], "wb").write(answer)
"""


@pytest.fixture
def printed() -> list[bytes]:
    return []


@pytest.fixture
def elsewhere(tmp_path, printed):
    """Make a packed call in a process that knows nothing of this one."""

    def make(data: bytes) -> Outcome:
        answer = tmp_path / "answer"
        done = subprocess.run(
            [sys.executable, "-c", _RUN, str(answer)], input=data, cwd="/", check=True, capture_output=True
        )
        printed.append(done.stdout)
        return unpack(answer.read_bytes())

    return make


@pytest.fixture(autouse=True)
def folder_and_path():
    folder, path = os.getcwd(), [*sys.path]
    yield
    os.chdir(folder)
    sys.path[:] = path


def test_a_call_is_made_with_the_path_and_the_folder_of_its_caller(elsewhere, printed, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "own_module.py").write_text("import os\ndef where(): print('x' * 100_000); return os.getcwd()\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    import own_module  # type: ignore[import-not-found]

    assert elsewhere(pack(Call(own_module.where))) == Outcome(value=str(tmp_path))
    assert len(printed[0]) > 100_000


def test_a_script_is_the_main_module_and_its_guard_does_not_fire(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        "import sys\n"
        "from molexp.contracts import Call\n"
        "from molexp.executors import pack\n"
        "class Point:\n    def __init__(self, x): self.x = x\n"
        "def double(point): return Point(2 * point.x).x\n"
        "if __name__ == '__main__':\n"
        "    open(sys.argv[1], 'wb').write(pack(Call(double, (Point(21),))))\n"
    )
    packed = tmp_path / "packed"
    subprocess.run([sys.executable, script, packed], check=True)
    assert unpack(_made_elsewhere(packed.read_bytes(), tmp_path)) == Outcome(value=42)


def _made_elsewhere(data: bytes, folder: Path) -> bytes:
    answer = folder / "answer"
    subprocess.run([sys.executable, "-c", _RUN, answer], input=data, check=True)
    return answer.read_bytes()


def test_a_script_without_a_guard_is_refused_where_it_is_packed(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        "from molexp.contracts import Call\nfrom molexp.executors import pack\ndef f(): ...\npack(Call(f))\n"
    )
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, check=False)
    assert 'put the code that starts it below `if __name__ == "__main__":`' in done.stderr


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (Call(kit.unlucky), "unlucky at step 7"),
        (Call(kit.stubborn), "stubborn at step 8"),
        (Call(kit.unpicklable), "The result, of type function, of the call"),
        (Call(kit.leave, (3,)), "3"),
    ],
    ids=["error", "error that does not travel", "result that does not travel", "exit"],
)
def test_whatever_becomes_of_a_call_is_an_answer(call, said):
    error = unpack(run_packed(pack(call))).error
    assert said in str(error)


def test_a_part_that_cannot_travel_is_named_where_it_is_packed():
    with pytest.raises(me.NotPicklableError, match="Argument 1, of type function"):
        pack(Call(kit.give, (lambda: 1,)))


def _changed(data: bytes, **facts: object) -> bytes:
    head, _, body = data.partition(b"\n")
    return json.dumps({**json.loads(head), **facts}).encode() + b"\n" + body


def test_another_version_is_told_in_words():
    error = unpack(run_packed(_changed(pack(Call(kit.add, (1,), name="sum")), molexp="7.8.9"))).error
    assert isinstance(error, me.ExecutorError)
    assert error.call == "sum"
    assert "'sum' was submitted by MolExp 7.8.9, and its worker" in str(error)
    assert "install the same version in both environments" in str(error)


def test_a_folder_that_is_not_there_is_told_in_words(tmp_path):
    error = unpack(run_packed(_changed(pack(Call(kit.add, (1,))), folder=str(tmp_path / "away")))).error
    assert f"the folder {tmp_path}/away, which is not there on" in str(error)


@pytest.mark.parametrize("data", [b"", b"\n", b"{}\n", b"[1]\nx", b"\x80\x05K\x01.", b"x" * 100])
def test_bytes_that_are_no_call_and_no_answer_are_told_apart_from_those_that_are(data):
    assert "no bytes of a packed call" in str(unpack(run_packed(data)).error)
    assert "is damaged" in str(unpack(data).error)


def test_an_answer_that_was_cut_is_an_error():
    answer = run_packed(pack(Call(kit.give, (bytes(100_000),))))
    assert isinstance(unpack(answer[: 1 << 16]).error, me.NotPicklableError)


def test_a_second_call_at_once_is_refused():
    entered, leave = threading.Event(), threading.Event()
    calls.EVENTS[:] = entered, leave
    found: list[Outcome] = []
    thread = threading.Thread(target=lambda: found.append(unpack(run_packed(pack(Call(calls.wait_here))))))
    thread.start()
    entered.wait(300)
    error = unpack(run_packed(pack(Call(kit.add, (1,))))).error
    leave.set()
    thread.join()
    assert "makes another call already" in str(error)
    assert found == [Outcome(value="left")]
    assert unpack(run_packed(pack(Call(kit.add, (1,))))) == Outcome(value=1)


def test_a_worker_that_lives_long_makes_it_in_a_process_of_its_own():
    async def scene() -> tuple[Call, bytes]:
        call = unpacked_call(pack(Call(kit.process_id, name="who", key="who-1")))
        async with ProcessExecutor(workers=1) as executor:
            return call, (await executor.submit(call)).value

    call, answer = asyncio.run(scene())
    assert (call.name, call.key) == ("who", "who-1")
    assert unpack(answer).value not in (None, os.getpid())
