"""Named tensors are loaded as they were saved, of the library that they were of, and nothing is pickled."""

from __future__ import annotations

import json
import os
import sys
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest
from safetensors.numpy import save

import molexp as me
from molexp.testing import AssetKindTests
from molexp_science import TensorsFields, TensorsKind

WEIGHTS = {"layer.weight": np.arange(6.0, dtype="f4").reshape(2, 3), "layer.bias": np.zeros(2, "f4")}


@pytest.fixture
def run(tmp_path):
    return me.Workspace(tmp_path / "lab").Project("p").Experiment("e").Run(id="r")


def saved(run, tensors):
    with run.start() as ctx:
        return ctx.tensors.save("w", tensors)


def leaves(tensors: Mapping[str, Any]):
    for name, one in tensors.items():
        yield from leaves(one) if isinstance(one, dict) else [(name, one)]


def is_same_array(one, other):
    return (type(one), one.dtype, one.shape) == (type(other), other.dtype, other.shape) and bool(
        (np.asarray(one) == np.asarray(other)).all()
    )


class TestTensorsKind(AssetKindTests):
    def kind(self):
        return TensorsKind

    def objects(self):
        return [
            OrderedDict(z=np.zeros((0, 2), "f4"), a=np.array(True), m=np.arange(3, dtype="u2")),
            OrderedDict([("w", np.arange(12.0).reshape(3, 4).T), ("ключ 🙂", np.array([1 + 1j], "c8"))]),
            OrderedDict([("params", {"dense": {"kernel": np.ones((2, 2), "f2"), "bias": np.ones(2, "f2")}})]),
        ]

    def fields(self, obj):
        arrays = [one for _, one in leaves(obj)]
        return TensorsFields(
            package="numpy",
            n_tensors=len(arrays),
            n_parameters=sum(one.size for one in arrays),
            dtypes=tuple(sorted({one.dtype.name for one in arrays})),
            nbytes=sum(one.size * one.itemsize for one in arrays),
        )

    def is_same(self, one, other):
        if not isinstance(one, dict) or not isinstance(other, dict):
            return super().is_same(one, other)
        if type(one) is not type(other) or list(one) != list(other):
            return False
        return all(
            self.is_same(one[name], other[name])
            if isinstance(one[name], dict)
            else is_same_array(one[name], other[name])
            for name in one
        )


def test_a_plain_dict_is_saved_by_naming_the_kind(run):
    asset = saved(run, WEIGHTS)
    found = run.asset("w").load()
    assert type(found) is dict
    assert [*found] == ["layer.weight", "layer.bias"]
    assert found["layer.weight"].tolist() == [[0, 1, 2], [3, 4, 5]]
    assert asset.describe() == "2 tensors with 8 elements of float32, of numpy"
    assert asset.preview().text == "layer.bias  F32  (2,)\nlayer.weight  F32  (2, 3)"


def test_an_ordered_dict_of_tensors_alone_needs_no_kind(run):
    with run.start() as ctx:
        assert ctx.save("weights", OrderedDict(WEIGHTS)).kind == "tensors"
        assert ctx.save("names", OrderedDict(a=1)).kind == "artifact"
        assert ctx.save("none", OrderedDict()).kind == "artifact"


def test_tensors_are_found_by_what_is_in_them(run):
    with run.start() as ctx:
        ctx.tensors.save("small", {"w": np.zeros(3)})
        ctx.tensors.save("large", {"w": np.zeros(3), "b": np.zeros((4, 4), "f2")})
    find = run.experiment.project.workspace.catalog.assets
    assert [one.name for one in find("n_parameters > 10 and 'float16' in dtypes")] == ["large"]
    assert [one.name for one in find("n_tensors == 1 and nbytes == 24 and package == 'numpy'")] == ["small"]


