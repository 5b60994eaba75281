"""Queues that are wrong in one way each, and the check of the kit that is about it."""

from __future__ import annotations

import select
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, ClassVar

import pytest
from msgspec.structs import replace

from molexp.contracts import Batch, Job, JobState, Queue
from molexp.errors import QueueError, QueueUnavailableError
from molexp.testing import QueueTests
from tests.plugins.local_queue import LocalQueue, batches_of

_NEXT_INDEX = 'MOLEXP_JOB_INDEX=$((MOLEXP_JOB_INDEX + 1)) exec "$@"'
_OWN_ID = 'MOLEXP_JOB_ID=$MOLEXP_JOB_INDEX exec "$@"'


class SoundKit(QueueTests):
    kind: ClassVar[type[LocalQueue]] = LocalQueue
    senseless = ({"cores": 0},)
    many = 20

    @pytest.fixture
    def queue(self) -> Queue:
        raise NotImplementedError("the tests give it")

    def unreachable(self, folder: Path) -> Queue:
        (folder / "file").touch()
        return self.kind(folder=str(folder / "file" / "below"))


class BrokenKit(SoundKit):
    patience = 2


DEFECTS: dict[str, tuple[type[SoundKit], str]] = {}
"""Defects: the kit of the queue that has it, and the check that catches it."""


def planted(defect: str, caught_by: str) -> Any:
    def plant(queue: type[Any]) -> type[Any]:
        DEFECTS[defect] = type(f"{queue.__name__}Kit", (BrokenKit,), {"kind": queue}), caught_by
        return queue

    return plant


class Resubmitting(LocalQueue):
    """A queue that submits something else than it was given."""

    def changed(self, batch: Batch) -> Batch:
        raise NotImplementedError

    def submit(self, batch: Batch) -> str:
        return super().submit(self.changed(batch))


class Telling(LocalQueue):
    """A queue that tells something else of jobs than is true."""

    def told(self, job: Job) -> Job | None:
        raise NotImplementedError

    def look(self, batches: Mapping[str, str]) -> Iterator[Job]:
        return filter(None, map(self.told, super().look(batches)))


# ------------------------------------------------------------------------------------------------------------ what it says


@planted("unknown options are ignored", "test_an_option_that_it_does_not_know_is_named")
class Careless(LocalQueue):
    def __init__(self, **options: Any) -> None:
        super().__init__(**{name: options[name] for name in options if name in ("cores", "folder")})


@planted("options are looked at when something is submitted", "test_an_option_that_makes_no_sense_is_refused")
class Late(LocalQueue):
    def __init__(self, *, cores: Any = None, folder: str | None = None) -> None:
        super().__init__(cores=cores or None, folder=folder)


@planted("the script does not say what is executed", "test_a_script_is_for_people_alone")
class Terse(LocalQueue):
    def script(self, batch: Batch) -> str:
        return f"# {batch.size} jobs\n"


@planted("asking for the script submits", "test_a_script_is_for_people_alone")
class Hasty(LocalQueue):
    def script(self, batch: Batch) -> str:
        with suppress(QueueError):  # the second time, it is there already
            self.submit(replace(batch, after=["waits"]))
        return super().script(batch)


# ------------------------------------------------------------------------------------------------------------------- jobs


@planted("the index that jobs find is off by one", "test_each_job_of_a_batch_finds_its_index_and_its_id")
class FromOne(Resubmitting):
    def changed(self, batch: Batch) -> Batch:
        return replace(batch, command=("/bin/sh", "-c", _NEXT_INDEX, "sh", *batch.command))


@planted("the index that is told is off by one", "test_each_job_of_a_batch_finds_its_index_and_its_id")
class ToldFromOne(Telling):
    def told(self, job: Job) -> Job:
        return Job(job.token, job.index + 1, job.id, job.state, job.word)


@planted("a job finds another id than the one that is told", "test_each_job_of_a_batch_finds_its_index_and_its_id")
class TwoIds(Resubmitting):
    def changed(self, batch: Batch) -> Batch:
        return replace(batch, command=("/bin/sh", "-c", _OWN_ID, "sh", *batch.command))


@planted("words are split by a shell", "test_a_job_has_the_folder_the_words_and_the_variables_of_its_batch")
class Unquoted(Resubmitting):
    def changed(self, batch: Batch) -> Batch:
        *first, script, name, folder, token = batch.command[:6]
        rest = " ".join(batch.command[6:])
        return replace(batch, command=("/bin/sh", "-c", f'exec "$@" {rest}', "sh", *first, script, name, folder, token))


