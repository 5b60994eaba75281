"""Frames of extended XYZ, which ASE, OVITO and others read, and of which `read_frame` makes the very `ase.Atoms` that were written.

ASE's own writer rounds to eight digits, leaves most constraints out, and its reader takes text for numbers. Here, numbers are
written as `repr` writes them. What the format has no way to say stands in one more key of the comment line, ``molexp``: types of
numbers that are not the usual ones, nested values, constraints.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable
from functools import lru_cache
from typing import IO, TYPE_CHECKING, Any

import numpy as np

from molexp.errors import AssetError
from molexp_science._exact_values import array_of, decode, encode, refused, to_text

if TYPE_CHECKING:
    from ase import Atoms

_OF_ATOMS = ("forces", "stresses", "charges", "magmoms", "energies")
_OF_ALL = ("energy", "free_energy", "stress", "dipole", "magmom")
_RESERVED = {"Lattice", "Properties", "pbc", "molexp", "uid", "species", "pos", "Z", "charge", "symbols", "move_mask"}
_RESERVED |= {*_OF_ATOMS, *_OF_ALL}
_LETTERS = {"f": "R", "i": "I", "u": "I", "b": "L", "U": "S"}
_USUAL = {"R": "<f8", "I": "<i8", "L": "|b1"}
_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_PAIR = re.compile(r'([A-Za-z_][A-Za-z0-9_]*)=(?:"([^"\\]*(?:\\.[^"\\]*)*)"|(\S+))')
_INTEGER = re.compile(r"[+-]?\d+")
_VOIGT = (0, 4, 8, 5, 2, 1)  # xx, yy, zz, yz, xz, xy of a matrix
_MATRIX = (0, 5, 4, 5, 1, 3, 4, 3, 2)  # and back


def results_of(atoms: Atoms) -> tuple[str, dict[str, Any]]:
    """Return the name of the calculator of atoms, and those of its results that are of the atoms as they are now.

    Nothing is calculated.
    """
    calc = atoms.calc
    results = getattr(calc, "results", None)
    if not isinstance(results, dict) or not results:
        return "", {}
    check = getattr(calc, "check_state", None)
    if check is not None and check(atoms):
        return "", {}  # they moved since
    return str(getattr(calc, "name", None) or ""), {name: one for name, one in results.items() if one is not None}


def check_atoms(atoms: Any, where: str) -> None:
    """Raise if something is no `ase.Atoms`, or of a subclass with attributes that these lack.

    Raises:
        TypeError: it is none.
        SerializationError: it has attributes of its own, which the error names.
    """
    from ase import Atoms

    if type(atoms) is Atoms:
        return
    if not isinstance(atoms, Atoms):
        raise TypeError(f"{where} is to be an ase.Atoms, and is {atoms!r}.")
    if own := sorted(vars(atoms).keys() - vars(Atoms()).keys()):
        raise refused(atoms, where, f"ase.Atoms have no {', '.join(own)}. Save ase.Atoms(...) of it, without these")


# ------------------------------------------------------------------------------------------------------------- writing


def write_frame(atoms: Atoms, where: str = "atoms") -> tuple[bytes, float | None]:
    """Return a frame of extended XYZ, and the energy that is in it.

    Args:
        atoms: the atoms. Of a calculator, the results are kept that are of the atoms as they are.
        where: their name in errors.

    Raises:
        SerializationError: a part of them is kept by nothing; the error names it.
    """
    check_atoms(atoms, where)
    frame = _Frame(atoms, where)
    return frame.encoded(), frame.energy


class _Frame:
    """One frame, as it is put together.

    Args:
        atoms: the atoms.
        where: their name in errors.
    """

    def __init__(self, atoms: Atoms, where: str) -> None:
        self.where = where
        self.size = len(atoms)
        self.heads: list[str] = []
        self.columns: list[list[str]] = []
        self.pairs: list[str] = []
        self.notes: dict[str, dict[str, Any]] = {}
        self._put_arrays(atoms)
        name, results = results_of(atoms)
        self.energy = _number(results.get("energy"))
        if results:
            self._note("calculator", "name", name)
            self._put_results(results)
        self._put_info(atoms.info)
        self._put_rest(atoms)
        self.first = self._first(atoms)

    def encoded(self) -> bytes:
        """Return the frame."""
        line = [*self.first, *self.pairs]
        if self.notes:
            line.append(f"molexp={_quoted('_JSON ' + to_text(dict(sorted(self.notes.items()))))}")
        rows = map(" ".join, zip(*self.columns, strict=True))
        return "\n".join([str(self.size), " ".join(line), *rows, ""]).encode()

    def _first(self, atoms: Atoms) -> list[str]:
        cell = atoms.cell.array.ravel().tolist()
        lattice = [f'Lattice="{" ".join(map(repr, cell))}"'] if any(map(_is_there, cell)) else []
        pbc = " ".join(map(_token, atoms.pbc.tolist()))
        return [*lattice, f"Properties={':'.join(self.heads)}", f'pbc="{pbc}"']

    def _note(self, part: str, name: str, value: Any) -> None:
        self.notes.setdefault(part, {})[name] = value

    # ------------------------------------------------------------------------------------------------------ of each atom

    def _put_arrays(self, atoms: Atoms) -> None:
        from ase.data import chemical_symbols

        numbers = atoms.arrays["numbers"]
        unknown = [number for number in numbers.tolist() if not 0 <= number < len(chemical_symbols)]
        if unknown:
            raise refused(unknown[0], f"{self.where}.numbers", f"there is no element {unknown[0]}")
        self.heads.append("species:S:1")
        self.columns.append([chemical_symbols[number] for number in numbers.tolist()])
        if numbers.dtype.str != "<i8":
            self._note("columns", "species", [numbers.dtype.str, [self.size]])
        self._put_column("pos", atoms.arrays["positions"])
        for name, array in sorted(atoms.arrays.items()):
            if name in ("numbers", "positions"):
                continue
            if name in _RESERVED or not self._put_column(name, array):
                self._note("arrays", name, encode(array, f"{self.where}.arrays[{name!r}]"))

    def _put_column(self, name: str, array: Any) -> bool:
        """Add columns, if the format can have them."""
        letter = _letter_of(array)
        width = math.prod(array.shape[1:])
        if not (letter and width and _KEY.fullmatch(name)):
            return False
        flat = array.reshape(self.size, width)
        columns = [flat[:, number].tolist() for number in range(width)]
        fits = _FITS.get(letter)
        if fits is not None and not all(fits(item) for column in columns for item in column):
            return False
        self.columns += [[*map(_TEXTS[letter], column)] for column in columns]
        self.heads.append(f"{name}:{letter}:{width}")
        usual = _USUAL.get(letter) or f"<U{max((len(text) for text in columns[0]), default=1)}"
        if array.dtype.str != usual or array.shape != ((self.size, width) if width > 1 else (self.size,)):
            self._note("columns", name, [array.dtype.str, list(array.shape)])
        return True

    # ------------------------------------------------------------------------------------------------------ of all atoms

    def _put_results(self, results: dict[str, Any]) -> None:
        for name, value in sorted(results.items()):
            if name == "stress" and _letter_of(value) == "R" and value.shape == (6,):
                self._put_pair(name, value[list(_MATRIX)])
            elif name in _OF_ALL and name != "stress" and self._put_pair(name, value):
                continue
            elif name in _OF_ATOMS and _letter_of(value) == "R" and value.shape[:1] == (self.size,):
                self._put_column(name, value)
            else:
                self._note("results", name, encode(value, f"{self.where}.calc.results[{name!r}]"))

    def _put_info(self, info: dict[Any, Any]) -> None:
        if wrong := [key for key in info if type(key) is not str]:
            raise refused(wrong[0], f"a key of {self.where}.info", "its keys are text")
        for key, value in sorted(info.items()):
            if key in _RESERVED or not self._put_pair(key, value):
                self._note("info", key, encode(value, f"{self.where}.info[{key!r}]"))

    def _put_pair(self, key: str, value: Any) -> bool:
        """Add a key and a value, if the format can have them."""
        if not _KEY.fullmatch(key):
            return False
        if key == "virial" and getattr(value, "shape", ()) != (3, 3):
            return False  # others take it for a matrix, column by column
        if type(value) is str and value and value.isprintable():
            text = _quoted(value)
        elif type(value) in (bool, int, float):
            text = _token(value)
        elif _letter_of(value) in ("R", "I", "L") and value.size:
            items = (value.T if key == "virial" else value).ravel().tolist()
            text = f'"{" ".join(map(_token, items))}"' if value.ndim else _token(items[0])
            shape = () if isinstance(value, np.generic) else (list(value.shape),)
            self._note("types", key, [value.dtype.str, *shape])
        else:
            return False
        self.pairs.append(f"{key}={text}")
        return True

    def _put_rest(self, atoms: Atoms) -> None:
        if (displacement := atoms.get_celldisp()).any():
            self._note("cell", "displacement", encode(displacement, f"{self.where}.celldisp"))
        for number, constraint in enumerate(atoms.constraints):
            self._note("constraints", str(number), _constraint(constraint, f"{self.where}.constraints[{number}]"))


def _number(value: Any) -> float | None:
    """Return a number, of whatever type it is; None for anything else."""
    if isinstance(value, np.ndarray) and value.size == 1:
        value = value.item()
    return float(value) if isinstance(value, int | float | np.integer | np.floating) else None


def _is_there(value: float) -> bool:
    """Tell whether a number is another one than 0.0, which is what is read where there is none."""
    return value != 0.0 or math.copysign(1.0, value) < 0


def _letter_of(value: Any) -> str:
    """Return the letter by which the format calls a type of numbers, or of text; "" if it has none."""
    if type(value) is not np.ndarray and not isinstance(value, np.generic):
        return ""
    letter = _LETTERS.get(value.dtype.kind, "")
    return letter if letter == "S" or value.dtype.itemsize <= 8 else ""


def _token(value: Any) -> str:
    return ("F", "T")[value] if type(value) is bool else repr(value)


def _is_word(text: str) -> bool:
    return text.split() == [text] and text.isprintable()


def _is_short(number: int) -> bool:
    """Tell whether ASE's reader takes an integer."""
    return -(2**31) <= number < 2**31


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


