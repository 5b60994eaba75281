"""Explore many schedules, or replay one: ``python -m tests.model.explore --variant file --seed 17``."""

from __future__ import annotations

import argparse
import gc
import os
import shlex
import sys
import tempfile
import time
import traceback

HASH_SEED = "0"


def main() -> int:
    """Explore; exit code 1 if something was found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--variant", choices=("file", "local", "segment"), action="append")
    parser.add_argument("--seed", type=int, default=0, help="the first seed")
    parser.add_argument("--count", type=int, default=1, help="how many, from there on")
    parser.add_argument("--mutant", default="", help="explore a protocol that was broken in this way")
    parser.add_argument("--aim", default="", help="stall a writer (w), reader (r) or compactor (c) there: w:create")
    parser.add_argument("--keepers", action="store_true", help="runs are freed and brought back, too")
    parser.add_argument("--seconds", type=float, default=0.0, help="stop after so long")
    parser.add_argument("--keep-going", action="store_true", help="do not stop at the first")
    parser.add_argument("--trace", action="store_true", help="show what happened, whatever comes of it")
    given = parser.parse_args()
    if os.environ.get("PYTHONHASHSEED") != HASH_SEED:  # sets are iterated in an order that it decides
        os.environ["PYTHONHASHSEED"] = HASH_SEED
        os.execv(sys.executable, [sys.executable, "-m", "tests.model.explore", *sys.argv[1:]])
    with tempfile.TemporaryDirectory(prefix="molexp-model-", dir=_memory()) as folder:
        tempfile.tempdir = folder
        return _explore(given)


def _memory() -> str | None:
    return "/dev/shm" if os.access("/dev/shm", os.W_OK) else None


def _explore(given: argparse.Namespace) -> int:
    from tests.model.mutants import applied
    from tests.model.trial import VARIANTS, Trial

    gc.disable()  # what it would close, and when, is not the seed's to decide
    began = time.perf_counter()
    failed = done = operations = 0
    with applied(given.mutant):
        for seed in range(given.seed, given.seed + given.count):
            for variant in given.variant or VARIANTS:
                if given.seconds and time.perf_counter() - began > given.seconds:
                    break
                trial = Trial(variant, seed, given.aim, keepers=given.keepers)
                try:
                    trial.run()
                except Exception as error:  # noqa: BLE001 - whatever it is, it was found
                    failed += 1
                    if given.keep_going:
                        print(f"{variant} {seed}: {type(error).__name__}: {str(error)[:300]}", flush=True)
                    else:
                        _report(trial.trace, f"--variant {variant} --seed {seed}", given, error)
                        return 1
                else:
                    if given.trace:
                        print("\n".join(trial.trace))
                done += 1
                if done % 50 == 0:
                    gc.collect()
                operations += trial.simulation.operations
    seconds = time.perf_counter() - began
    print(f"{done} trials, {failed} failed, {operations} operations, {seconds:.1f} s")
    return 1 if failed else 0


def _report(trace: list[str], which: str, given: argparse.Namespace, error: Exception) -> None:
    print("\n".join(trace))
    print("".join(traceback.format_exception(error)))
    aim = f" --aim {shlex.quote(given.aim)}" if given.aim else ""
    keepers = " --keepers" if given.keepers else ""
    mutant = f" --mutant {shlex.quote(given.mutant)}" if given.mutant else ""
    print(f"To replay it: python -m tests.model.explore {which}{aim}{keepers}{mutant}")


if __name__ == "__main__":
    sys.exit(main())
