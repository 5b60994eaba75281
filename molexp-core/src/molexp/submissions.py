"""Submitting runs to queues: what ``molexp submit``, ``queue`` and ``cancel`` do, for programs.

::

    from molexp.scripts import Drive
    from molexp.submissions import Wishes, reconcile, submit

    submitted = submit(Drive("train.py", profile="cluster"), Wishes(at_once=50))
    for row in reconcile(workspace):
        print(row.id, row.states)
"""

from __future__ import annotations

from molexp._submissions.preparing import Preparation, Wishes, prepare
from molexp._submissions.printing import job_output
from molexp._submissions.reconciling import SubmissionRow, cancel_submissions, failed_hosts, reconcile, submissions
from molexp._submissions.submitting import Submitted, submit
from molexp._submissions.withdrawing import Withdrawn, withdraw
from molexp._submissions.working import execute_job

__all__ = [
    "Preparation",
    "SubmissionRow",
    "Submitted",
    "Wishes",
    "Withdrawn",
    "cancel_submissions",
    "execute_job",
    "failed_hosts",
    "job_output",
    "prepare",
    "reconcile",
    "submissions",
    "submit",
    "withdraw",
]
