"""The callback by which a call says that it begins; that it waits for its turn until then is in the kit."""

from __future__ import annotations

import pickle

from molexp.contracts import Call
from tests.executors.builtin import kit as calls


def test_the_callback_of_a_call_is_not_pickled():
    call = Call(calls.add, (1,), name="one", started=lambda: None)

    assert pickle.loads(pickle.dumps(call)) == call
    assert pickle.loads(pickle.dumps(call)).started is None
