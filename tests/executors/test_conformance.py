"""Both built-in executors keep the contract."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from molexp.contracts import Executor
from molexp.plugins import PluginManager
from molexp.testing import ExecutorTests
from tests.executors.builtin import InlineExecutor, ProcessExecutor


def closing(executor: Executor) -> Iterator[Executor]:
    yield executor
    asyncio.run(executor.close())


@pytest.fixture(scope="module")
def inline() -> Iterator[Executor]:
    yield from closing(InlineExecutor())


@pytest.fixture(scope="module")
def process() -> Iterator[Executor]:
    yield from closing(ProcessExecutor(workers=2))


def test_both_are_registered_by_name_like_anybodys():
    manager = PluginManager(environ={})
    assert manager.executor("inline") is InlineExecutor
    assert manager.executor("process") is ProcessExecutor


class TestInlineExecutor(ExecutorTests):
    @pytest.fixture
    def executor(self, inline: Executor) -> Executor:
        return inline


class TestProcessExecutor(ExecutorTests):
    @pytest.fixture
    def executor(self, process: Executor) -> Executor:
        return process