def test_the_file_is_the_one_that_safetensors_writes(run):
    types = ("bool", "int8", "uint16", "float16", "float64", "int64", "complex64")
    tensors: dict[str, Any] = {f"{name} \u03b1": np.arange(7).astype(name) for name in types}
    tensors |= {"scalar": np.array(2.5), "nothing": np.zeros((0, 3)), "turned": np.arange(6.0).reshape(2, 3).T}
    tensors["large"] = np.arange(1 << 19, dtype="f4").reshape(2, -1)
    data = saved(run, tensors).read_bytes()
    length = int.from_bytes(data[:8], "little")
    note = json.loads(data[8 : 8 + length])["__metadata__"]
    assert data == save({name: np.ascontiguousarray(one).reshape(one.shape) for name, one in tensors.items()}, note)


def test_what_is_one_tensor_under_two_names_is_so_again(run):
    shared = np.zeros(1000)
    asset = saved(run, {"embed": shared, "head": shared, "other": shared.copy()})
    found = run.asset("w").load()
    assert found["embed"] is found["head"]
    assert found["embed"] is not found["other"]
    assert asset.fields.n_parameters == 2000
    assert asset.size < 17_000


@pytest.mark.parametrize(
    ("tensors", "why"),
    [
        ({"a": np.zeros(1), "a.b": np.zeros(1), "c": {"d": np.zeros(1)}, "c.d": np.zeros(1)}, "the name 'c.d'"),
        ({"__metadata__": np.zeros(1)}, "has a meaning in safetensors"),
        ({1: np.zeros(1)}, "A name is text"),
        ({"a": np.zeros(1, ">f8")}, "another order"),
        ({"a": np.zeros(1, complex)}, "complex128, which safetensors files do not hold"),
        ({"a": np.array(["text"])}, "do not hold"),
        ({"a": np.zeros((1, 1)).view(np.matrix)}, "numpy.matrix"),
    ],
    ids=["names", "reserved", "number", "bytes", "complex", "text", "matrix"],
)
def test_what_a_file_would_not_give_back_is_refused_and_the_name_is_free(run, tensors, why):
    with run.start() as ctx:
        with pytest.raises(ValueError, match=why):
            ctx.tensors.save("w", tensors)
        ctx.tensors.save("w", WEIGHTS)
    assert len(run.assets) == 1


@pytest.mark.parametrize("tensors", [{}, {"a": {}}, {"a": 1.5}, {"a": np.zeros(1), "step": 3}, [np.zeros(1)]])
def test_what_has_something_else_in_it_is_no_dict_of_tensors(run, tensors):
    with run.start() as ctx, pytest.raises(me.NoKindError):
        ctx.tensors.save("w", tensors)


@pytest.mark.parametrize(
    ("tensors", "advice"),
    [
        ({"a": 1.5}, "Use ctx.artifact.save"),
        ({"state": {0: np.zeros(2)}, "lr": 0.1}, "with ctx.artifact.writing"),
        ({"a": np.zeros(5000), "step": 3}, "with ctx.artifact.writing"),
        (b"", "Use ctx.artifact.save"),
    ],
    ids=["numbers", "an optimizer", "a large array", "bytes"],
)
def test_the_advice_can_be_followed(run, tensors, advice):
    with run.start() as ctx, pytest.raises(me.NoKindError, match=advice):
        ctx.tensors.save("w", tensors)


@pytest.mark.parametrize("library", ["chosen_by_a_file", "os", "", ["numpy"], None])
def test_a_file_does_not_choose_a_module_that_is_imported(run, tmp_path, monkeypatch, library):
    (tmp_path / "chosen_by_a_file.py").write_text("")
    monkeypatch.syspath_prepend(tmp_path)
    metadata = {"molexp": json.dumps({"library": library})}
    with monkeypatch.context() as stranger:
        stranger.setattr("safetensors.numpy.save", lambda tensors, **_: save(tensors, metadata))
        saved(run, WEIGHTS)
    with pytest.raises(me.AssetError, match="numpy, torch, jax"):
        run.asset("w").load()
    assert "chosen_by_a_file" not in sys.modules


