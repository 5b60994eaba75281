"""Run-id schemes that are wrong in one way each, and the check of the kit that is about it."""

from __future__ import annotations

import getpass
import itertools
import json
import os
import random
import socket
import time
import uuid
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any

from msgspec.structs import asdict

from molexp.contracts import RunIdentity, RunIdScheme, canonical_json
from molexp.testing import RunIdSchemeTests

KNOWN = RunIdentity("metals", "cu", {"a": 3.6}, replica=0, config={})
SALT = random.SystemRandom().randbytes(8)


def digits(*values: Any) -> str:
    return sha256(canonical_json(list(values)).encode()).hexdigest()[:16]


class Sound(RunIdScheme):
    """Derive as the contract wants it; those below differ in one thing."""

    name = "sound-1"

    def derive(self, identity: RunIdentity) -> str:
        return digits(asdict(identity))


class SoundKit(RunIdSchemeTests):
    def scheme(self) -> type[RunIdScheme]:
        return Sound

    def known_ids(self) -> list[tuple[RunIdentity, str]]:
        return [(KNOWN, self.scheme()().derive(KNOWN))]


DEFECTS: dict[str, tuple[type[RunIdSchemeTests], str]] = {}
"""Defects: the kit of the scheme that has it, and the check that catches it."""


def planted(defect: str, caught_by: str) -> Any:
    """Make a kit for a scheme, at the top of this module, where another process finds it."""

    def plant(scheme: type[RunIdScheme]) -> type[RunIdScheme]:
        kit = type(f"{scheme.__name__}Kit", (SoundKit,), {"scheme": lambda _: scheme, "__module__": __name__})
        globals()[kit.__name__] = kit
        DEFECTS[defect] = kit, caught_by
        return scheme

    return plant


@planted("one id for all", "test_other_parameters_have_another_id")
class Constant(Sound):
    def derive(self, identity):
        return "same"


@planted("random", "test_an_id_does_not_depend_on_what_was_derived_before")
class Random(Sound):
    def derive(self, identity):
        return uuid.uuid4().hex


@planted("random once in each process", "test_another_process_derives_the_same")
class Salted(Sound):
    def derive(self, identity):
        return digits(SALT.hex(), asdict(identity))


@planted("seconds of the clock", "test_an_id_does_not_depend_on_the_time")
class Second(Sound):
    def derive(self, identity):
        return digits(int(time.time()), asdict(identity))


@planted("today", "test_an_id_does_not_depend_on_the_time")
class Today(Sound):
    def derive(self, identity):
        return f"{datetime.now(UTC):%Y%m%d}-{super().derive(identity)}"


@planted("the date by strftime", "test_an_id_does_not_depend_on_the_time")
class Formatted(Sound):
    def derive(self, identity):
        return f"{time.strftime('%j')}-{super().derive(identity)}"


@planted("`hash()`", "test_another_process_derives_the_same")
class Hashed(Sound):
    def derive(self, identity):
        return f"{hash(canonical_json(asdict(identity))) & (2**64 - 1):x}"


@planted("the order of a set", "test_another_process_derives_the_same")
class OrderOfASet(Sound):
    def derive(self, identity):
        return digits([*{*identity.parameters, "α", "β", "γ"}], asdict(identity))


@planted("the number of the process", "test_another_process_derives_the_same")
class Process(Sound):
    def derive(self, identity):
        return digits(os.getpid(), asdict(identity))


@planted("the current folder", "test_another_process_derives_the_same")
class Folder(Sound):
    def derive(self, identity):
        return digits(os.getcwd(), asdict(identity))


@planted("the name of the machine", "test_another_process_derives_the_same")
class Machine(Sound):
    def derive(self, identity):
        return digits(socket.gethostname(), asdict(identity))


@planted("the user", "test_another_process_derives_the_same")
class User(Sound):
    def derive(self, identity):
        return digits(getpass.getuser(), asdict(identity))


@planted("the time zone", "test_another_process_derives_the_same")
class Zone(Sound):
    def derive(self, identity):
        return digits(time.localtime(0).tm_hour, asdict(identity))


@planted("the order of keys", "test_equal_identities_have_one_id")
class OrderOfKeys(Sound):
    def derive(self, identity):
        return digits(json.dumps(asdict(identity)).replace(".0", ""))


