"""Leave out of command lines, remotes and patches what looks like a secret, by its name or its shape.

It is a net for accidents: a secret without a telling name or shape passes. Parameters and results are recorded as given.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence
from functools import lru_cache

from molexp._values.patterns import late

VARIABLE = "MOLEXP_SECRETS"
LEFT_OUT = "[left out: looks like a secret]"

_ENDINGS = ("password", "passwd", "passphrase", "secret", "token", "apikey", "credential", "credentials")
_KEYS = frozenset(("api", "access", "secret", "private", "account", "auth", "signing", "encryption", "license", "sas"))
_NO_TOKENS = late(  # of text, as tokenizers name them
    "bos|cls|eos|unk|pad|sep|mask|stop|start|end|begin|image|audio|video|special|prefix|suffix|middle"
    "|decoder|forced|first|last|next|max|min|per|num|class|query|cross|sample|extra|word|sub|control|think"
)
_WORDS = late(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")

# Each begins where a longer match cannot begin one character later, and has bounds: a megabyte takes milliseconds.
_SHAPES = late(
    r"(?<![\w-])(?:"
    r"(?:AKIA|ASIA)[A-Z0-9]{16}(?![A-Z0-9])"
    r"|gh[pousr]_[A-Za-z0-9]{30,255}|github_pat_[A-Za-z0-9_]{22,255}|glpat-[\w-]{20,255}"
    r"|hf_[A-Za-z0-9]{30,255}|npm_[A-Za-z0-9]{36,255}|pypi-[\w-]{50,255}|AIza[\w-]{35}|xox[abeoprs]-[\w-]{10,255}"
    r"|sk-(?=[A-Za-z_-]{0,40}[0-9])[\w-]{20,255}|[rs]k_(?:live|test)_[A-Za-z0-9]{16,255}"
    r"|eyJ[\w-]{6,4096}\.eyJ[\w-]{6,4096}\.[\w-]{6,4096})"
)
_HINT = late(
    r"://|PRIVATE|AKIA|ASIA|gh[pousr]_|github_pat|glpat|hf_|npm_|pypi-|AIza|xox|sk-|[rs]k_|eyJ"
    r"|(?i:passw|passphrase|pwd|secret|token|key|credential|authorization)"
)
_PEM = late(
    r"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----(?:.{0,16384}?-----END [^\n-]{0,60}-----|.*)", re.DOTALL
)
_PEM_BEGINS = late(r"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY")
_USERINFO = late(r"(?<=://)[^/\s'\"<>]{1,2048}@")
_BEARER = late(
    r"(?i)(?<!\w)((?:proxy-)?authorization['\"]?\s{0,4}[:=]\s{0,4}['\"]?(?:[a-z]{3,10}\s{1,4})?)[^\s'\"\[][^\s'\"]{5,4096}"
)
_ASSIGNED = late(
    r"(?<![\w.-])(?P<name>[\w.-]{2,100})['\"]?\]?\s{0,8}(?P<sign>[:=])\s{0,8}"
    r"(?:[rbuf]?(?P<quote>['\"])(?P<quoted>[^'\"\n]{6,4096})(?P=quote)|(?P<bare>[\w+/.=~!$%^&*@-]{6,4096}))"
)
_QUERY = late(r"(?P<begin>[?&;](?P<name>[\w.-]{2,100})=)(?P<value>[^&\s#'\"\[][^&\s#'\"]{0,4096})")
_LITERAL = late(r"(?=[^A-Za-z\n]*[A-Za-z])(?=[^0-9\n]*[0-9])[\w+/=~!$%^&*@-]{8,}")
_SCP = late(r"[^@/\s:]{1,255}:[^/\s]{1,2048}@(?!sha[0-9])(?=[^@/\s]{1,255}:)")
_FILES = late(
    r"(?i)(?:^|.*/)(?:\.env(?:\.[\w.-]+)?|[\w.-]+\.env|\.netrc|_netrc|\.pgpass|\.npmrc|\.pypirc|\.htpasswd|\.git-credentials"
    r"|id_(?:rsa|dsa|ecdsa|ed25519)[\w-]*|[\w.-]+\.(?:pem|key|p12|pfx|jks|keystore|kdbx|ppk|asc)"
    r"|\.?(?:secrets?|credentials?|passwords?)(?:\.(?:ya?ml|json|toml|ini|txt|cfg|conf|env|xml))?)"
)
_EXAMPLES = late(r"(?i)\.(?:example|sample|template|dist)$")


def is_secret_name(name: str) -> bool:
    """Tell whether a value of this name is a secret: ``password``, ``AWS_SECRET_ACCESS_KEY``, but not ``eos_token``."""
    words = [word.lower() for word in _WORDS.findall(name[-100:])]
    if not words:
        return False
    *before, last = words
    if last == "token":
        return not before or not _NO_TOKENS.fullmatch(before[-1])
    if last == "key":
        return bool(before) and before[-1] in _KEYS
    return bool(before) if last == "pwd" else last.endswith(_ENDINGS)


def without_secrets(text: str) -> str:
    """Text with a marker in place of whatever looks like a secret.

    Raises:
        ValueError: ``MOLEXP_SECRETS`` is no regular expression.
    """
    more = _more(os.environ.get(VARIABLE, ""))
    if more is not None:
        text = more.sub(LEFT_OUT, text)
    if not _HINT.search(text):
        return text
    text = _PEM.sub(LEFT_OUT, text) if "PRIVATE KEY" in text else text
    text = _USERINFO.sub(f"{LEFT_OUT}@", text) if "://" in text else text
    text = _BEARER.sub(lambda found: found[1] + LEFT_OUT, text)
    text = _SHAPES.sub(LEFT_OUT, text)
    text = _QUERY.sub(lambda found: found["begin"] + LEFT_OUT if is_secret_name(found["name"]) else found[0], text)
    return _ASSIGNED.sub(_assigned, text)


def _assigned(found: re.Match[str]) -> str:
    value = found["quoted"] if found["quoted"] is not None else found["bare"]
    if not is_secret_name(found["name"]) or value.startswith("["):
        return found[0]
    if found["bare"] is not None and not _LITERAL.fullmatch(value):  # a name in a program, or a type
        return found[0]
    return found[0].replace(value, LEFT_OUT)


def arguments_without_secrets(arguments: Sequence[str]) -> list[str]:
    """Return a command line with markers: after ``--password``, in ``--token=...``, ``TOKEN=...``, and whatever has the shape.

    Raises:
        ValueError: ``MOLEXP_SECRETS`` is no regular expression.
    """
    found: list[str] = []
    for before, word in zip(["", *arguments], arguments, strict=False):
        follows = before.startswith("-") and "=" not in before and is_secret_name(before)
        name, equals, value = word.partition("=")
        if follows and not word.startswith("--") and not _is_count(word):
            found.append(LEFT_OUT)
        elif equals and value and is_secret_name(name) and not _is_count(value):
            found.append(f"{name}={LEFT_OUT}")
        else:
            user = _SCP.match(word)
            found.append(without_secrets(f"{LEFT_OUT}@{word[user.end() :]}" if user else word))
    return found


def command_without_secrets(command: str | list[str]) -> str | list[str]:
    """Return a command as it is recorded: an argument list, or a line for a shell.

    Raises:
        ValueError: ``MOLEXP_SECRETS`` is no regular expression.
    """
    if isinstance(command, str):
        return " ".join(arguments_without_secrets(without_secrets(command).split(" ")))
    return arguments_without_secrets(command)


def _is_count(value: str) -> bool:
    return (len(value) < 4 and value.isdecimal()) or value.lower() in ("true", "false", "none", "yes", "no")


def remote_without_secrets(url: str) -> str:
    """Return the URL of a remote, without who may use it."""
    url = _USERINFO.sub("", url)
    user = _SCP.match(url)
    return without_secrets(url[user.end() :] if user else url)


def patch_without_secrets(patch: str) -> tuple[str, int]:
    """Return a patch with markers, and how many lines and files have one.

    Of files that hold secrets by their names (``.env``, keys), all of it is left out.

    Raises:
        ValueError: ``MOLEXP_SECRETS`` is no regular expression.
    """
    kept: list[str] = []
    count = 0
    hidden = in_key = False
    for line in patch.split("\n"):
        if line.startswith("diff --git "):
            hidden, in_key = any(map(_holds_secrets, _paths(line))), False
            kept.append(f"{LEFT_OUT} {line.removeprefix('diff --git ')}" if hidden else line)  # git skips it
            count += hidden
            continue
        if hidden:
            continue
        if in_key or _PEM_BEGINS.search(line):
            in_key = "-----END " not in line and line[:1] in ("+", "-", " ")
            shown = line[:1] + LEFT_OUT
        else:
            shown = without_secrets(line)
        count += shown != line
        kept.append(shown)
    return "\n".join(kept), count


def _paths(line: str) -> Iterable[str]:
    """Return the two paths of a patch's headline, or more than there are where blanks make that unclear."""
    return (word.strip('"').removeprefix("a/").removeprefix("b/") for word in line[len("diff --git ") :].split(" "))


def _holds_secrets(path: str) -> bool:
    return bool(_FILES.fullmatch(path)) and not _EXAMPLES.search(path)


@lru_cache(maxsize=4)
def _more(pattern: str) -> re.Pattern[str] | None:
    try:
        return re.compile(pattern) if pattern else None
    except re.error as error:
        raise ValueError(f"{VARIABLE}={pattern!r} is no regular expression: {error}.") from None