def test_a_resume_restores_plain_tensors_in_one_piece_and_no_files(tmp_path):
    mapped = np.memmap(tmp_path / "a", dtype="f8", shape=(2, 2), mode="w+")
    fixed = np.zeros(2)
    fixed.flags.writeable = False
    plain = np.zeros((2, 2))
    for leaf, restored in [
        (plain, True),
        ({"deep": plain[1:]}, True),
        (plain[:, 1], False),
        (np.asfortranarray(np.zeros((2, 3))), False),
        (fixed, False),
        (mapped, False),
        ({"deep": np.asarray(mapped)}, False),
    ]:
        assert TensorsKind().restores(OrderedDict(a=plain, b=leaf)) is restored


def test_whoever_lacks_the_library_is_told_how_to_install_it(run, monkeypatch):
    asset = saved(run, WEIGHTS)
    monkeypatch.delitem(sys.modules, "safetensors.numpy", raising=False)
    monkeypatch.setitem(sys.modules, "safetensors", None)
    with pytest.raises(ModuleNotFoundError, match="pip install safetensors"):
        asset.load()


class TestTorch:
    """State dicts of torch, which is too large to be installed for the tests."""

    @pytest.fixture
    def torch(self):
        return pytest.importorskip("torch", reason="torch is not installed; `pip install torch` runs these")

    def test_a_state_dict_is_loaded_into_a_model(self, run, torch):
        def model():
            return torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.BatchNorm1d(4))

        first, second = model(), model()
        with run.start() as ctx:
            asset = ctx.save("model", first.state_dict())
        found = run.asset("model").load()
        assert asset.kind == "tensors"
        assert asset.fields.package == "torch"
        assert asset.fields.dtypes == ("float32", "int64")
        assert type(found) is OrderedDict
        assert vars(found) == vars(first.state_dict())
        second.load_state_dict(found)
        assert all(torch.equal(one, other) for one, other in zip(first.parameters(), second.parameters(), strict=True))

    def test_types_and_shapes_are_those_that_were(self, run, torch):
        tensors = {
            "bfloat16": torch.tensor([1.5, float("nan")]).to(torch.bfloat16),
            "float8": torch.ones(3).to(torch.float8_e4m3fn),
            "0-d": torch.tensor(3),
            "empty": torch.zeros(0, 5),
            "transposed": torch.arange(6).reshape(2, 3).T,
            "parameter": torch.nn.Parameter(torch.ones(2, dtype=torch.float64)),
            "complex": torch.tensor([1 + 2j], dtype=torch.complex64),
            "bool": torch.tensor([True, False]),
        }
        saved(run, tensors)
        found = run.asset("w").load()
        assert [*found] == [*tensors]
        for name, tensor in tensors.items():
            assert (found[name].dtype, found[name].shape) == (tensor.dtype, tensor.shape)
            one, other = (x.detach().contiguous().reshape(-1).view(torch.uint8) for x in (tensor, found[name]))
            assert torch.equal(one, other), name
            assert not found[name].requires_grad

    def test_tied_weights_are_stored_once_and_tied_again(self, run, torch):
        embed = torch.nn.Embedding(100, 8)
        head = torch.nn.Linear(8, 100, bias=False)
        head.weight = embed.weight
        state = {f"embed.{k}": v for k, v in embed.state_dict().items()} | {
            f"head.{k}": v for k, v in head.state_dict().items()
        }
        asset = saved(run, state)
        found = run.asset("w").load()
        assert found["embed.weight"].data_ptr() == found["head.weight"].data_ptr()
        assert (asset.fields.n_tensors, asset.fields.n_parameters) == (2, 800)

    def test_views_of_one_memory_become_tensors_of_their_own(self, run, torch):
        whole = torch.arange(10.0)
        saved(run, {"low": whole[:6], "high": whole[4:], "all": whole})
        found = run.asset("w").load()
        assert found["low"].tolist() == [0, 1, 2, 3, 4, 5]
        assert found["high"].tolist() == [4, 5, 6, 7, 8, 9]
        assert found["all"].tolist() == [*range(10)]

    def test_a_conjugate_and_a_negative_have_values_of_their_own(self, run, torch):
        base = torch.tensor([1 + 2j, 3 - 4j], dtype=torch.complex64)
        saved(run, {"base": base, "conjugate": base.conj(), "negative": base.conj().imag, "alone": (2 * base).conj()})
        found = run.asset("w").load()
        assert found["base"].tolist() == [1 + 2j, 3 - 4j]
        assert found["conjugate"].tolist() == [1 - 2j, 3 + 4j]
        assert found["negative"].tolist() == [-2, 4]
        assert found["alone"].tolist() == [2 - 4j, 6 + 8j]

    def test_a_small_view_of_a_large_memory_is_small(self, run, torch):
        asset = saved(run, {"a": torch.zeros(1_000_000)[:10]})
        assert asset.size < 1000
        assert run.asset("w").load()["a"].tolist() == [0] * 10

    @pytest.mark.parametrize("make", ["to_sparse", "meta", "complex128"])
    def test_what_a_file_does_not_hold_is_refused(self, run, torch, make):
        dense = torch.ones(2, 2)
        tensor = (
            dense.to_sparse()
            if make == "to_sparse"
            else dense.to("meta")
            if make == "meta"
            else dense.to(torch.complex128)
        )
        with run.start() as ctx, pytest.raises(ValueError, match="The tensor 'a' "):
            ctx.tensors.save("w", {"a": tensor})

    def test_tensors_of_two_libraries_are_two_assets(self, run, torch):
        with run.start() as ctx, pytest.raises(ValueError, match="numpy and torch"):
            ctx.tensors.save("w", {"a": torch.ones(1), "b": np.ones(1)})

    def test_whoever_lacks_torch_is_told_how_to_install_it(self, run, torch, monkeypatch):
        asset = saved(run, {"a": torch.ones(1)})
        monkeypatch.setitem(sys.modules, "torch", None)
        with pytest.raises(ModuleNotFoundError, match="pip install torch"):
            asset.load()

    def test_a_resume_restores_plain_tensors(self, torch):
        tensor = torch.zeros(2, 3)
        tensors = {
            True: [tensor, tensor[1:], torch.nn.Linear(2, 2).state_dict()["weight"]],
            False: [tensor.T, torch.nn.Parameter(tensor), torch.zeros(1, requires_grad=True), tensor.to("meta")],
        }
        for restored, ones in tensors.items():
            assert {TensorsKind().restores(OrderedDict(a=one)) for one in ones} == {restored}
        assert not TensorsKind().restores(OrderedDict(a=torch.zeros(1).share_memory_()))