@planted("variables are lost", "test_a_job_has_the_folder_the_words_and_the_variables_of_its_batch")
class Bare(Resubmitting):
    def changed(self, batch: Batch) -> Batch:
        return replace(batch, environment={})


@planted("the folder is another one", "test_a_job_has_the_folder_the_words_and_the_variables_of_its_batch")
class Elsewhere(Resubmitting):
    def changed(self, batch: Batch) -> Batch:
        return replace(batch, folder="/")


@planted("what jobs print is dropped", "test_what_jobs_print_is_in_the_folder_for_it")
class Mute(Resubmitting):
    def changed(self, batch: Batch) -> Batch:
        return replace(batch, output="")


# ----------------------------------------------------------------------------------------------------------------- states


@planted("done is told at submission", "test_a_job_is_queued_then_running_then_done")
class Optimist(Telling):
    def told(self, job: Job) -> Job:
        return Job(job.token, job.index, job.id, JobState.DONE, job.word) if job.state.alive else job


@planted("running is told at submission", "test_a_job_is_queued_then_running_then_done")
class Eager(Telling):
    def told(self, job: Job) -> Job:
        return Job(job.token, job.index, job.id, JobState.RUNNING, job.word) if job.state.alive else job


@planted("jobs that wait are left out", "test_a_job_is_queued_then_running_then_done")
class Blind(Telling):
    def told(self, job: Job) -> Job | None:
        return None if job.state is JobState.QUEUED else job


@planted("the exit code is lost", "test_ends_are_told_apart")
class Forgiving(Telling):
    def told(self, job: Job) -> Job:
        return job if job.state.alive else Job(job.token, job.index, job.id, JobState.DONE, job.word)


@planted("the engine's word is lost", "test_ends_are_told_apart")
class Wordless(Telling):
    def told(self, job: Job) -> Job:
        return job if job.state.alive else Job(job.token, job.index, job.id, job.state, "ENDED")


@planted("a command that is not there has never been submitted", "test_ends_are_told_apart")
class Tidy(Telling):
    def told(self, job: Job) -> Job | None:
        return None if job.word.startswith("NOT STARTED") else job


# ------------------------------------------------------------------------------------------------ many, and in which order


@planted("the throttle is ignored", "test_no_more_jobs_run_at_once_than_the_batch_allows")
class Unthrottled(Resubmitting):
    def changed(self, batch: Batch) -> Batch:
        return replace(batch, at_once=None)


@planted("jobs beyond the throttle are dropped", "test_no_more_jobs_run_at_once_than_the_batch_allows")
class Dropping(Resubmitting):
    def changed(self, batch: Batch) -> Batch:
        return replace(batch, size=batch.at_once or batch.size)


@planted("`after` is ignored", "test_a_batch_begins_when_those_before_it_have_ended")
class Impatient(Resubmitting):
    def changed(self, batch: Batch) -> Batch:
        return replace(batch, after=())


@planted("a batch before it that nobody knows is waited for", "test_a_batch_begins_when_those_before_it_have_ended")
class Faithful(Resubmitting):
    def changed(self, batch: Batch) -> Batch:
        known = [one for one in batch.after if one.startswith("molexp")]
        return replace(batch, after=known if known == [*batch.after] else ["waits"])


@planted("the largest size is not the largest", "test_a_batch_of_the_largest_size_is_accepted_and_a_larger_one_is_not")
class Modest(LocalQueue):
    def largest(self) -> int:
        return 10


@planted("the largest size is too large", "test_a_batch_of_the_largest_size_is_accepted_and_a_larger_one_is_not")
class Boastful(LocalQueue):
    def largest(self) -> int:
        return 20

    def submit(self, batch: Batch) -> str:
        if batch.size > 10:
            raise QueueError("local", "too large")
        return super().submit(batch)


# ---------------------------------------------------------------------------------------------------------------- cancels


@planted("a cancel that stops nothing", "test_a_running_job_that_is_cancelled_is_told_and_ends_alone")
class Deaf(LocalQueue):
    def cancel(self, ids: Sequence[str]) -> None: ...


@planted("a cancel of one job ends all", "test_a_running_job_that_is_cancelled_is_told_and_ends_alone")
class Sweeping(LocalQueue):
    def cancel(self, ids: Sequence[str]) -> None:
        super().cancel([one.rpartition("_")[0] or one for one in ids])


@planted("a job that was cancelled is done", "test_a_running_job_that_is_cancelled_is_told_and_ends_alone")
class Whitewashing(Telling):
    def told(self, job: Job) -> Job:
        return Job(job.token, job.index, job.id, JobState.DONE, job.word) if job.word == "CANCELLED" else job


