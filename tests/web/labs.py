"""Workspaces that pages are about: ordinary ones, and what somebody hostile could have written."""

from __future__ import annotations

import math
import zlib
from pathlib import Path

import molexp as me

SCRIPT = "<script>document.title='owned'</script><img src=x onerror=\"document.title='owned'\">"
HTML = f"<!doctype html><title>artifact</title><body>{SCRIPT}<a href='/'>up</a></body>".encode()
SVG = (
    b"<svg xmlns='http://www.w3.org/2000/svg' width='40' height='40' onload=\"document.title='owned'\">"
    b"<script>document.title='owned'; top.document.title='owned'</script><rect width='40' height='40'/></svg>"
)


def png(width: int = 8, height: int = 8) -> bytes:
    """Return a grey picture."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return len(data).to_bytes(4, "big") + name + data + zlib.crc32(name + data).to_bytes(4, "big")

    head = width.to_bytes(4, "big") + height.to_bytes(4, "big") + bytes([8, 0, 0, 0, 0])
    rows = zlib.compress((b"\x00" + b"\x80" * width) * height)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def ordinary(place: Path | str, runs: int = 60) -> me.Workspace:
    """Make a workspace of two experiments: runs with metrics, logs, files and pictures, of which some failed."""
    ws = me.Workspace(place, name="Solvation")
    relax = ws.Project("solvation").Experiment("relax", params={"code": "xtb"})
    for number in range(runs):
        solvent = ("water", "methanol", "dmso")[number % 3]
        try:
            with relax.Run(
                {"solvent": solvent, "charge": number % 2, "accuracy": 10.0 ** -(number % 4)}, id=f"r{number}"
            ).start() as ctx:
                for step in range(30):
                    ctx.metrics.log(
                        step=step, energy=-20 - number / 10 + math.exp(-step / 5), force=math.exp(-step / 6)
                    )
                ctx.log("relax").append(f"solvent {solvent}")
                ctx.artifact.save("charges.json", [number, -number])
                ctx.artifact.save("density.png", png())
                ctx.artifact.save("table.csv", b"atom,charge\nC,0.1\nO,-0.4\n")
                if number % 12 == 5:
                    raise RuntimeError("SCF did not converge in 250 cycles")
                ctx.set_result("energy", -20 - number / 10)
        except RuntimeError:
            pass
    with ws.Project("potentials").Experiment("train").Run({"lr": 0.001}, id="only").start() as ctx:
        ctx.set_result("rmse", 0.004)
    ws.run("solvation/relax/r0").annotate(tags=["good"], note="looks converged")
    return ws


LONG = "energy_of_the_relaxed_structure_with_dispersion_correction_and_zero_point_vibration_in_electronvolt"
"""A name without a blank, as people give them."""


def hostile(place: Path | str) -> me.Workspace:
    """Make a workspace whose texts are markup, or long and without a blank."""
    ws = me.Workspace(place, name=SCRIPT)
    exp = ws.Project("evil").Experiment("x")
    for number in range(3):
        try:
            with exp.Run({SCRIPT: SCRIPT, "n": number, "__proto__": "polluted"}, id=f"e{number}").start() as ctx:
                ctx.metrics.log({SCRIPT: 1.0 + number}, step=0)
                ctx.metrics.log({SCRIPT: 2.0 + number}, step=1)
                ctx.set_result("constructor", SCRIPT)
                ctx.set_result(LONG, "MKV" * 800)
                ctx.log(f"log{number}").append(SCRIPT)
                ctx.artifact.save("page.html", HTML)
                ctx.artifact.save("picture.svg", SVG)
                if number == 1:
                    raise ValueError(f"{SCRIPT} {LONG * 30}")
        except ValueError:
            pass
    ws.run("evil/x/e0").annotate(tags=["<b>bold</b>", LONG], note=SCRIPT)
    return ws
