"""The contracts that plugins implement; each is specified in its own docstrings."""

from __future__ import annotations

from typing import TYPE_CHECKING

from molexp._values.canonical import canonical_json
from molexp._values.late_names import late_names
from molexp.contracts._declared import Declared
from molexp.contracts._keys import RemotePath, check_key
from molexp.contracts._kinds import (
    Accepts,
    AssetKind,
    Describes,
    GrowingAsset,
    Grows,
    Growth,
    Merges,
    NoFields,
    Preview,
    Previews,
    Restores,
    Sink,
    Source,
    Upgrades,
    Validates,
)
from molexp.contracts._schemes import RunIdentity, RunIdScheme
from molexp.contracts._settings import complete_options, storage_settings_files
from molexp.contracts._store import Capability, Durability, Listing, Stat, Store
from molexp.contracts._streams import Anchored, Appender, Cloning, ReadableWriter, StagedFile, StreamWriter

if TYPE_CHECKING:
    from molexp.contracts._executors import Call, Executor, Outcome, Progress
    from molexp.contracts._queues import JOB_ENDS, JOB_ID, JOB_INDEX, Batch, Job, JobState, Queue
    from molexp.contracts._resources import Resources

__all__ = [
    "JOB_ENDS",
    "JOB_ID",
    "JOB_INDEX",
    "Accepts",
    "Anchored",
    "Appender",
    "AssetKind",
    "Batch",
    "Call",
    "Capability",
    "Cloning",
    "Declared",
    "Describes",
    "Durability",
    "Executor",
    "GrowingAsset",
    "Grows",
    "Growth",
    "Job",
    "JobState",
    "Listing",
    "Merges",
    "NoFields",
    "Outcome",
    "Preview",
    "Previews",
    "Progress",
    "Queue",
    "ReadableWriter",
    "RemotePath",
    "Resources",
    "Restores",
    "RunIdScheme",
    "RunIdentity",
    "Sink",
    "Source",
    "StagedFile",
    "Stat",
    "Store",
    "StreamWriter",
    "Upgrades",
    "Validates",
    "canonical_json",
    "check_key",
    "complete_options",
    "storage_settings_files",
]


if not TYPE_CHECKING:  # to a type checker it would make every misspelt name one of unknown type
    __getattr__ = late_names(  # seldom needed, and not cheap to import
        __name__,
        {
            "molexp.contracts._executors": ("Call", "Executor", "Outcome", "Progress", "Resources"),
            "molexp.contracts._queues": ("JOB_ENDS", "JOB_ID", "JOB_INDEX", "Batch", "Job", "JobState", "Queue"),
        },
    )