_FITS: dict[str, Callable[[Any], bool]] = {"S": _is_word, "I": _is_short}
_TEXTS: dict[str, Callable[[Any], str]] = {"R": repr, "I": repr, "L": _token, "S": str}


def _constraint(constraint: Any, where: str) -> Any:
    """Return a constraint as a dict, if that makes the same one."""
    todict = getattr(constraint, "todict", None)
    if todict is None:
        raise refused(constraint, where, "a constraint without todict() cannot be read back. Take it off")
    found = encode(todict(), where)
    if not _comes_back(to_text(found)):
        raise refused(constraint, where, "ase.constraints.dict2constraint makes another one of it. Take it off")
    return found


@lru_cache(maxsize=64)  # the frames of a trajectory have the same
def _comes_back(text: str) -> bool:
    from ase.constraints import dict2constraint

    try:
        return to_text(encode(dict2constraint(decode(json.loads(text))).todict(), "")) == text
    except Exception:  # noqa: BLE001 - whatever a constraint says to what it made itself
        return False


# ------------------------------------------------------------------------------------------------------------- reading


def read_frame(stream: IO[bytes], name: str) -> Atoms | None:
    """Return the next frame of a stream; None if there are no more.

    Args:
        stream: frames that `write_frame` wrote.
        name: the name of the asset, for errors.

    Raises:
        AssetError: there is something else.
    """
    if not (lines := _lines(stream, name)):
        return None
    try:
        return _atoms(lines[1].decode(), b"".join(lines[2:]).decode().split(), len(lines) - 2)
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        raise AssetError(f"{name!r} has a frame that molexp-science did not write: {error}.", name=name) from error


