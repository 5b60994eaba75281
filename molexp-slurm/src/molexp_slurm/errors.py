"""Errors of jobs, in addition to those of `molexp.errors`."""

from __future__ import annotations

from molexp.errors import ExecutorError


class JobEndedError(ExecutorError):
    """The job of a call has ended, and left no answer.

    Attributes:
        job: the id of the job.
        word: Slurm's word for its end, such as ``TIMEOUT``; "" if Slurm does not know it any more.
        printed: the last lines that it printed.

    Example:
        >>> from molexp_slurm import JobEndedError
        >>> print(JobEndedError("a/b/c", job="12_3", word="TIMEOUT"))
        Job 12_3 of the call 'a/b/c' has ended without an answer: Slurm says TIMEOUT.
    """

    def __init__(self, call: str, *, job: str, word: str, printed: str = "", number: str = "") -> None:
        self.job = job
        self.word = word
        self.printed = printed
        told = (
            f"Slurm says {word}"
            if word
            else "Slurm does not know it any more, so it was probably cancelled before it began"
        )
        by = {"scheduler": "slurm", "job": number, "word": word or "unknown"} if number else {}
        shown = f" It printed last: {printed.splitlines()[-1]}" if printed else ""
        super().__init__(
            f"Job {job} of the call {call!r} has ended without an answer: {told}.{shown}", call=call, scheduler=by
        )
