"""The job of a call: ``python -m molexp_slurm._worker FOLDER`` makes the call of its index, and leaves the answer."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from molexp.contracts import JOB_INDEX
from molexp.executors import run_packed
from molexp_slurm._exchange import Exchange


def main() -> None:
    """Make the call, unless it was taken back."""
    exchange, index = Exchange(Path(sys.argv[1])), int(os.environ[JOB_INDEX])
    call = exchange.call(index)
    if call is not None:
        exchange.put_answer(index, run_packed(call))


if __name__ == "__main__":
    main()