def skip_frame(stream: IO[bytes], name: str) -> int:
    """Go behind the next frame, and return the number of its bytes; 0 if there are no more.

    Raises:
        AssetError: there is something else.
    """
    return sum(map(len, _lines(stream, name)))


def _lines(stream: IO[bytes], name: str) -> list[bytes]:
    """Return the lines of the next frame, none if there are no more."""
    if not (head := stream.readline()):
        return []
    if not (head.strip().isdigit() and len(head) < 20):
        raise AssetError(f"{name!r} is no extended XYZ: a frame begins with {head[:40]!r}.", name=name)
    lines = [head]
    for _ in range(int(head) + 1):
        lines.append(stream.readline())
        if not lines[-1].endswith(b"\n"):
            raise AssetError(f"A frame of {name!r} is cut off.", name=name)
    return lines


def _atoms(comment: str, words: list[str], size: int) -> Atoms:
    from ase import Atoms
    from ase.calculators.singlepoint import SinglePointCalculator
    from ase.constraints import dict2constraint
    from ase.data import atomic_numbers

    pairs = {match[1]: (match[2], match[3]) for match in _PAIR.finditer(comment)}
    notes = json.loads(_plain(pairs.pop("molexp")[0]).removeprefix("_JSON ")) if "molexp" in pairs else {}
    types, columns = notes.get("types", {}), notes.get("columns", {})
    arrays = _columns(pairs.pop("Properties")[1].split(":"), words, size, columns)
    lattice, pbc = pairs.pop("Lattice", ("0 " * 9, ""))[0], pairs.pop("pbc")[0]
    cell = np.array([float(word) for word in lattice.split()]).reshape(3, 3)
    atoms = Atoms(cell=cell, pbc=[word == "T" for word in pbc.split()])
    numbers = [atomic_numbers[symbol] for symbol in arrays.pop("species").tolist()]
    results = {key: arrays.pop(key) for key in _OF_ATOMS if key in arrays}
    results |= {key: _value(key, *pairs.pop(key), types.get(key)) for key in _OF_ALL if key in pairs}
    if "stress" in results:
        results["stress"] = results["stress"][list(_VOIGT)]
    results |= {key: decode(value) for key, value in notes.get("results", {}).items()}
    positions = arrays.pop("pos")
    atoms.arrays = {"numbers": array_of(columns.get("species", ["<i8", [size]]), numbers), "positions": positions}
    atoms.arrays |= arrays | {key: decode(value) for key, value in notes.get("arrays", {}).items()}
    atoms.info = {key: _value(key, *pair, types.get(key)) for key, pair in pairs.items()}
    atoms.info |= {key: decode(value) for key, value in notes.get("info", {}).items()}
    if "cell" in notes:
        atoms.set_celldisp(decode(notes["cell"]["displacement"]))
    atoms.set_constraint([dict2constraint(decode(value)) for value in notes.get("constraints", {}).values()])
    if results:
        atoms.calc = SinglePointCalculator(atoms)
        atoms.calc.name = notes["calculator"]["name"]
        atoms.calc.results = results
    return atoms


