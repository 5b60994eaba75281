"""The contracts that plugins implement; each is specified in its own docstrings."""

from molexp.contracts._executors import Call, Executor, Outcome, Resources
from molexp.contracts._kinds import (
    Accepts,
    AssetKind,
    Merges,
    NoFields,
    Previews,
    Sink,
    Source,
    Upgrades,
    Validates,
)
from molexp.contracts._schemes import RunIdentity, RunIdScheme
from molexp.contracts._store import Appender, Capability, Listing, Stat, Store, StreamWriter, check_key

__all__ = [
    "Accepts",
    "Appender",
    "AssetKind",
    "Call",
    "Capability",
    "Executor",
    "Listing",
    "Merges",
    "NoFields",
    "Outcome",
    "Previews",
    "Resources",
    "RunIdScheme",
    "RunIdentity",
    "Sink",
    "Source",
    "Stat",
    "Store",
    "StreamWriter",
    "Upgrades",
    "Validates",
    "check_key",
]
