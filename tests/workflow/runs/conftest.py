"""Execute workflows under runs in the same places as the record's tests."""

from __future__ import annotations

from tests.record.conftest import any_server, ceph, copy, exp, lab, lab_exp, lab_run, moto, place, run, ws

__all__ = ["any_server", "ceph", "copy", "exp", "lab", "lab_exp", "lab_run", "moto", "place", "run", "ws"]