@planted("the order of keys in the configuration", "test_equal_identities_have_one_id")
class OrderOfConfig(Sound):
    def derive(self, identity):
        return digits([*identity.config.get("solver", "")], asdict(identity))


@planted("`1` and `1.0` are two", "test_equal_identities_have_one_id")
class Dumped(Sound):
    def derive(self, identity):
        return sha256(json.dumps(asdict(identity), sort_keys=True).encode()).hexdigest()[:16]


@planted("`0` and `-0.0` are two", "test_equal_identities_have_one_id")
class Signed(Sound):
    def derive(self, identity):
        return digits(str(identity.parameters.get("a")) == "-0.0", asdict(identity))


@planted("`1` and `True` are one", "test_other_parameters_have_another_id")
class Truth(Sound):
    def derive(self, identity):
        return digits(canonical_json(asdict(identity)).replace("true", "1"))


@planted("numbers and their texts are one", "test_other_parameters_have_another_id")
class Texts(Sound):
    def derive(self, identity):
        return digits(canonical_json(asdict(identity)).replace('"', ""))


@planted("large integers as floats", "test_other_parameters_have_another_id")
class Doubles(Sound):
    def derive(self, identity):
        def double(value):
            if isinstance(value, dict):
                return {key: double(one) for key, one in value.items()}
            if isinstance(value, list):
                return [double(one) for one in value]
            return float(value) if type(value) is int else value

        return digits(double(asdict(identity)))


@planted("rounded numbers", "test_other_parameters_have_another_id")
class Rounded(Sound):
    def derive(self, identity):
        value = identity.parameters.get("a")
        rounded = {**identity.parameters, "a": round(value, 12) if isinstance(value, float) else value}
        return digits({**asdict(identity), "parameters": rounded})


@planted("`None` is dropped", "test_other_parameters_have_another_id")
class Nothing(Sound):
    def derive(self, identity):
        kept = {key: value for key, value in identity.parameters.items() if value is not None}
        return digits({**asdict(identity), "parameters": {"a": kept.pop("a", ""), **kept}})


@planted("only the outermost parameters", "test_other_parameters_have_another_id")
class Shallow(Sound):
    def derive(self, identity):
        return digits(
            {
                **asdict(identity),
                "parameters": {
                    key: str(type(one)) if isinstance(one, dict | list) else one
                    for key, one in identity.parameters.items()
                },
            }
        )


@planted("sorted lists", "test_other_parameters_have_another_id")
class SortedLists(Sound):
    def derive(self, identity):
        value = identity.parameters.get("a")
        kept = {**identity.parameters, "a": sorted(value, key=repr) if isinstance(value, list) else value}
        return digits({**asdict(identity), "parameters": kept})


@planted("case folded", "test_other_parameters_have_another_id")
class Folded(Sound):
    def derive(self, identity):
        return digits(canonical_json(asdict(identity)).lower())


@planted("text is normalised", "test_other_parameters_have_another_id")
class Normalised(Sound):
    def derive(self, identity):
        from unicodedata import normalize

        return digits(normalize("NFC", canonical_json(asdict(identity))))


@planted("blanks are stripped", "test_other_parameters_have_another_id")
class Stripped(Sound):
    def derive(self, identity):
        return digits("".join(canonical_json(asdict(identity)).split()))


@planted("readable, and not escaped", "test_other_parameters_have_another_id")
class Joined(Sound):
    def derive(self, identity):
        return digits(
            ",".join(f"{key}={value}" for key, value in sorted(identity.parameters.items())), identity.replica
        )


def _without(component: str) -> type[RunIdScheme]:
    class Without(Sound):
        def derive(self, identity):
            return digits({key: value for key, value in asdict(identity).items() if key != component})

    Without.__name__ = f"Without{component.title()}"
    return Without


for _component, _caught_by in {
    "project": "test_another_project_or_experiment_has_another_id",
    "experiment": "test_another_project_or_experiment_has_another_id",
    "parameters": "test_other_parameters_have_another_id",
    "replica": "test_other_replicas_have_another_id",
    "config": "test_another_configuration_has_another_id",
}.items():
    planted(f"{_component} is dropped", _caught_by)(_without(_component))


