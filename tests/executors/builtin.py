"""The executors that come with the core, and what their conformance kit submits: private modules, named here alone."""

from __future__ import annotations

from molexp._executors import InlineExecutor, ProcessExecutor
from molexp.testing import _executor_calls as kit
from molexp.testing._executor_base import Gate

__all__ = ["Gate", "InlineExecutor", "ProcessExecutor", "kit"]
