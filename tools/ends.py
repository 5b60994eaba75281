"""Show how runs end: ``uv run python tools/ends.py [--store local|s3] [WORDS ...]``.

Ends runs in every way there is, by real processes and signals, in a folder and on an S3 server (moto), and prints the status,
the cause and the reason that are on record then. Exits with 1 if one of them is wrong. Words choose the ways whose names
have them.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from tests.crash.ending import Place, fresh, is_right, play  # noqa: E402 - the checkout's tests are no package
from tests.crash.ends import ENDS  # noqa: E402
from tests.servers import keeper  # noqa: E402

STORES = ("local", "s3")


def places(base: Path, stores: list[str]) -> dict[str, Callable[[int], Place]]:
    """Return what makes a place for each way, on each store."""
    made: dict[str, Callable[[int], Place]] = {}
    if "local" in stores:
        made["local"] = lambda n: Place(folder := fresh(base / f"local-{n}"), str(folder / "lab"), {})
    if "s3" in stores:
        server = keeper.shared("moto", base / "server", os.getpid())
        made["s3"] = lambda n: Place(fresh(base / f"s3-{n}"), *server.fresh().as_environment())
    return made


def main() -> int:
    """Play and print; the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--store", choices=STORES, action="append")
    parser.add_argument("words", nargs="*", metavar="WORD")
    given = parser.parse_args()
    wrong = 0
    with tempfile.TemporaryDirectory(prefix="molexp-ends-") as base:
        for store, place in places(Path(base), given.store or list(STORES)).items():
            print(f"{store:6} {'way':46} {'status':12} {'cause':14} reason")
            for number, end in enumerate(ENDS):
                if not all(word in end.name for word in given.words):
                    continue
                try:
                    found = play(end, place(number))
                except OSError as error:
                    print(f"{store:6} {end.name:46} cannot be tried here: {error}", flush=True)
                    continue
                right = is_right(end, found)
                wrong += not right
                reason = found[2].partition("\n")[0][:90]
                print(f"{store:6} {end.name:46} {found[0]:12} {found[1] or '-':14} {reason}", flush=True)
                if not right:
                    print(f"{'':6} {'WRONG: it should be':46} {end.status:12} {end.cause or '-':14} {end.reason}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