@planted("project and experiment run together", "test_another_project_or_experiment_has_another_id")
class RunTogether(Sound):
    def derive(self, identity):
        place = f"{identity.project}-{identity.experiment}"
        return digits(place, identity.parameters, identity.replica, identity.config)


@planted("components are merged", "test_no_component_is_taken_for_another")
class Merged(Sound):
    def derive(self, identity):
        return digits(
            identity.project,
            identity.experiment,
            {**identity.config, **identity.parameters},
            identity.replica,
            [*identity.config.items()][1:],
        )


@planted("six digits", "test_the_runs_of_a_large_sweep_have_an_id_each")
class Short(Sound):
    def derive(self, identity):
        return super().derive(identity)[:6]


@planted("a path", "test_a_workspace_takes_its_ids")
class Path(Sound):
    def derive(self, identity):
        return f"{identity.experiment}/{super().derive(identity)}"


@planted("capitals", "test_a_workspace_takes_its_ids")
class Capitals(Sound):
    def derive(self, identity):
        return super().derive(identity).upper()


@planted("what Windows cannot name", "test_a_workspace_takes_its_ids")
class TrailingDot(Sound):
    def derive(self, identity):
        return f"{super().derive(identity)}."


@planted("values that stand in the id", "test_a_workspace_takes_its_ids")
class Readable(Sound):
    def derive(self, identity):
        return f"{'-'.join(map(str, identity.parameters.values()))}-{super().derive(identity)}"[:120]


@planted("longer than a file name", "test_a_workspace_takes_its_ids")
class Long(Sound):
    def derive(self, identity):
        return f"{identity.experiment}-{super().derive(identity)}"


@planted("no text", "test_a_workspace_takes_its_ids")
class Number(Sound):
    def derive(self, identity):
        return int(super().derive(identity), 16)


@planted("counts what it derived", "test_an_id_does_not_depend_on_what_was_derived_before")
class Counting(Sound):
    numbers = itertools.count()

    def derive(self, identity):
        return f"{next(self.numbers)}-{super().derive(identity)}"


@planted("remembers its first answers", "test_an_id_does_not_depend_on_what_was_derived_before")
class Remembering(Sound):
    def __init__(self):
        self.seen: dict[str, int] = {}

    def derive(self, identity):
        return f"{self.seen.setdefault(super().derive(identity), len(self.seen))}-{super().derive(identity)}"


@planted("changes the identity", "test_deriving_leaves_the_identity_as_it_is")
class Changing(Sound):
    def derive(self, identity):
        derived = super().derive(identity)
        identity.parameters["derived"] = derived
        return derived


@planted("sorts the caller's lists", "test_deriving_leaves_the_identity_as_it_is")
class SortingInPlace(Sound):
    def derive(self, identity):
        derived = super().derive(identity)
        if isinstance(value := identity.parameters.get("a"), list):
            value.sort(key=repr)
        return derived


@planted("raises for some", "test_other_parameters_have_another_id")
class Raising(Sound):
    def derive(self, identity):
        return f"{identity.parameters['name'].lower()}-{super().derive(identity)}"


@planted("a name without a version", "test_it_is_registered_as_it_is")
class Unversioned(Sound):
    name = "sound"


@planted("a name of MolExp", "test_it_is_registered_as_it_is")
class Contending(Sound):
    name = "molexp-1"


@planted("another derivation under the old name", "test_ids_are_those_of_earlier_versions")
class Changed(Sound):
    def derive(self, identity):
        return super().derive(identity)[::-1]


class ChangedKit(SoundKit):
    def scheme(self):
        return Changed

    def known_ids(self):
        return [(KNOWN, Sound().derive(KNOWN))]


@planted("no known ids", "test_ids_are_those_of_earlier_versions")
class Unknown(Sound):
    pass


class UnknownKit(SoundKit):
    def scheme(self):
        return Unknown

    def known_ids(self):
        return []


DEFECTS["another derivation under the old name"] = ChangedKit, "test_ids_are_those_of_earlier_versions"
DEFECTS["no known ids"] = UnknownKit, "test_ids_are_those_of_earlier_versions"