class TestJax:
    """Parameters of jax, which is too large to be installed for the tests."""

    @pytest.fixture
    def jax(self):
        with patch.dict(os.environ):  # jax sets variables when it is imported
            return pytest.importorskip("jax", reason="jax is not installed; `pip install jax` runs these")

    def test_nested_parameters_are_those_that_were(self, run, jax):
        jnp = jax.numpy
        params = {
            "params": {
                "dense": {"kernel": jnp.arange(6.0).reshape(2, 3).T, "bias": jnp.ones(2, jnp.bfloat16)},
                "s": jnp.array(1),
            }
        }
        asset = saved(run, params)
        found = run.asset("w").load()
        assert asset.fields.package == "jax"
        for (name, one), (other_name, other) in zip(leaves(params), leaves(found), strict=True):
            assert name == other_name
            assert isinstance(other, jax.Array)
            assert (one.dtype, one.shape, one.tolist()) == (other.dtype, other.shape, other.tolist())

    def test_64_bits_are_not_cut_in_silence(self, run, jax):
        with jax.enable_x64(True):
            saved(run, {"a": jax.numpy.ones(1, "float64")})
            assert run.asset("w").load()["a"].dtype == "float64"
        with pytest.raises(ValueError, match="jax_enable_x64"):
            run.asset("w").load()

    def test_a_key_of_random_numbers_is_refused(self, run, jax):
        with run.start() as ctx, pytest.raises(ValueError, match="key_data"):
            ctx.tensors.save("w", {"key": jax.random.key(0)})

    def test_a_resume_restores_arrays_of_the_default_device(self, jax):
        jnp = jax.numpy
        assert TensorsKind().restores(OrderedDict(a=jnp.zeros(2)))
        assert not TensorsKind().restores(OrderedDict(a=jnp.asarray(1.0)))  # of a weak type, which a file does not say
