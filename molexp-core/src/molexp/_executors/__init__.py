"""The executors that come with the core: calls in this process, and in processes beside it."""

from molexp._executors.inline import InlineExecutor
from molexp._executors.process import ProcessExecutor

__all__ = ["InlineExecutor", "ProcessExecutor"]
