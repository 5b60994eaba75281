"""A command line in a process of its own, which says what memory it took: `python -m tests.s3.commands ARGUMENT...`."""

from __future__ import annotations

import io
import sys

from molexp_cli._main import run
from tests.s3.actors import peak, say


def main() -> None:
    """Run a first command for the sake of what it imports and connects, then the one that is meant."""
    real, sys.stdout = sys.stdout, io.TextIOWrapper(io.BytesIO())
    run(["assets", "list"])
    sys.stdout = io.TextIOWrapper(io.BytesIO())
    before = peak()
    code = run(sys.argv[1:])
    extra = peak() - before
    sys.stdout.seek(0)
    out, sys.stdout = sys.stdout.read(), real
    say(code=code, out=out, extra=extra)


if __name__ == "__main__":
    main()
