"""The batch script of a batch of jobs."""

from __future__ import annotations

import math
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from molexp.contracts import Batch, Resources
from molexp.errors import QueueError
from molexp_slurm._site import Site

_OPTION: Final = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
_VARIABLE: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_EARLY: Final = 60  # seconds that Slurm may warn too early, says sbatch(1)
_OURS: Final = frozenset(
    (
        "array",
        "chdir",
        "error",
        "input",
        "job-name",
        "open-mode",
        "output",
        "parsable",
        "requeue",
        "signal",
        "wait",
        "wrap",
    )
)
"""The options of sbatch that nobody else may give: without them, a job could not be found again."""


def batch_script(batch: Batch, site: Site, after: Sequence[str] | None = None) -> str:
    """Return the script that sbatch gets.

    Args:
        batch: the batch.
        site: the settings of the cluster.
        after: the batches that are to end before, if not all that it names.

    Raises:
        QueueError: the batch asks for what Slurm cannot do.
    """
    head = [line for line in site.lines if line.startswith("#SBATCH")]
    body = [line for line in site.lines if not line.startswith("#SBATCH")]
    lines = [
        "#!/bin/bash",
        *(f"#SBATCH {option}" for option in _options(batch, site, batch.after if after is None else after)),
        *head,
        "",
        *_redirection(batch),
        *_variables(batch, site),
        *(_modules(site) if site.modules else ()),
        *body,
        f"cd -- {_quoted(batch.folder)} || exit 1",
        f"exec {shlex.join([*site.container, *batch.command])}",
    ]
    return "\n".join(lines) + "\n"


def _options(batch: Batch, site: Site, after: Sequence[str]) -> Iterator[str]:
    throttle = f"%{batch.at_once}" if batch.at_once else ""
    yield f"--job-name={batch.token}"
    yield f"--array=0-{batch.size - 1}{throttle}"
    for name in ("partition", "account", "qos", "constraint"):
        if value := getattr(site, name):
            yield _option(name, value)
    yield from _needs(batch.resources)
    if batch.avoid:
        yield _option("exclude", ",".join(batch.avoid))
    yield _option("chdir", batch.folder)
    plain = batch.output and not _redirected(batch)
    yield _option("output", f"{batch.output}/{batch.token}.%a.out" if plain else "/dev/null")
    yield "--open-mode=append"  # a job that is requeued goes on in the same file
    yield "--requeue" if site.requeue else "--no-requeue"
    yield f"--signal=B:TERM@{_warning(site, batch.resources)}"
    yield _option("export", site.export)
    if batch.title:
        yield _option("comment", " ".join(batch.title.split()))
    if after:
        yield _option("dependency", "afterany:" + ":".join(after))


def _redirected(batch: Batch) -> bool:
    """Tell whether Slurm would read the folder of the output as a pattern, so that the script redirects it itself."""
    return "%" in batch.output or "\\" in batch.output


def _needs(resources: Resources) -> Iterator[str]:
    yield f"--nodes={resources.nodes}"
    yield f"--ntasks={resources.tasks}"
    yield f"--cpus-per-task={resources.cores}"
    if resources.memory is not None:
        yield f"--mem={math.ceil(resources.memory / (1 << 20))}M"
    if resources.gpus:
        yield f"--gpus-per-node={resources.gpus}"
    if resources.walltime is not None:
        yield f"--time={_minutes(resources.walltime)}"  # Slurm knows no shorter limits than minutes
    for name, value in resources.extra.items():
        if not _OPTION.fullmatch(name) or name in _OURS:
            raise QueueError("slurm", f"resources.extra has {name!r}, which is no option of sbatch that you can give")
        if value is True:
            yield f"--{name}"
        elif value is not None and value is not False:
            yield _option(name, str(value))


def _minutes(seconds: float) -> int:
    return math.ceil(seconds / 60)


def _warning(site: Site, resources: Resources) -> int:
    """Return the seconds before its end at which a job is told: of a short one a fourth, or it would be told as it begins."""
    if resources.walltime is None:
        return site.warning
    return min(site.warning, _minutes(resources.walltime) * 15)


def _redirection(batch: Batch) -> Iterator[str]:
    if _redirected(batch):
        yield f'exec >>{_quoted(f"{batch.output}/{batch.token}")}."$SLURM_ARRAY_TASK_ID".out 2>&1'


def _variables(batch: Batch, site: Site) -> Iterator[str]:
    yield 'export MOLEXP_JOB_INDEX="$SLURM_ARRAY_TASK_ID"'
    yield 'export MOLEXP_JOB_ID="${SLURM_ARRAY_JOB_ID}_$SLURM_ARRAY_TASK_ID"'
    warned = _warning(site, batch.resources) + _EARLY
    if batch.resources.walltime is not None:  # before Slurm 23.02, a job is not told its end
        limit = _minutes(batch.resources.walltime) * 60
        end = f"${{SLURM_JOB_END_TIME:-$(($(date +%s) + {limit}))}}"
        yield f"export MOLEXP_JOB_ENDS=$(({end} - {min(warned, limit * 3 // 4)}))"
    else:
        yield "unset MOLEXP_JOB_ENDS"
        yield "molexp_left=$((${SLURM_JOB_END_TIME:-0} - $(date +%s)))"  # the partition's default may be a minute or two
        yield f"molexp_warned=$((molexp_left * 3 / 4 < {warned} ? molexp_left * 3 / 4 : {warned}))"
        yield '[ -z "$SLURM_JOB_END_TIME" ] || export MOLEXP_JOB_ENDS=$((SLURM_JOB_END_TIME - molexp_warned))'
    for name, value in _checked(batch.environment).items():
        yield f"export {name}={_quoted(value)}"


def _checked(environment: Mapping[str, Any]) -> Mapping[str, str]:
    for name in environment:
        if not _VARIABLE.fullmatch(name):
            raise QueueError("slurm", f"{name!r} is no name of an environment variable")
    return environment


def _modules(site: Site) -> Iterator[str]:
    yield "command -v module >/dev/null || . /etc/profile"
    for name in site.modules:
        yield f"module load {_quoted(name)} || exit 1"


def _option(name: str, value: str) -> str:
    """Return an option as sbatch reads it in a script: as words of a shell, but for the characters that end a line."""
    if any(character in value for character in "\n\r\0"):
        raise QueueError("slurm", f"--{name} cannot be {value!r}: it has more than one line")
    if re.fullmatch(r"[\w.,:/@%+=^&|*\[\]()<>-]+", value, re.ASCII):
        return f"--{name}={value}"
    return f'--{name}="{value.translate(_ESCAPED)}"'


_ESCAPED: Final = str.maketrans({'"': '\\"', "\\": "\\\\"})


def _quoted(text: str) -> str:
    if "\0" in text:
        raise QueueError("slurm", f"{text!r} has a null character, which no command can have")
    return shlex.quote(text)
