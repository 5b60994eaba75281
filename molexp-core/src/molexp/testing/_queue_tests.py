"""The conformance kit of queues."""

from __future__ import annotations

import os
import signal
import warnings
from pathlib import Path
from typing import Any

import pytest

from molexp.contracts import Batch, JobState, Queue, Resources
from molexp.errors import QueueError, QueueUnavailableError
from molexp.testing._queue_base import QueueAccess

_ODD = ("""we"ird w#rd $HOME 'q' `x` é""", "", "  ", r"back\slash %a *", "$(exit)", "two\nlines", "-n", "ü'", '"')


class QueueTests(QueueAccess, abstract=True):
    """Tests of what every `molexp.contracts.Queue` must do.

    A subclass defines the fixture ``queue``, and `unreachable`. All tests may share one queue. Jobs are scripts for ``/bin/sh``,
    and write into a folder that the test reads, see `shared_folder`.

    Nothing is decided by time, except that a job which does not begin or end within `patience` seconds never will. Where a job
    must not begin, another one is submitted after it and has ended first.
    """

    # ------------------------------------------------------------------------------------------------- what it says

    def test_it_says_what_it_is(self, queue: Queue) -> None:
        assert isinstance(type(queue).name, str)
        assert isinstance(type(queue)(), type(queue)), "it cannot be made without options"
        assert isinstance(queue.engine(), str)
        assert queue.engine() == queue.engine()

    def test_an_option_that_it_does_not_know_is_named(self, queue: Queue) -> None:
        options: dict[str, Any] = {"no_such_option": 1}
        with pytest.raises(TypeError, match="no_such_option"):
            type(queue)(**options)

    def test_an_option_that_makes_no_sense_is_refused(self, queue: Queue) -> None:
        for options in self.senseless:
            with pytest.raises((TypeError, ValueError), match=next(iter(options))):
                type(queue)(**options)

    def test_a_script_is_for_people_alone(self, queue: Queue, tmp_path: Path) -> None:
        with self.trial(queue, tmp_path) as trial:
            batch = trial.batch(": shown to people")
            script = queue.script(batch)
            assert ": shown to people" in script, "it does not say what is executed"
            assert queue.script(batch) == script
            assert trial.jobs(batch) == {}, "it was submitted"

    # ------------------------------------------------------------------------------------------------------ jobs

    def test_each_job_of_a_batch_finds_its_index_and_its_id(self, queue: Queue, tmp_path: Path) -> None:
        with self.trial(queue, tmp_path) as trial:
            said = 'echo "$MOLEXP_JOB_INDEX $MOLEXP_JOB_ID ${MOLEXP_JOB_ENDS:-0}" >"$1/$2-$MOLEXP_JOB_INDEX"'
            batch = trial.batch(said, size=3, resources=Resources(walltime=600))
            trial.submit(batch)
            jobs = trial.ended(batch)
            assert sorted(jobs) == [0, 1, 2]
            found = [(trial.folder / f"{batch.token}-{index}").read_text().split() for index in range(3)]
            assert [(int(index), identity) for index, identity, _ in found] == [(i, jobs[i].id) for i in range(3)]
            assert all(float(ends) >= 0 for *_, ends in found)
            assert len({job.id for job in jobs.values()}) == 3

    def test_a_job_has_the_folder_the_words_and_the_variables_of_its_batch(self, queue: Queue, tmp_path: Path) -> None:
        with self.trial(queue, tmp_path) as trial:
            (odd := trial.folder / _ODD[0]).mkdir()
            said = 'to="$1/said"; shift 2; { pwd; printf "%s\\0" "$@" "$ODD"; printenv PATH >&2; } >"$to"'
            batch = trial.batch(said, *_ODD, folder=str(odd), environment={"ODD": _ODD[0]}, title=_ODD[0])
            trial.submit(batch)
            job = trial.ended(batch)[0]
            assert (trial.folder / "said").read_text() == f"{odd}\n" + "".join(f"{word}\0" for word in (*_ODD, _ODD[0]))
            assert job.state is JobState.DONE, "it has no PATH"

    def test_what_jobs_print_is_in_the_folder_for_it(self, queue: Queue, tmp_path: Path) -> None:
        with self.trial(queue, tmp_path) as trial:
            (output := trial.folder / f"output {_ODD[0]}").mkdir()
            printed = 'echo "out $MOLEXP_JOB_INDEX."; echo "err $MOLEXP_JOB_INDEX." >&2'
            batch = trial.batch(printed, size=2, output=str(output))
            trial.submit(batch)
            trial.ended(batch)
            expected = [f"{where} {index}." for where in ("out", "err") for index in range(2)]

            def look() -> bool:
                found = "".join(path.read_text() for path in output.rglob("*") if path.is_file())
                return all(text in found for text in expected)

            trial.until(look, f"{output} does not have what the jobs print")

    # ------------------------------------------------------------------------------------------------------- states

    def test_a_job_is_queued_then_running_then_done(self, queue: Queue, tmp_path: Path) -> None:
        with self.trial(queue, tmp_path) as trial:
            batch = trial.waiting(2, at_once=1)
            trial.submit(batch)
            states: list[JobState] = []

            def look() -> bool:
                found = trial.jobs(batch)
                assert sorted(found) == [0, 1], "a job that is alive is left out"
                states[:] = [job.state for job in found.values()]
                assert all(state.alive for state in states), "a job has ended that has not"
                return JobState.RUNNING in states

            trial.until(lambda: trial.began(batch), "no job begins")
            trial.until(look, "a job that has begun is not running")
            assert sorted(states) == [JobState.QUEUED, JobState.RUNNING], "only one of them has begun"
            trial.open()
            assert {job.state for job in trial.ended(batch).values()} == {JobState.DONE}

    def test_ends_are_told_apart(self, queue: Queue, tmp_path: Path) -> None:
        with self.trial(queue, tmp_path) as trial:
            batch = trial.batch('[ "$MOLEXP_JOB_INDEX" != 2 ] || kill -9 $$; exit "$MOLEXP_JOB_INDEX"', size=4)
            missing = Batch(token=f"{batch.token}-m", command=("/no/such/command",), folder=batch.folder)
            for one in (batch, missing):
                trial.submit(one)
            jobs = trial.ended(batch)
            assert [jobs[index].state for index in range(4)] == [JobState.DONE] + [JobState.FAILED] * 3
            assert jobs[0].word != jobs[1].word, "the engine has one word for success and failure"
            assert trial.ended(missing)[0].state is JobState.FAILED

    # --------------------------------------------------------------------------------------------- many, and in which order

    def test_no_more_jobs_run_at_once_than_the_batch_allows(self, queue: Queue, tmp_path: Path) -> None:
        with self.trial(queue, tmp_path) as trial:
            batch = trial.waiting(2, at_once=1)
            trial.submit(batch)
            trial.until(lambda: trial.began(batch), "no job begins")
            trial.another_ends()
            assert len(trial.began(batch)) == 1
            trial.open()
            trial.ended(batch)
            assert trial.began(batch) == {0, 1}

    def test_a_batch_begins_when_those_before_it_have_ended(self, queue: Queue, tmp_path: Path) -> None:
        with self.trial(queue, tmp_path) as trial:
            first = trial.waiting(1, "exit 1")
            before = [trial.submit(first), self.unknown_ids[0]]
            second = trial.waiting(1, after=before)
            trial.submit(second)
            trial.until(lambda: trial.began(first), "no job begins")
            trial.another_ends()
            assert not trial.began(second), "it has begun too early"
            assert trial.jobs(second)[0].state is JobState.QUEUED
            trial.open()
            assert trial.ended(second)[0].state is JobState.DONE
            assert trial.ended(first)[0].state is JobState.FAILED

    def test_a_batch_of_the_largest_size_is_accepted_and_a_larger_one_is_not(
        self, queue: Queue, tmp_path: Path
    ) -> None:
        largest = queue.largest()
        size = min(largest or self.many, self.many)
        with self.trial(queue, tmp_path) as trial:
            batch = trial.waiting(size, at_once=1)
            identity = trial.submit(batch)
            assert len(trial.jobs(batch)) == size
            queue.cancel([identity])
            if largest is not None:
                assert largest >= 1
                larger = trial.waiting(largest + 1, at_once=1)
                with pytest.raises(QueueError):
                    trial.submit(larger)
                assert trial.jobs(larger) == {}
            trial.dead(batch, *range(size))

    # ------------------------------------------------------------------------------------------------------- cancels

    def test_a_running_job_that_is_cancelled_is_told_and_ends_alone(self, queue: Queue, tmp_path: Path) -> None:
        with self.trial(queue, tmp_path) as trial:
            batch = trial.waiting(2)
            trial.submit(batch)
            trial.until(lambda: trial.began(batch) == {0, 1}, "two jobs do not run at once")
            queue.cancel([trial.jobs(batch)[0].id])
            trial.dead(batch, 0)
            assert trial.told(batch) == {0}, "it was not told before it was killed"
            trial.open()
            trial.dead(batch, 1)
            jobs = trial.jobs(batch)
            assert jobs[1].state is JobState.DONE, "another job was cancelled, too"
            assert 0 not in jobs or jobs[0].state is JobState.FAILED

    def test_a_job_that_is_cancelled_while_it_waits_never_begins(self, queue: Queue, tmp_path: Path) -> None:
        with self.trial(queue, tmp_path) as trial:
            batch = trial.waiting(3, at_once=1)
            later = trial.waiting(2, after=[trial.submit(batch)])
            all_later = trial.submit(later)
            (running,) = trial.until(lambda: trial.began(batch), "no job begins")
            cancelled, other = sorted({0, 1, 2} - {running})
            queue.cancel([trial.jobs(batch)[cancelled].id, all_later])
            trial.dead(later, 0, 1)
            trial.dead(batch, cancelled)
            trial.open()
            trial.dead(batch, running, other)
            jobs = trial.jobs(batch)
            assert (trial.began(batch), trial.began(later)) == ({running, other}, set())
            assert {jobs[running].state, jobs[other].state} == {JobState.DONE}
            assert cancelled not in jobs or jobs[cancelled].state is JobState.FAILED

    def test_ids_of_what_has_ended_or_nobody_knows_are_left_aside(self, queue: Queue, tmp_path: Path) -> None:
        with self.trial(queue, tmp_path) as trial:
            batch = trial.batch("exit 0")
            identity = trial.submit(batch)
            job = trial.ended(batch)[0]
            queue.cancel([identity, job.id, *self.unknown_ids])
            queue.cancel([])
            assert trial.jobs(batch)[0].state is JobState.DONE
            assert not list(queue.look({f"{batch.token}-x": "", "molexp-kit-nobodys": self.unknown_ids[0]}))
            assert not list(queue.look({}))

    # ------------------------------------------------------------------------------------------------ what goes wrong

    def test_what_a_killed_submitter_leaves_is_found_whole_by_its_token(self, queue: Queue, tmp_path: Path) -> None:
        if not hasattr(os, "fork"):
            pytest.skip("this system has no fork")
        with self.trial(queue, tmp_path) as trial:
            batch = trial.waiting(20, at_once=1)
            child = _submitter(queue, batch)
            try:
                seen = trial.until(lambda: trial.jobs(batch), "nobody finds it by its token")
            finally:
                os.kill(child, signal.SIGKILL)
                os.waitpid(child, 0)
            assert len(seen) == len(trial.jobs(batch)) == batch.size, "there is a part of the batch"
            queue.cancel([job.id for job in trial.jobs(batch).values()])
            trial.dead(batch, *range(batch.size))

    def test_a_batch_that_is_refused_leaves_nothing(self, queue: Queue, tmp_path: Path) -> None:
        with self.trial(queue, tmp_path) as trial:
            batch = trial.batch("exit 0", resources=self.impossible)
            with pytest.raises(QueueError) as caught:
                trial.submit(batch)
            assert not isinstance(caught.value, QueueUnavailableError), "it has answered"
            assert caught.value.reason, "it does not say why"
            assert trial.jobs(batch) == {}

    def test_an_engine_that_does_not_answer_is_told_in_words(self, tmp_path: Path) -> None:
        (folder := tmp_path / "unreachable").mkdir()
        queue = self.unreachable(folder)
        batch = Batch(token=f"molexp-kit-{os.getpid()}", command=("true",), folder=str(tmp_path))
        for ask in (
            lambda: list(queue.look({batch.token: self.unknown_ids[0]})),
            lambda: queue.submit(batch),
            lambda: queue.cancel([self.unknown_ids[0]]),
        ):
            with pytest.raises(QueueUnavailableError) as caught:
                ask()
            assert caught.value.reason, "it does not say why"


def _submitter(queue: Queue, batch: Batch) -> int:
    """Return the number of a process that submits a batch."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # other threads of ours do not matter to the child
        child = os.fork()
    if not child:
        try:
            queue.submit(batch)
        finally:
            os._exit(0)
    return child
