"""Executors of the core, and what an executor of a plugin is made of: calls and their answers as bytes.

A worker that somebody else starts, such as the job of a scheduler, gets the bytes of `pack`, gives them to `run_packed`, and brings
the bytes of its answer back to `unpack`. One that lives long makes each call in a `ProcessExecutor` of its own, by
`unpacked_call`: it can be stopped there, and a crash costs one call.
"""

from __future__ import annotations

from molexp._executors import ProcessExecutor
from molexp._executors.packed import pack, run_packed, unpack, unpacked_call

__all__ = ["ProcessExecutor", "pack", "run_packed", "unpack", "unpacked_call"]
