"""Trajectories of ASE grow frame by frame, survive ``kill -9``, and are read frame by frame."""

from __future__ import annotations

import io
import json
import os
import pickle
import signal
import subprocess
import sys
import tracemalloc
from functools import partial
from textwrap import dedent
from typing import Any

import pytest
from ase import Atoms
from ase.build import bulk, molecule
from ase.calculators.singlepoint import SinglePointCalculator
from ase.io import read
from ase.io.trajectory import Trajectory

import molexp as me
from molexp.errors import AssetError, SerializationError
from molexp.testing import AssetKindTests
from molexp_science import Frames, TrajectoryFields, TrajectoryKind
from molexp_science._extxyz import write_frame
from tests.science import atoms as helpers


@pytest.fixture
def workspace(tmp_path):
    return me.Workspace(tmp_path / "lab")


@pytest.fixture
def run(workspace):
    return workspace.Project("p").Experiment("e").Run(id="r")


def steps(count, first=0):
    """Yield the steps of a molecule that moves, each with its number and an energy."""
    for step in range(first, first + count):
        atoms = molecule("H2O")
        atoms.positions[0, 0] = step / 7
        atoms.info["step"] = step
        atoms.calc = SinglePointCalculator(atoms, energy=-step / 3)
        yield atoms


def numbers(frames):
    return [atoms.info["step"] for atoms in frames]


def in_memory(*frames) -> Any:
    return Memory(*frames)


class Memory:
    """Frames in memory."""

    name, fields, schema, distribution = "a", None, 1, ""

    def __init__(self, *frames):
        self.data = b"".join(write_frame(atoms)[0] for atoms in frames)

    def open(self):
        return io.BytesIO(self.data)


class TestTrajectoryKind(AssetKindTests):
    def kind(self):
        return TrajectoryKind

    def objects(self):
        varied = in_memory(*helpers.various())
        return [Frames([varied]), Frames([in_memory(*steps(20))]), Frames([in_memory(Atoms()), varied])]

    def is_same(self, one, other):
        return one == other if isinstance(one, TrajectoryFields) else helpers.are_same([*one], [*other])

    def fields(self, obj):
        frames = [*obj]
        sizes = {len(atoms) for atoms in frames}
        formulas = {atoms.get_chemical_formula("hill") for atoms in frames}
        energies = [float(atoms.calc.results["energy"]) if atoms.calc else None for atoms in frames]
        known = [energy for energy in energies if energy is not None]
        return TrajectoryFields(
            n_frames=len(frames),
            n_atoms=sizes.pop() if len(sizes) == 1 else None,
            n_atoms_min=min((len(atoms) for atoms in frames), default=0),
            n_atoms_max=max((len(atoms) for atoms in frames), default=0),
            formula=formulas.pop() if len(formulas) == 1 else None,
            elements=tuple(sorted({symbol for atoms in frames for symbol in atoms.get_chemical_symbols()})),
            energy_min=min(known, default=None),
            energy_max=max(known, default=None),
            energy_last=energies[-1] if energies else None,
        )


# -------------------------------------------------------------------------------------------------------------- saving


def test_lists_and_generators_and_trajectories_of_ase_are_saved(run, tmp_path):
    with Trajectory(tmp_path / "md.traj", "w") as file:
        for atoms in steps(4):
            file.write(atoms)
    with run.start() as ctx, Trajectory(tmp_path / "md.traj") as file:
        ctx.trajectory.save("list", [*steps(4)])
        ctx.trajectory.save("generator", steps(4))
        ctx.save("of_ase", file)
        ctx.save("part_of_ase", file[1:3])
        ctx.save("ours", ctx.trajectory.load("list")[2:])
    found = {asset.name: numbers(asset.load()) for asset in run.assets}
    whole = [0, 1, 2, 3]
    assert found == {"list": whole, "generator": whole, "of_ase": whole, "part_of_ase": [1, 2], "ours": [2, 3]}
    assert {asset.fields.energy_min for asset in run.assets} == {-1.0, -2 / 3}


def test_others_read_the_file(run):
    with run.start() as ctx:
        asset = ctx.trajectory.save("md", steps(3))
    assert asset.path.name == "md.xyz"
    found = read(asset.path, ":")
    assert [atoms.get_potential_energy() for atoms in found] == [0.0, -1 / 3, -2 / 3]
    assert [atoms.positions[0, 0] for atoms in found] == [0.0, 1 / 7, 2 / 7]


def test_a_generator_that_raises_leaves_nothing_and_the_name_is_free(workspace, run):
    def broken():
        yield from steps(100)
        raise RuntimeError("frame 100")

    with run.start() as ctx:
        with pytest.raises(RuntimeError, match="frame 100"):
            ctx.trajectory.save("md", broken())
        with pytest.raises(SerializationError, match=r"frames\[2\].info\['a'\] \(object\)"):
            ctx.trajectory.save("md", [*steps(2), Atoms(info={"a": object()})])
        with pytest.raises(TypeError, match=r"frames\[1\] is to be an ase.Atoms, and is 'x'"):
            ctx.trajectory.save("md", [*steps(1), "x"])
        ctx.trajectory.save("md", steps(2))
    assert len(run.assets) == 1
    assert workspace.fsck(read_data=True).findings == ()


