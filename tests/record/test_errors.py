"""Every error MolExp raises on purpose has one root, one place to import from, and survives pickling."""

from __future__ import annotations

import copy
import inspect
import pickle

import pytest

import molexp as me
from molexp import errors

CLASSES = [getattr(errors, name) for name in errors.__all__]

ARGUMENTS = {
    "key": "a/b",
    "url": "file:///lab",
    "what": "run",
    "name": "cu",
    "recorded": "sha256:ab",
    "stored": {"a": 1},
    "given": {"a": 2},
    "hint": "Use another name.",
    "queue": "night",
    "scheduler": {"state": "NODE_FAIL"},
    "reason": "it is bad",
    "path": "results.x",
    "type_name": "object",
    "found": 2,
    "removed": False,
    "known": 1,
    "run": "p/e/r",
    "attempt": 2,
    "host": "node7",
    "pid": 42,
    "age": 3.5,
    "as_of": "2026-11-28T09:30:00Z",
    "trace": 'Traceback (most recent call last):\n  File "s.py", line 3, in <module>',
    "status": "succeeded",
    "by": "process 7 on h",
    "why": "it has ended",
    "owner": "task 'a'",
    "kinds": ["artifact", "log"],
    "scope": "p/e",
    "command": "ls",
    "exit_code": 3,
    "out_of_memory": True,
    "log": "shell",
    "tail": "oops",
    "timeout": 1.5,
    "causes": {"x (x 1.0)": "ImportError"},
    "asked": "s3://",
    "message": "It went wrong.",
    "operation": "append",
    "capability": "append",
    "detail": "EACCES",
    "sort": "pipe",
    "folder": "projects",
    "action": "write",
    "nearest": ["a", "b"],
    "where": "the lab",
    "package": "molexp-s3-store",
    "file": "molcfg.yaml",
    "line": 3,
    "call": "relax",
    "traceback": "Traceback: oops",
    "workflow": "relax",
    "task": "energies",
    "cycle": ["a", "b", "a"],
    "missing": "bild",
    "experiment": "p/e",
    "failed": ["energies", "gaps"],
    "abandoned": True,
    "script": "train.py",
    "text": "a < ?",
    "position": 1,
}


def instance(cls):
    """An error of this class, with every argument that it takes."""
    values = dict(ARGUMENTS)
    if cls is errors.PluginMissingError:
        values["known"] = ["file"]
    positional, named = [], {}
    for parameter in inspect.signature(cls).parameters.values():
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            continue
        if parameter.kind is parameter.KEYWORD_ONLY:
            named[parameter.name] = values[parameter.name]
        else:
            positional.append(values[parameter.name])
    return cls(*positional, **named)


@pytest.mark.parametrize("cls", CLASSES)
def test_it_is_one_tree_importable_from_the_top(cls):
    assert issubclass(cls, me.MolexpError)
    assert getattr(me, cls.__name__) is cls
    assert cls.__name__ in me.__all__
    assert cls.__doc__


def test_nothing_of_the_tree_is_left_out():
    defined = {name for name, value in vars(errors).items() if inspect.isclass(value) and issubclass(value, Exception)}

    assert defined == set(errors.__all__)


@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("cls", CLASSES)
def test_it_survives_pickling_with_message_and_facts(cls, protocol):
    error = instance(cls)
    again = pickle.loads(pickle.dumps(error, protocol))

    assert type(again) is cls
    assert str(again) == str(error)
    assert vars(again) == vars(error)
    assert vars(copy.copy(error)) == vars(error)


@pytest.mark.parametrize("cls", CLASSES)
def test_its_message_is_a_sentence_with_the_facts(cls):
    text = str(instance(cls))

    assert text
    assert "  " not in text.replace("\n  ", "\n").replace("given:  ", "given: ")
    assert "None" not in text
    assert not text.startswith(("'", '"')) or "'" in text[1:]


@pytest.mark.parametrize(
    ("cls", "builtin"),
    [
        (me.NotFoundError, LookupError),
        (me.KeyNotFoundError, me.NotFoundError),
        (me.KeyNotFoundError, me.StoreError),
        (me.InvalidKeyError, ValueError),
        (me.InvalidNameError, ValueError),
        (me.SerializationError, ValueError),
        (me.ProfileError, ValueError),
        (me.QueryError, ValueError),
        (me.NoKindError, TypeError),
        (me.NotPicklableError, TypeError),
        (me.PluginMissingError, LookupError),
        (me.ReadOnlyError, me.StorePermissionError),
    ],
)
def test_old_habits_still_work(cls, builtin):
    with pytest.raises(builtin):
        raise instance(cls)


class StrangersError(me.RunError):
    """A plugin's own, with its own idea of arguments."""

    def __init__(self, temperature, *, unit):
        self.temperature = temperature
        super().__init__(f"too hot: {temperature} {unit}", run="p/e/r")


def test_a_strangers_subclass_survives_pickling_too():
    again = pickle.loads(pickle.dumps(StrangersError(3000, unit="K")))

    assert (type(again), again.temperature, again.run, str(again)) == (StrangersError, 3000, "p/e/r", "too hot: 3000 K")


def test_an_error_raised_for_real_survives_pickling(exp):
    raised = []
    for provoke in (
        lambda: exp.project.Experiment("cu", params={"a": 0}),
        lambda: exp.run("nowhere"),
        lambda: exp.Run(id=".."),
        lambda: exp.Run({"x": float("nan")}),
        lambda: exp.project.workspace.data_assets["nowhere"],
    ):
        with pytest.raises(me.MolexpError) as caught:
            provoke()
        raised.append(caught.value)

    assert [str(pickle.loads(pickle.dumps(error))) for error in raised] == [str(error) for error in raised]


def test_every_public_name_is_there():
    assert len(set(me.__all__)) == len(me.__all__)
    for name in me.__all__:
        assert getattr(me, name) is not None
    assert set(me.__all__) <= set(dir(me))
    with pytest.raises(AttributeError, match="no attribute 'Nowhere'"):
        getattr(me, "Nowhere")  # noqa: B009 - a type checker would refuse the name, as it should
