"""Run the command line as ``python -m molexp``, if it is installed."""

from __future__ import annotations

import runpy
import sys
from importlib.util import find_spec

if find_spec("molexp_cli") is None:
    sys.exit("molexp: the command line is not installed. Install it: pip install molexp-cli")
runpy.run_module("molexp_cli", run_name="__main__")
