"""Profile files for tests: written, resolved, refused."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

import molexp as me
from molexp.scripts import Profiles

SOLVERS = """
defaults:
  solver: {tol: 1e-3, steps: 100}
  device: cpu
profiles:
  plain:
  tight:
    solver: {tol: 1e-9}
  gpu:
    extends: tight
    device: cuda
"""


def write(folder: Path, text: str, name: str = "molcfg.yaml") -> Path:
    (folder / name).write_text(dedent(text), encoding="utf-8")
    return folder / name


def config(
    folder: Path,
    text: str,
    profile: str | None = None,
    overrides: Mapping[str, Any] | None = None,
    *,
    name: str = "molcfg.yaml",
) -> Any:
    return Profiles.read(write(folder, text, name)).resolve(profile, overrides)


def travelled(error: BaseException) -> BaseException:
    """Return what comes of an error in another process, without the calls that led to it.

    Once distributed is imported, pickle takes those along, too: hundreds of them, if a file is nested deeply.
    """
    error.__context__ = None
    copy: BaseException = pickle.loads(pickle.dumps(error.with_traceback(None)))
    return copy


def refusal(folder: Path, text: str, name: str = "molcfg.yaml") -> me.ProfileError:
    with pytest.raises(me.ProfileError) as caught:
        profiles = Profiles.read(write(folder, text, name))
        for one in profiles.names:
            profiles.resolve(one)
    assert caught.value.file == str(folder / name)
    assert str(caught.value).startswith(str(folder / name))
    assert str(travelled(caught.value)) == str(caught.value)
    return caught.value
