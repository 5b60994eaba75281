"""Queues are a sort of plugins, registered and found by name."""

from __future__ import annotations

import pickle
from types import SimpleNamespace

import pytest

import molexp as me
from molexp.contracts import Batch, JobState, Queue


class Printed(Queue):
    """A queue that submits nothing."""

    name = "printed"

    def script(self, batch):
        return " ".join(batch.command)

    def submit(self, batch):
        raise me.QueueUnavailableError(self.name, "no printer")

    def look(self, batches):
        return []

    def cancel(self, ids):
        pass


def manager() -> me.PluginManager:
    plugin = SimpleNamespace(__name__="printing", molexp_register_queues=me.hookimpl(lambda: [Printed]))
    plugin.molexp_register_queues.__name__ = "molexp_register_queues"
    return me.PluginManager(environ={}, extra=[plugin])


def test_a_queue_is_found_by_its_name_and_the_distribution_of_a_missing_one_is_named():
    assert manager().queue("printed") is Printed
    assert "printed" in manager().queues()
    assert Printed().largest() is None
    with pytest.raises(me.PluginMissingError, match="printed"):
        manager().queue("printer")
    with pytest.raises(me.PluginError, match="molexp-slurm"):
        me.PluginManager(environ={"MOLEXP_PLUGINS": "molexp-core"}).queue("slurm")


def test_an_engine_that_does_not_answer_is_another_error_than_one_that_refuses():
    with pytest.raises(me.QueueUnavailableError, match=r"no printer.*try again") as caught:
        Printed().submit(Batch(token="t", command=("true",), folder="/"))
    assert isinstance(caught.value, me.QueueError)
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)


def test_jobs_that_may_still_do_something_are_alive():
    assert [state for state in JobState if state.alive] == [JobState.QUEUED, JobState.HELD, JobState.RUNNING]
