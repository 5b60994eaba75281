"""The check that a plugin was made for the core that is running."""

from __future__ import annotations

import re
from collections.abc import Iterable

from molexp._values.patterns import late
from molexp.plugins._installed import Installed, installed

CORE = "molexp-core"
_FINAL = late(r"[0-9]+(?:\.[0-9]+)*")
_CLAUSE = late(r"\s*(>=|<)\s*([0-9]+(?:\.[0-9]+)*)\s*")
_ON_CORE = late(r"\s*molexp(?:[-_.]+core)?(?![A-Za-z0-9._-])(?P<rest>.*)", re.IGNORECASE | re.DOTALL)


def core_version(everything: Iterable[Installed]) -> str:
    """Return the version of molexp-core among these distributions, else on ``sys.path``; "" if it runs without being installed."""
    return _core_among(everything) or _core_among(installed(None))


def _core_among(found: Iterable[Installed]) -> str:
    return next((one.metadata()[1] for one in found if one.filed_as == CORE and one.is_sound), "")


def unsatisfied(requires: Iterable[str], version: str) -> str:
    """Return which of the requirements on core `version` does not satisfy; "" if it satisfies all, or is unknown."""
    for requirement in requires:
        matched = _ON_CORE.match(requirement)
        if not matched or not version or _plainly_satisfied(matched["rest"], version):
            continue
        problem = _unsatisfied(requirement, version)
        if problem:
            return problem
    return ""


def _plainly_satisfied(specifier: str, version: str) -> bool:
    """Tell whether a final `version` meets nothing but lower and upper bounds, as in ``>=0.1,<0.2``.

    For final releases these compare as numbers (PEP 440), and plugins rarely say more: this spares most processes the
    import of the parser. False means that the parser has to decide.
    """
    if not specifier.strip():
        return True
    if not _FINAL.fullmatch(version):
        return False
    running = _release(version)
    for text in specifier.split(","):
        clause = _CLAUSE.fullmatch(text)
        if clause is None or (running >= _release(clause[2])) != (clause[1] == ">="):
            return False
    return True


def _release(version: str) -> tuple[int, ...]:
    numbers = [int(number) for number in version.split(".")]
    while numbers and not numbers[-1]:
        numbers.pop()  # 1.0 is 1
    return tuple(numbers)


def _unsatisfied(text: str, version: str) -> str:
    from packaging.requirements import InvalidRequirement, Requirement
    from packaging.version import InvalidVersion

    try:
        requirement = Requirement(text)
        if requirement.marker is not None and not requirement.marker.evaluate({"extra": ""}):
            return ""
        if requirement.specifier.contains(version, prereleases=True):
            return ""
    except (InvalidRequirement, InvalidVersion) as error:
        return f"its requirement {text!r} cannot be compared with molexp-core {version}: {str(error).splitlines()[0]}"
    wanted = f"{requirement.name}{requirement.specifier}"
    return f"it requires {wanted}, and molexp-core {version} is installed; it was not imported"