@pytest.mark.parametrize(("wrong", "said"), [(Atoms("H"), r"save \[atoms\]"), (5, "an iterable of ase.Atoms, not int")])
def test_what_has_no_frames_is_refused(run, wrong, said):
    with run.start() as ctx, pytest.raises(ValueError, match=said):
        ctx.trajectory.save("md", wrong)


def test_no_frames_are_a_trajectory_too(run):
    with run.start() as ctx:
        asset = ctx.trajectory.save("md", [])
    assert asset.fields == TrajectoryFields(n_frames=0)
    assert (len(asset.load()), [*asset.load()], asset.preview().text) == (0, [], "trajectory of 0 frames")


# ------------------------------------------------------------------------------------------------------------- growing


def test_it_grows_and_each_flush_is_recorded(run):
    with run.start() as ctx, ctx.trajectory.growing("md", every=3600) as frames:
        for atoms in steps(3):
            frames.append(atoms)
        assert ctx.asset("md").fields.n_frames == 1
        frames.flush()
        fields = ctx.asset("md").fields
        assert (fields.n_frames, fields.energy_last, fields.formula) == (3, -2 / 3, "H2O")
        assert numbers(ctx.trajectory.load("md")) == [0, 1, 2]
        frames.append(bulk("Cu"))
    fields = run.asset("md").fields
    assert (fields.n_frames, fields.n_atoms, fields.formula, fields.energy_last) == (4, None, None, None)
    assert (fields.n_atoms_min, fields.n_atoms_max, fields.elements) == (1, 3, ("Cu", "H", "O"))


def test_a_frame_that_is_refused_is_not_in_it(run):
    with run.start() as ctx, ctx.trajectory.growing("md") as frames:
        frames.append(Atoms("H"))
        with pytest.raises(SerializationError, match=r"frames\[1\]"):
            frames.append(Atoms("H", info={"a": object()}))
        frames.append(Atoms("He"))
    assert [str(atoms.symbols) for atoms in run.asset("md").load()] == ["H", "He"]
    assert run.asset("md").fields.n_frames == 2


KILLED = """
    import json, sys
    import molexp as me
    from tests.science.test_trajectories import steps

    options = json.loads(sys.argv[3])
    run = me.Workspace(sys.argv[1], storage_options=options).Project("p").Experiment("e").Run(id="r")
    first = int(sys.argv[2])
    with run.start() as ctx, ctx.trajectory.growing("md", every=3600) as frames:
        for atoms in steps(1000, first):
            frames.append(atoms)
            if atoms.info["step"] == first + 30:
                frames.flush()
            if atoms.info["step"] == first + 50:
                print("there", flush=True)
                sys.stdin.read()
"""


