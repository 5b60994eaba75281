"""Plain values: every conversion that `docs/explanation/values.md` promises, and back."""

from __future__ import annotations

import copy
import dataclasses
import datetime as dt
import decimal
import enum
import math
import pathlib
import types
import typing
import uuid
from collections import OrderedDict

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from molexp._values.documents import decode, encode
from molexp._values.plain import plain, restore
from molexp.errors import SerializationError
from tests.values.strategies import keys, plain_values


class Colour(enum.Enum):
    RED = "red"
    POINT = (1, 2)


class Mode(enum.StrEnum):
    FAST = "fast"


class Level(enum.IntEnum):
    HIGH = 3


@attrs.frozen
class Cell:
    a: float
    kind: Colour
    _hidden: int = 0


@dataclasses.dataclass
class Fit:
    order: int
    cell: object
    table: typing.ClassVar[int] = 7


class Point(typing.NamedTuple):
    x: int
    y: int


TEN = dt.timezone(dt.timedelta(hours=10))


def recorded(value, **options):
    return plain(value, **{"where": "results", "nan": True, **options})


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ((1, (2, 3)), [1, [2, 3]]),
        (Point(1, 2), [1, 2]),
        ({3, 1, 2}, [1, 2, 3]),
        (frozenset(["b", "a", (1,)]), ["a", "b", [1]]),
        ({Mode.FAST: 1, Colour.RED: 2}, {"fast": 1, "red": 2}),
        (OrderedDict(b=1, a=(2,)), {"b": 1, "a": [2]}),
        (types.MappingProxyType({"a": 1}), {"a": 1}),
        (dt.datetime(2026, 11, 23, 8, 30, 21, 500000, tzinfo=dt.UTC), "2026-11-23T08:30:21.500000Z"),
        (dt.datetime(2026, 11, 23, 8, 30, tzinfo=TEN), "2026-11-22T22:30:00Z"),
        (dt.datetime(2026, 11, 23, 8, 30), "2026-11-23T08:30:00"),  # noqa: DTZ001 - a naive one is kept as it is
        (dt.date(2026, 11, 23), "2026-11-23"),
        (dt.time(8, 30), "08:30:00"),
        (dt.timedelta(minutes=1, milliseconds=500), 60.5),
        (Colour.RED, "red"),
        (Colour.POINT, [1, 2]),
        (Mode.FAST, "fast"),
        (Level.HIGH, 3),
        (Cell(3.6, Colour.RED), {"a": 3.6, "kind": "red", "_hidden": 0}),
        (Fit(2, Cell(1.0, Colour.POINT)), {"order": 2, "cell": {"a": 1.0, "kind": [1, 2], "_hidden": 0}}),
        (uuid.UUID(int=1), "00000000-0000-0000-0000-000000000001"),
        (decimal.Decimal("1.10"), "1.10"),
        (pathlib.PurePosixPath("a/b"), "a/b"),
        (
            {"x": math.nan, "y": [math.inf, -math.inf]},
            {"x": {"$float": "nan"}, "y": [{"$float": "inf"}, {"$float": "-inf"}]},
        ),
    ],
)
def test_conversions(value, expected):
    made = recorded(value)
    assert made == expected
    assert type(made) is type(expected)


def test_types_are_the_built_in_ones():
    class Text(str):
        __slots__ = ()

    made = recorded([Text("a"), Level.HIGH, Mode.FAST, {Text("k"): True}])
    assert [type(item) for item in made] == [str, int, str, dict]
    assert type(next(iter(made[3]))) is str


@given(plain_values)
def test_plain_values_are_kept_and_copied(value):
    made = recorded(value)
    before = copy.deepcopy(made)
    assert repr(restore(decode(encode(made), "k"))) == repr(value)
    scribble(value)
    assert repr(made) == repr(before)


@given(plain_values)
def test_restored_values_are_new_objects(value):
    made = recorded(value)
    before = copy.deepcopy(made)
    scribble(restore(made))
    assert repr(made) == repr(before)


def test_a_tag_that_is_kept_is_a_new_object():
    value: dict[str, object] = {"$new": [{"a": []}]}
    scribble(restore(value))
    assert value == {"$new": [{"a": []}]}


