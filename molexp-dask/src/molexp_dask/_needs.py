"""The resources of a call, in the words of Dask's workers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from molexp.contracts import Resources


def needs_of(resources: Resources) -> dict[str, float]:
    """Return the resources to ask for, by the names under which workers declare them.

    Raises:
        ValueError: Dask cannot give them.
    """
    if resources == Resources():
        return {}
    for name, given, neutral in (
        ("walltime", resources.walltime, None),
        ("nodes", resources.nodes, 1),
        ("tasks", resources.tasks, 1),
    ):
        if given != neutral:
            raise ValueError(
                f"resources.{name} is {given}, and Dask cannot give that to a call; leave it out for the executor 'dask'"
            )
    needs: dict[str, float] = {}
    if resources.cores > 1:
        needs["cores"] = resources.cores
    if resources.gpus:
        needs["gpus"] = resources.gpus
    if resources.memory:
        needs["memory"] = resources.memory
    for name, wanted in resources.extra.items():
        if not isinstance(wanted, int | float) or isinstance(wanted, bool) or wanted <= 0:
            raise ValueError(f"resources.extra.{name} is {wanted!r}; for Dask it must be a number above 0")
        needs[name] = wanted
    return needs


def unmet(needs: Mapping[str, float], declared: Iterable[Mapping[str, float]]) -> str:
    """Return why no worker can take a call with these needs; "" if one can, or there is none yet."""
    workers = list(declared)
    if (
        not needs
        or not workers
        or any(all(one.get(name, 0) >= wanted for name, wanted in needs.items()) for one in workers)
    ):
        return ""
    asked = ", ".join(f"{name}={wanted:g}" for name, wanted in needs.items())
    said = sorted({", ".join(f"{name}={has:g}" for name, has in sorted(one.items())) or "none" for one in workers})
    flags = " ".join(f"{name}={wanted:g}" for name, wanted in needs.items())
    return (
        f"resources ask for {asked}, and none of {len(workers)} Dask workers declares that (they declare: {'; '.join(said)}); "
        f'start workers with --resources "{flags}", or change the resources'
    )