def killed(url, first, options=None):
    """Let a process of its own append frames to a trajectory, and kill it when 31 of them are flushed, and 51 are there."""
    with subprocess.Popen(
        [sys.executable, "-c", dedent(KILLED), url, str(first), json.dumps(options or {})],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert (process.stdout or sys.stdin).readline() == "there\n"
            os.kill(process.pid, signal.SIGKILL)
        finally:
            process.kill()
    assert process.returncode == -signal.SIGKILL


def test_after_kill_9_every_flushed_frame_is_there_and_the_next_attempt_joins_it(workspace, tmp_path):
    killed(str(tmp_path / "lab"), 0)
    run = workspace.run("p/e/r")
    assert run.status == "interrupted"
    asset = run.asset("md")
    assert asset.fields.n_frames == 31
    assert numbers(asset.load()) == [*range(31)]
    with run.start() as ctx, ctx.trajectory.growing("md") as frames:
        for atoms in steps(5, first=31):
            frames.append(atoms)
    whole = workspace.run("p/e/r").asset("md").load()
    assert numbers(whole) == [*range(36)]
    assert (len(whole), numbers(whole[29:33]), numbers(whole[::-20])) == (36, [29, 30, 31, 32], [35, 15])
    assert workspace.fsck(read_data=True).ok


@pytest.mark.s3
def test_on_s3_every_flushed_frame_is_there_after_kill_9(moto):
    bucket = moto.fresh()
    killed(f"{bucket.url}/lab", 0, bucket.storage_options)
    workspace = me.Workspace(f"{bucket.url}/lab", storage_options=bucket.storage_options)
    run = workspace.run("p/e/r")
    assert run.status == "interrupted"
    frames = run.asset("md").load()
    assert numbers(frames) == [*range(run.asset("md").fields.n_frames)]
    assert len(frames) >= 31
    assert (frames[-1].info["step"], numbers(frames[5:7])) == (len(frames) - 1, [5, 6])
    assert workspace.fsck(read_data=True).ok


# ------------------------------------------------------------------------------------------------------------- reading


@pytest.fixture
def long(run):
    """A trajectory of a thousand frames."""
    with run.start() as ctx:
        return ctx.trajectory.save("md", steps(1000))


def test_it_is_a_sequence(long):
    frames, known = long.load(), range(1000)
    assert len(frames) == 1000
    for index in (0, 5, -1, 999, -1000):
        assert frames[index].info["step"] == known[index]
    for part in (
        slice(5),
        slice(10, 20),
        slice(-3, None),
        slice(None, None, 300),
        slice(5, 1, -2),
        slice(990, 2000),
        slice(8, 8),
    ):
        assert numbers(frames[part]) == [*known[part]]
        assert len(frames[part]) == len(known[part])
    assert numbers(frames[100:200:10][2:-2][::-3]) == [*known[100:200:10][2:-2][::-3]]
    assert frames[100:200][-1].info["step"] == 199
    for wrong in (1000, -1001):
        with pytest.raises(IndexError, match=f"there is no frame {wrong} in <Frames of 'md'>"):
            frames[wrong]
    with pytest.raises(IndexError):
        frames[3:5][2]
    assert numbers(pickle.loads(pickle.dumps(frames[7:9]))) == [7, 8]


class Counted:
    """A source that counts the bytes that are read from it."""

    def __init__(self, source):
        self.name, self.source, self.read = source.name, source, 0

    def open(self):
        counted, stream = self, self.source.open()

        class Stream:
            def __enter__(self):
                return self

            def __exit__(self, *error):
                stream.close()

            def seek(self, place):
                stream.seek(place)

            def readline(self):
                line = stream.readline()
                counted.read += len(line)
                return line

        return Stream()


def test_a_frame_is_read_without_those_behind_it(long):
    source: Any = Counted(long.load().sources[0])
    frames = Frames([source])
    assert len(frames[:10]) == 10
    assert numbers(frames[:10]) == [*range(10)]
    assert frames[12].info["step"] == 12
    for atoms in frames:
        if atoms.info["step"] == 20:
            break
    assert source.read < long.size / 10
    len(frames)
    source.read = 0
    assert frames[-1].info["step"] == 999  # from now on, the places of all frames are known
    assert source.read < long.size / 500


def test_what_is_read_is_compared_with_what_was_recorded(long):
    data = long.path.read_bytes()
    long.path.write_bytes(data.replace(b"step=500", b"step=501"))
    with pytest.raises(me.HashMismatchError):
        numbers(long.load())


def test_a_file_that_is_cut_off_is_an_error():
    memory = in_memory(*steps(2))
    memory.data = memory.data[:-10]
    frames = Frames([memory])
    assert frames[0].info["step"] == 0
    with pytest.raises(AssetError, match="A frame of 'a' is cut off"):
        len(frames)


def test_whoever_lacks_ase_is_told_how_to_install_it(run, monkeypatch):
    with run.start() as ctx:
        ctx.trajectory.save("md", steps(1))
        ctx.save("start", Atoms("H"))
    monkeypatch.setitem(sys.modules, "ase", None)
    for name in ("md", "start"):
        with pytest.raises(
            ModuleNotFoundError, match=f"'{name}' needs ase, which is not installed here: pip install ase"
        ):
            run.asset(name).load()
        assert "H" in run.asset(name).preview().text  # which needs none


def test_it_is_shown_by_its_first_frame(run, long):
    assert long.describe() == "trajectory of 1000 frames, H2O, 3 atoms, energies -333.000000 to 0.000000 eV"
    assert long.preview().text.splitlines()[1:3] == ["first frame:", "O         0.000000      0.000000      0.119262"]


@pytest.mark.soak
def test_memory_does_not_grow_with_the_number_of_frames(run):
    def peak(work):
        tracemalloc.start()
        try:
            work()
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    def frames(count):  # of 17 KB: a few fill every buffer
        crystal = bulk("Cu", cubic=True) * 4
        for step in range(count):
            crystal.info["step"] = step
            yield crystal.copy()

    def grow(ctx, name, count):
        with ctx.trajectory.growing(name) as writer:
            for atoms in frames(count):
                writer.append(atoms)

    with run.start() as ctx:
        for few, many, work in (
            ("a", "b", lambda name, count: ctx.trajectory.save(name, frames(count))),
            ("c", "d", lambda name, count: grow(ctx, name, count)),
            ("a", "b", lambda name, _: sum(1 for _ in ctx.trajectory.load(name[0] + "1"))),
            ("c", "d", lambda name, _: ctx.trajectory.load(name[0] + "1")[-1]),
        ):
            work(f"{few}1", 90)  # imports libraries
            most = peak(partial(work, f"{few}2", 90)) + 1_000_000
            peaks = (peak(partial(work, f"{many}{again}", 180)) for again in (1, 2))
            assert any(found < most for found in peaks), most  # other threads allocate, too