def scribble(value):
    """Change every container of a value."""
    if isinstance(value, dict):
        for item in value.values():
            scribble(item)
        value["scribbled"] = 1
    elif isinstance(value, list):
        for item in value:
            scribble(item)
        value.append("scribbled")


@given(st.dictionaries(keys, st.floats() | st.lists(st.floats(), max_size=3), max_size=4))
def test_what_is_not_finite_comes_back(value):
    assert repr(restore(decode(encode(recorded(value)), "k"))) == repr(value)


class TestTags:
    @pytest.mark.parametrize(
        "value",
        [
            {"$asset": "x"},
            {"$float": "nan"},
            {"$": 1, "a": {"$key": 2}},
            {"$dict": [["a", 1]]},
            {"a": 1, "$b": math.nan},
        ],
    )
    def test_a_users_dollar_keys_are_never_a_reference(self, value):
        made = decode(encode(recorded(value)), "k")
        assert list(made) == ["$dict"]
        assert repr(restore(made, resolve=lambda tag, payload: pytest.fail(f"taken for {tag}"))) == repr(value)

    def test_a_dollar_elsewhere_is_nothing_special(self):
        assert recorded({"a$": "$b"}) == {"a$": "$b"}

    def test_references(self):
        home = pathlib.PurePosixPath("/lab")

        def refer(value):
            if isinstance(value, pathlib.PurePath) and value.is_relative_to(home):
                return {"$key": str(value.relative_to(home))}
            return None

        value = {
            "in": home / "a/b",
            "out": pathlib.PurePosixPath("/etc"),
            "many": [home / "c"],
            "when": dt.date(2026, 1, 2),
        }
        made = recorded(value, refer=refer)
        assert made == {"in": {"$key": "a/b"}, "out": "/etc", "many": [{"$key": "c"}], "when": "2026-01-02"}
        moved = pathlib.PurePosixPath("/moved")
        back = restore(made, resolve=lambda tag, key: moved / key if tag == "$key" else None)
        assert back == {"in": moved / "a/b", "out": "/etc", "many": [moved / "c"], "when": "2026-01-02"}

    def test_refer_is_not_asked_about_plain_values(self):
        recorded(
            {"a": [1, 2.0, "x", None, True, (1,)], "b": {1}}, refer=lambda value: pytest.fail(f"asked about {value!r}")
        )

    def test_refer_is_asked_before_any_conversion(self):
        assert recorded([Cell(1.0, Colour.RED)], refer=lambda value: {"$asset": "x"}) == [{"$asset": "x"}]

    @pytest.mark.parametrize(
        "value",
        [
            {"$new": {"$float": "nan"}},
            {"$float": "many"},
            {"$float": 1},
            {"$dict": 3},
            {"$dict": [["a"]]},
            {"$dict": [[1, 2]]},
            {"$float": "nan", "a": 1},
            {"a": [{"$asset": 1}]},
        ],
    )
    def test_what_cannot_be_read_is_kept(self, value):
        assert restore(value) == value
        assert restore(value, resolve=lambda tag, payload: None) == value


class TestRefusals:
    @pytest.mark.parametrize(
        ("value", "path", "type_name"),
        [
            ({"fit": [0, 1, 2, {"matrix": b"x"}]}, "results.fit[3].matrix", "bytes"),
            ({"z": 1j}, "results.z", "complex"),
            ([object()], "results[0]", "object"),
            ({"a b": {"f": len}}, "results['a b'].f", "builtin_function_or_method"),
            (Fit(2, object()), "results.cell", "object"),
            ((x for x in "ab"), "results", "generator"),
            ({"k": {object()}}, "results.k[0]", "object"),
            (int, "results", "type"),
            (Cell, "results", "type"),
        ],
    )
    def test_what_json_has_no_form_for(self, value, path, type_name):
        with pytest.raises(SerializationError) as caught:
            recorded(value)
        assert (caught.value.path, caught.value.type_name) == (path, type_name)
        assert "JSON has no form for it; " in str(caught.value)  # and what helps: see test_advice.py

    @pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
    def test_not_finite_unless_legal(self, value):
        with pytest.raises(SerializationError) as caught:
            plain({"grid": [1.0, 2.0, 3.0, {"x": value}]}, where="params", nan=False)
        assert caught.value.path == "params.grid[3].x"

    @pytest.mark.parametrize("key", [1, 1.5, None, (1,), b"a", Level.HIGH])
    def test_keys_are_text(self, key):
        with pytest.raises(SerializationError, match=r"use str\(key\)"):
            recorded({"a": {key: 1}})

    @pytest.mark.parametrize("order", [1, -1])
    def test_two_keys_do_not_become_one(self, order):
        pairs = [(Colour.RED, 1), ("red", 2)][::order]
        with pytest.raises(SerializationError, match="two keys"):
            recorded(dict(pairs))

    @pytest.mark.parametrize("value", ["\udc80", {"\ud800": 1}, ["a", "b\udfff"], pathlib.PurePosixPath("a\udc80")])
    def test_lone_surrogates(self, value):
        with pytest.raises(SerializationError, match="lone surrogate"):
            recorded({"x": value})

    def test_what_contains_itself(self):
        inner: list[object] = []
        inner.extend([inner, {"again": inner}])
        fit = Fit(1, None)
        fit.cell = fit
        for value in (inner, fit):
            with pytest.raises(SerializationError, match="contains itself") as caught:
                recorded(value)
            assert len(caught.value.path) < 120

    def test_depth_is_bounded(self):
        value: object = 1.0
        for _ in range(200):
            value = [value]
        assert restore(recorded(value)) == value
        for extra in (1, 5000):
            for _ in range(extra):
                value = [value]
            with pytest.raises(SerializationError, match="200 levels"):
                recorded(value)