@planted("a cancel reaches what runs alone", "test_a_job_that_is_cancelled_while_it_waits_never_begins")
class Running(LocalQueue):
    def cancel(self, ids: Sequence[str]) -> None:
        tokens = {one if one in batches_of(self) else one.rpartition("_")[0]: "" for one in ids}
        super().cancel([job.id for job in self.look(tokens) if job.state is JobState.RUNNING and job.id in ids])


@planted("batches cannot be cancelled by their ids", "test_a_job_that_is_cancelled_while_it_waits_never_begins")
class OneByOne(LocalQueue):
    def cancel(self, ids: Sequence[str]) -> None:
        super().cancel([one for one in ids if "_" in one])


@planted("a cancel of what has ended is an error", "test_ids_of_what_has_ended_or_nobody_knows_are_left_aside")
class Strict(LocalQueue):
    def cancel(self, ids: Sequence[str]) -> None:
        jobs = list(self.look(dict.fromkeys((one.rpartition("_")[0] for one in ids), "")))
        if any(job.id in ids and not job.state.alive for job in jobs):
            raise QueueError("local", "it has ended")
        super().cancel(ids)


@planted("the token is ignored", "test_ids_of_what_has_ended_or_nobody_knows_are_left_aside")
class Generous(LocalQueue):
    def look(self, batches: Mapping[str, str]) -> Iterator[Job]:
        found = list(super().look(batches))
        return iter(found or list(super().look(dict.fromkeys(batches_of(self), ""))))


# ------------------------------------------------------------------------------------------------------- what goes wrong


@planted("one call of the engine for each job", "test_what_a_killed_submitter_leaves_is_found_whole_by_its_token")
class JobByJob(LocalQueue):
    def submit(self, batch: Batch) -> str:
        for index in range(batch.size):
            super().submit(replace(batch, token=f"{batch.token}-{index}", size=1))
            if index == 0:
                select.select([], [], [], 600)  # an engine takes its time, and who submits is killed meanwhile
        return batch.token

    def look(self, batches: Mapping[str, str]) -> Iterator[Job]:
        of = {f"{token}-{index}": (token, index) for token in batches for index in range(20)}
        for job in super().look(dict.fromkeys(of, "")):
            yield Job(*of[job.token], job.id, job.state, job.word)


@planted("a batch is found by its id alone", "test_what_a_killed_submitter_leaves_is_found_whole_by_its_token")
class ById(LocalQueue):
    def look(self, batches: Mapping[str, str]) -> Iterator[Job]:
        return iter(super().look({token: identity for token, identity in batches.items() if identity}))


@planted("batches are kept in memory", "test_what_a_killed_submitter_leaves_is_found_whole_by_its_token")
class Inward(LocalQueue):
    def submit(self, batch: Batch) -> str:
        self.known = {*getattr(self, "known", ()), batch.token}
        return super().submit(batch)

    def look(self, batches: Mapping[str, str]) -> Iterator[Job]:
        known = getattr(self, "known", ())
        return iter(super().look({token: batches[token] for token in batches if token in known}))


@planted("a refusal comes after the submission", "test_a_batch_that_is_refused_leaves_nothing")
class Reluctant(LocalQueue):
    def submit(self, batch: Batch) -> str:
        try:
            return super().submit(batch)
        except QueueError:
            super().submit(replace(batch, resources=type(batch.resources)()))
            raise


@planted("a refusal is a silence of the engine", "test_a_batch_that_is_refused_leaves_nothing")
class Evasive(LocalQueue):
    def submit(self, batch: Batch) -> str:
        try:
            return super().submit(batch)
        except QueueError as error:
            raise QueueUnavailableError("local", error.reason) from error


@planted("what is impossible is left out", "test_a_batch_that_is_refused_leaves_nothing")
class Obliging(Resubmitting):
    def changed(self, batch: Batch) -> Batch:
        return replace(batch, resources=type(batch.resources)())


@planted("silence is taken for the end", "test_an_engine_that_does_not_answer_is_told_in_words")
class Presuming(LocalQueue):
    def look(self, batches: Mapping[str, str]) -> Iterator[Job]:
        try:
            return iter(super().look(batches))
        except QueueUnavailableError:
            return iter(())


@planted("errors of the system escape", "test_an_engine_that_does_not_answer_is_told_in_words")
class Leaking(LocalQueue):
    def cancel(self, ids: Sequence[str]) -> None:
        try:
            super().cancel(ids)
        except QueueUnavailableError as error:
            raise OSError(error.reason) from error
