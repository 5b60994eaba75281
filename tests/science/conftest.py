"""Fixtures of the tests of scientific libraries, and what they need beyond the group test."""

from __future__ import annotations

from importlib.util import find_spec

from tests.servers.fixtures import moto

__all__ = ["moto"]

_NEEDED = {  # both are in the group dev; Pillow comes with matplotlib
    "ase": ("test_structures.py", "test_trajectories.py"),
    "matplotlib": ("test_figures.py", "test_images.py"),
}
collect_ignore = [file for module, files in _NEEDED.items() if find_spec(module) is None for file in files]