class TestNumpy:
    @pytest.fixture
    def np(self):
        return pytest.importorskip("numpy")

    def test_scalars(self, np):
        values = [
            np.float64(0.5),
            np.float32(0.5),
            np.longdouble(0.5),
            np.int64(3),
            np.uint8(3),
            np.bool_(True),
            np.str_("a"),
        ]
        made = recorded(values)
        assert made == [0.5, 0.5, 0.5, 3, 3, True, "a"]
        assert [type(item) for item in made] == [float, float, float, int, int, bool, str]

    def test_scalars_that_are_not_finite(self, np):
        assert recorded([np.float64("nan"), np.float32("inf")]) == [{"$float": "nan"}, {"$float": "inf"}]
        with pytest.raises(SerializationError):
            plain(np.float32("nan"), where="params", nan=False)

    def test_arrays(self, np):
        assert recorded(np.arange(6).reshape(2, 3)) == [[0, 1, 2], [3, 4, 5]]
        assert recorded(np.array([1.0, np.nan])) == [1.0, {"$float": "nan"}]
        assert recorded(np.array(2.5)) == 2.5
        assert recorded(np.array([], dtype=float)) == []
        assert recorded(np.array(["a", "b"])) == ["a", "b"]
        assert recorded(np.array([dt.date(2026, 1, 2), None], dtype=object)) == ["2026-01-02", None]
        assert recorded(np.array([[0.5]], dtype=np.longdouble)) == [[0.5]]

    def test_times(self, np):
        days = np.array(["2026-01-02", "2026-01-03"], dtype="datetime64[D]")
        assert recorded(days) == ["2026-01-02", "2026-01-03"]
        assert recorded(np.datetime64("2026-01-02T03:04:05.000000006", "ns")) == "2026-01-02T03:04:05.000000006"
        assert recorded(np.timedelta64(1500, "ms")) == 1.5
        for bad in (np.datetime64("NaT", "s"), np.timedelta64(1, "M")):
            with pytest.raises(SerializationError):
                recorded(bad)

    def test_large_arrays_are_assets(self, np):
        assert len(recorded(np.zeros(1000))) == 1000
        with pytest.raises(SerializationError, match=r"1001 elements.*ctx\.artifact\.writing") as caught:
            recorded({"traj": np.zeros(1001)})
        assert caught.value.path == "results.traj"

    @pytest.mark.parametrize(
        "make", [lambda np: np.complex128(1j), lambda np: np.array([1j]), lambda np: np.array([b"x"])]
    )
    def test_other_dtypes(self, np, make):
        with pytest.raises(SerializationError, match="no form"):
            recorded(make(np))


def test_pandas_times():
    pandas = pytest.importorskip("pandas")
    assert recorded(pandas.Timestamp("2026-01-02T03:00", tz="Etc/GMT-10")) == "2026-01-01T17:00:00Z"
    with pytest.raises(SerializationError, match="not a time"):
        recorded({"t": pandas.NaT})
