"""me.read_logs: the lines of a run's logs, and those to come."""

from __future__ import annotations

import threading
from queue import Queue

import pytest

import molexp as me


class Follower(threading.Thread):
    """Reads in a thread what `read_logs` yields."""

    def __init__(self, run, *arguments):
        super().__init__(daemon=True)
        self.lines: Queue[me.LogLine | None] = Queue()
        self._arguments = (run, *arguments)
        self.start()

    def run(self):
        for line in me.read_logs(*self._arguments, follow=True):
            self.lines.put(line)
        self.lines.put(None)

    def next(self):
        line = self.lines.get(timeout=300)
        return None if line is None else (line.log, line.data)


def texts(run, *arguments):
    return [(line.log, line.text) for line in me.read_logs(run, *arguments)]


def test_lines_come_log_by_log_with_their_ends(run):
    with run.start() as ctx:
        ctx.log("a").write("1\n2\r\n3\r4")
        ctx.log("b").write("5\n")
    assert [line.data for line in me.read_logs(run, "a")] == [b"1\n", b"2\r\n", b"3\r", b"4"]
    assert texts(run) == [("a", "1"), ("a", "2"), ("a", "3"), ("a", "4"), ("b", "5")]


def test_many_lines_come_at_once_for_who_passes_them_on(place, run):
    data = b"".join(b"line %d\r\n" % number for number in range(300_000))
    with run.start() as ctx:
        ctx.log("a").write(data.decode())
        ctx.log("b").write("half")
    pieces = list(me.read_logs(run, lines=False))
    assert b"".join(piece.data for piece in pieces if piece.log == "a") == data
    assert all(piece.data.endswith(b"\r\n") for piece in pieces if piece.log == "a")
    assert len(pieces) <= 2 + len(data) // (1 << 20) + 1
    assert pieces[-1].data == b"half"


def test_a_log_that_is_not_there_is_an_error_with_the_nearest(run):
    with run.start() as ctx:
        ctx.log("train").append("x")
    for follow in (False, True):
        with pytest.raises(me.NotFoundError, match="Did you mean 'train'"):
            list(me.read_logs(run, "tarin", follow=follow))


def test_new_lines_come_until_the_run_has_ended(run):
    follower = Follower(run, "a")
    with run.start() as ctx:
        ctx.log("a").write("one\ntw")
        ctx.flush()
        assert follower.next() == ("a", b"one\n")
        ctx.log("a").write("o\nrest")
        ctx.flush()
        assert follower.next() == ("a", b"two\n")
        ctx.log("b").append("other")
    assert follower.next() == ("a", b"rest")
    assert follower.next() is None


def test_another_attempt_goes_on_with_the_log_on_a_line_of_its_own(run):
    with run.start() as ctx:
        ctx.log("a").write("first attempt")
    with run.start() as ctx:
        follower = Follower(run)
        ctx.log("a").append("second attempt")
        ctx.flush()
        assert follower.next() == ("a", b"first attempt\n")
        assert follower.next() == ("a", b"second attempt\n")
    assert follower.next() is None
    assert [(line.attempt, line.text) for line in me.read_logs(run)] == [(1, "first attempt"), (2, "second attempt")]
    assert [line.text for line in me.read_logs(run, attempt=2)] == ["second attempt"]


def test_a_line_may_be_longer_than_what_is_read_at_once(lab_run):
    with lab_run.start() as ctx:
        ctx.log("a").write("x" * 3_000_000 + "\n" + "é" * 600_000)
    assert [len(text) for _, text in texts(lab_run, "a")] == [3_000_000, 600_000]


def test_another_file_in_its_place_is_read_from_the_start(lab_run):
    with lab_run.start() as ctx:
        ctx.log("a").append("what was there before")
        path = lab_run.asset("a").path
        follower = Follower(lab_run, "a")
        assert follower.next() == ("a", b"what was there before\n")
        for text in (b"longer than what was there before\n", b"cut\n", b"\xff\n"):
            path.write_bytes(text)
            assert follower.next() == ("a", text)
    assert follower.next() is None


def test_a_deleted_run_has_no_logs(run):
    run.delete()
    with pytest.raises(me.NotFoundError):
        list(me.read_logs(run))
