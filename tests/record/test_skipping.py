"""A run that succeeded is skipped, where its user asks for that."""

from __future__ import annotations

import asyncio

import pytest

import molexp as me


def work(run, did, **start):
    if ctx := run.start(if_succeeded="skip", **start):
        with ctx:
            did.append(ctx.attempt)
            ctx.set_result("n", len(did))
    return ctx


def test_the_block_is_executed_until_the_run_has_succeeded(run):
    did: list[int] = []
    assert work(run, did)
    skipped = work(run, did)
    assert not skipped
    assert skipped.run.results == {"n": 1}
    assert did == [1]
    assert len(run.execution_history) == 1, "no attempt is made of it"
    assert "had succeeded" in repr(skipped)


@pytest.mark.parametrize("status", ["failed", "cancelled", "interrupted"])
def test_a_run_that_has_ended_otherwise_is_started_again(run, status):
    run.start().finish(status)
    did: list[int] = []
    assert work(run, did)
    assert (did, run.status) == ([2], "succeeded")


def test_output_is_captured_only_if_the_block_is_executed(run):
    with run.start(if_succeeded="skip", capture=True):
        print("once")
    assert run.log("stdout").text() == "once\n"
    assert not run.start(if_succeeded="skip", capture=True)
    print("not captured")
    assert run.log("stdout").text() == "once\n"


def test_a_run_that_goes_on_is_busy(place, run):
    with run.start(), pytest.raises(me.RunBusyError):
        place.load().run(run.path).start(if_succeeded="skip")


def test_a_block_that_does_not_ask_is_told_how_to(run):
    work(run, [])
    skipped = run.start(if_succeeded="skip")
    advice = r'if ctx := run\.start\(if_succeeded="skip"\)'
    with pytest.raises(me.RunFinishedError) as caught, skipped:
        pytest.fail("the block is executed")
    assert 'if ctx := run.start(if_succeeded="skip")' in caught.value.__notes__[0]
    with pytest.raises(AttributeError, match=advice):
        skipped.set_result("n", 2)
    with pytest.raises(AttributeError, match=r"^nothing$"):
        skipped.nothing  # noqa: B018

    async def within():
        async with run.start(if_succeeded="skip"):
            pytest.fail("the block is executed")

    with pytest.raises(me.RunFinishedError):
        asyncio.run(within())
    assert len(run.execution_history) == 1


def test_another_word_is_refused(run):
    with pytest.raises(ValueError, match="'rerun', 'error' or 'skip', not 'ignore'"):
        run.start(if_succeeded="ignore")
