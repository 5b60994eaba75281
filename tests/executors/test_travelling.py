"""Calls go to a worker and results come back; of what cannot, the reason is told."""

from __future__ import annotations

import asyncio
import os
import sys
import traceback
from importlib.util import find_spec

import pytest

from molexp.contracts import Call, Outcome, check_key
from molexp.errors import InvalidKeyError, NotPicklableError, RemoteError
from tests.executors import calls
from tests.executors.builtin import ProcessExecutor, kit


@pytest.fixture(scope="module")
def shared():
    """One executor for what leaves its worker alive; used by one event loop after another."""
    executor = ProcessExecutor(workers=1)
    yield lambda call: asyncio.run(executor.submit(call))
    asyncio.run(executor.close())


def test_folder_and_path_are_those_of_the_parent_at_each_call(shared, tmp_path, monkeypatch):
    here = os.getcwd()
    assert shared(Call(calls.where)).value[:2] == (here, sys.path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "made_just_now.py").write_text("def answer(): return 42\n")
    import made_just_now  # type: ignore[import-not-found]

    try:
        assert shared(Call(made_just_now.answer)).value == 42
    finally:
        del sys.modules["made_just_now"]
    shared(Call(calls.wander, ("/",)))
    assert shared(Call(calls.where)).value[:2] == (str(tmp_path), sys.path)


def test_a_current_folder_that_is_gone_is_no_obstacle(shared, tmp_path, monkeypatch):
    shared(Call(calls.where))
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    assert shared(Call(kit.add, (1,))) == Outcome(value=1)


def test_methods_partials_and_large_values_travel(shared):
    large = os.urandom(3_000_000)
    assert shared(Call(calls.Adder(2).add, (3,))) == Outcome(value=5)
    assert shared(Call(kit.give, (large,))).value == large
    assert shared(Call(kit.give, (calls.Point(1),))).value == calls.Point(1)
    assert shared(Call(kit.give, (ValueError("a value"),))).error is None


@pytest.mark.parametrize(
    ("call", "told"),
    [
        (Call(lambda: 1), ["The function", "<lambda>", "a lambda", "Define it at the top level of a module."]),
        (
            Call(calls.nested(), name="relax"),
            ["nested.<locals>.inner of the call 'relax'", "inside another function", "top level of a module"],
        ),
        (Call(kit.give, (1, lambda: 1)), ["Argument 2, of type function,", "top level of a module"]),
        (Call(kit.give, kwargs={"value": sys.stdout}), ["The argument 'value'", "Pass the file's path"]),
        (Call(kit.give, ([[calls.generator()]],)), ["Argument 1, of type list", "generator"]),
    ],
    ids=["lambda", "nested", "argument", "file", "generator"],
)
def test_a_call_that_cannot_travel_names_the_part_and_what_to_do(shared, call, told):
    error = shared(call).error
    assert type(error) is NotPicklableError
    for part in told:
        assert part in str(error)


def test_a_result_that_cannot_travel_is_named(shared, tmp_path):
    (tmp_path / "a").touch()
    error = shared(Call(calls.opened, (str(tmp_path / "a"),), name="open it")).error
    assert type(error) is NotPicklableError
    assert "The result, of type TextIOWrapper, of the call 'open it'" in str(error)
    assert "cannot be loaded" in str(shared(Call(calls.unloadable)).error)


def test_an_argument_that_workers_cannot_load_is_told_with_its_traceback(shared):
    error = shared(Call(kit.give, (calls.Unloadable(),))).error
    assert type(error) is NotPicklableError
    assert "OSError: cannot be loaded" in str(error)
    assert "in explode" in str(error.__cause__)


def test_errors_bring_their_traceback_causes_and_notes(shared):
    error = shared(Call(calls.chained)).error
    assert type(error) is ValueError
    assert error.__notes__ == ["a note"]
    text = "".join(traceback.format_exception(error))
    for part in ("in chained", "KeyError: 'the first'", "direct cause", "ValueError: the second"):
        assert part in text
    assert "worker.py" not in text, "our own frames say nothing"


def test_an_error_that_cannot_travel_is_replaced(shared):
    error = shared(Call(kit.stubborn)).error
    assert type(error) is RemoteError
    assert (error.call, error.type_name) == ("stubborn", f"{kit.__name__}.Stubborn")
    assert error.message == "stubborn at step 8"
    assert "in stubborn" in error.traceback


@pytest.mark.skipif(find_spec("cloudpickle") is None, reason="THERE IS NO CLOUDPICKLE")
def test_a_function_of_the_core_may_be_sent_by_its_code():
    """As Dask sends those of a module that `register_pickle_by_value` names, with the globals that they use."""
    import cloudpickle  # type: ignore[import-untyped]

    module = sys.modules[check_key.__module__]
    cloudpickle.register_pickle_by_value(module)
    try:
        sent = cloudpickle.loads(cloudpickle.dumps(check_key))
    finally:
        cloudpickle.unregister_pickle_by_value(module)
    assert sent is not check_key
    assert sent("a/b") == "a/b"
    with pytest.raises(InvalidKeyError, match="segment"):
        sent("a/../b")