def _columns(heads: list[str], words: list[str], size: int, notes: dict[str, Any]) -> dict[str, Any]:
    """Return the arrays of atoms, by name."""
    widths = [int(width) for width in heads[2::3]]
    if len(words) != size * sum(widths):
        raise ValueError(f"{size} atoms have {len(words)} values")
    arrays, at = {}, 0
    for name, letter, width in zip(heads[::3], heads[1::3], widths, strict=True):
        columns = [words[number :: sum(widths)] for number in range(at, at + width)]
        at += width
        usual = [
            _USUAL.get(letter) or f"<U{max(map(len, columns[0]), default=1)}",
            [size, width] if width > 1 else [size],
        ]
        parse: Any = {"R": float, "S": str}.get(letter, _parsed)
        items = [parse(word) for row in zip(*columns, strict=True) for word in row]
        arrays[name] = array_of(notes.get(name, usual), items)
    return arrays


def _value(key: str, quoted: str | None, bare: str | None, note: Any) -> Any:
    if note is None:
        return _parsed(bare or "") if quoted is None else _plain(quoted)
    items = [_parsed(word) for word in (quoted or bare or "").split()]
    if len(note) == 1:
        return array_of((note[0], ()), items)[()]
    found = array_of(note, items)
    return found.T.copy() if key == "virial" else found


def _parsed(word: str) -> Any:
    if word in ("T", "F"):
        return word == "T"
    return int(word) if _INTEGER.fullmatch(word) else float(word)


def _plain(quoted: str) -> str:
    return re.sub(r"\\(.)", r"\1", quoted)
