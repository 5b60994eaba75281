"""Options to reach a bucket, from the user or from the sources that AWS tools use.

Each setting comes from the first source that has it: ``storage_options``, the environment (``AWS_...``), the profile in
the shared configuration files (``~/.aws/config`` and ``credentials``). The files' rules are those of
https://docs.aws.amazon.com/sdkref/latest/guide/file-format.html.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args
from urllib.parse import urlsplit

import attrs

from molexp.contracts import Durability

if TYPE_CHECKING:
    from configparser import RawConfigParser

Addressing = Literal["auto", "path", "virtual"]

_ALIASES = {
    "key": "access_key_id",
    "secret": "secret_access_key",
    "token": "session_token",
    "anon": "anonymous",
    "aws_access_key_id": "access_key_id",
    "aws_secret_access_key": "secret_access_key",
    "aws_session_token": "session_token",
    "region_name": "region",
    "verify": "ca_bundle",
}
"""Names that s3fs and boto3 give to the same things."""


def _seconds(_instance: Any, attribute: attrs.Attribute[Any], value: Any) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < float("inf"):
        raise ValueError(f"{attribute.name}={value!r} is not a number of seconds above 0.")


def _text(_instance: Any, attribute: attrs.Attribute[Any], value: Any) -> None:
    if value is not None and (not isinstance(value, str) or not value):
        secret = not attribute.repr
        raise TypeError(f"{attribute.name}={'...' if secret else repr(value)} is not a text.")


def _truth(_instance: Any, attribute: attrs.Attribute[Any], value: Any) -> None:
    if not isinstance(value, bool):
        raise TypeError(f"{attribute.name}={value!r} is not a bool.")


def _endpoint(_instance: Any, attribute: attrs.Attribute[Any], value: Any) -> None:
    _text(_instance, attribute, value)
    if value is None:
        return
    parts = urlsplit(value)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ValueError(f"endpoint_url={value!r} is not a URL like https://s3.example.org.")
    if parts.username or parts.password:
        raise ValueError("endpoint_url carries credentials: pass them as access_key_id and secret_access_key.")


def _one_of(*words: str) -> Any:
    def check(_instance: Any, attribute: attrs.Attribute[Any], value: Any) -> None:
        if value not in words:
            raise ValueError(f"{attribute.name}={value!r} is not one of {', '.join(words)}.")

    return check


@attrs.frozen(kw_only=True)
class Options:
    """The options in `storage_options`.

    Attributes:
        access_key_id: or ``key``.
        secret_access_key: or ``secret``.
        session_token: or ``token``; of temporary credentials.
        profile: a profile of the shared configuration files.
        anonymous: or ``anon``; sign nothing, for public buckets.
        endpoint_url: of a server that is not Amazon's.
        region: the bucket's.
        addressing_style: ``path`` names the bucket in the path of a request, ``virtual`` in the host. ``auto`` uses
            the path if you give an endpoint, else the host.
        ca_bundle: or ``verify``; a file of certificates (PEM) to trust besides the system's.
        request_timeout: seconds without a sign from the server after which a request has failed.
        transfer_timeout: seconds for one request that brings a payload, or a part of one, to the server.
        retry_timeout: seconds for which a request is repeated before it is an error.
        max_concurrency: requests at a time for what is independent.
        requester_pays: True if the requester pays for the bucket's traffic.
        server_side_encryption: ``AES256``, ``aws:kms`` or ``aws:kms:dsse``.
        kms_key_id: the key for it.
        durability: accepted because every workspace has it; every object is durable.
    """

    access_key_id: str | None = attrs.field(default=None, validator=_text)
    secret_access_key: str | None = attrs.field(default=None, repr=False, validator=_text)
    session_token: str | None = attrs.field(default=None, repr=False, validator=_text)
    profile: str | None = attrs.field(default=None, validator=_text)
    anonymous: bool = attrs.field(default=False, validator=_truth)
    endpoint_url: str | None = attrs.field(default=None, validator=_endpoint)
    region: str | None = attrs.field(default=None, validator=_text)
    addressing_style: Addressing = attrs.field(default="auto", validator=_one_of(*get_args(Addressing)))
    ca_bundle: str | None = attrs.field(default=None, validator=_text)
    request_timeout: float = attrs.field(default=30.0, validator=_seconds)
    transfer_timeout: float = attrs.field(default=300.0, validator=_seconds)
    retry_timeout: float = attrs.field(default=60.0, validator=_seconds)
    max_concurrency: int = attrs.field(
        default=16, validator=[attrs.validators.instance_of(int), attrs.validators.ge(1)]
    )
    requester_pays: bool = attrs.field(default=False, validator=_truth)
    server_side_encryption: str | None = attrs.field(default=None, validator=_text)
    kms_key_id: str | None = attrs.field(default=None, validator=_text)
    durability: Durability = attrs.field(default="end", validator=_one_of(*get_args(Durability)))

    def __attrs_post_init__(self) -> None:
        if bool(self.access_key_id) != bool(self.secret_access_key):
            raise ValueError("access_key_id and secret_access_key belong together: pass both or neither.")
        if self.session_token and not self.access_key_id:
            raise ValueError("session_token belongs to an access_key_id and secret_access_key.")
        if self.anonymous and (self.access_key_id or self.profile):
            raise ValueError("anonymous=True and credentials exclude each other.")


SECRETS = ("access_key_id", "secret_access_key", "session_token")
"""Options that stand in no pickle in clear."""


def read_options(given: Mapping[str, Any]) -> Options:
    """Check `storage_options`.

    Raises:
        TypeError: one that is not known, naming those that are; or of a wrong type.
        ValueError: a value that makes no sense.
    """
    known = [field.name for field in attrs.fields(Options)]
    values: dict[str, Any] = {}
    for name, value in _flat(given).items():
        usual = _ALIASES.get(name, name)
        if usual not in known:
            raise TypeError(
                f"The S3 store has no option {name!r}; it knows {', '.join(known)} (and {', '.join(_ALIASES)})."
            )
        if usual in values:
            raise TypeError(f"{name!r} is another name for {usual!r}: pass one of them.")
        if value is not None:
            values[usual] = os.fspath(value) if isinstance(value, os.PathLike) else value
    return Options(**values)


_IDENTITY = frozenset({*SECRETS, "profile", "anonymous"})


def combine_options(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Merge options; those in `above` win. Credentials come from one of the two, never from both."""
    usual = {_ALIASES.get(name, name): value for name, value in _flat(above).items() if value is not None}
    said = set(usual)
    if any(usual.get(name) for name in _IDENTITY):
        said |= _IDENTITY
    return {**{name: value for name, value in _flat(below).items() if _ALIASES.get(name, name) not in said}, **above}


def _flat(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options with ``client_kwargs``, which s3fs has, moved to the top level."""
    flat = dict(given)
    more = flat.pop("client_kwargs", None)
    if more is not None:
        if not isinstance(more, Mapping):
            raise TypeError(f"client_kwargs={more!r} is not a dict.")
        if twice := sorted(more.keys() & flat.keys()):
            raise TypeError(f"{', '.join(twice)}: given twice, once in client_kwargs; pass it once.")
        flat.update(more)
    return flat


@attrs.frozen
class Surroundings:
    """The settings in the environment and in the shared configuration files."""

    environ: Mapping[str, str]
    profile: str
    section: Mapping[str, str]  # of the profile, in both files
    services: Mapping[str, str]  # of its `services` section, for s3

    def say(self, *names: str) -> str | None:
        """Return the first variable that is set and not empty."""
        return next((value for name in names if (value := self.environ.get(name))), None)


def named_profile(environ: Mapping[str, str]) -> str | None:
    """Return the profile that the environment names. An empty variable names none, although botocore disagrees."""
    return environ.get("AWS_PROFILE") or environ.get("AWS_DEFAULT_PROFILE") or None


def look_around(options: Options, environ: Mapping[str, str] | None = None) -> Surroundings:
    """Read the environment, and the shared configuration files if there are any."""
    environ = os.environ if environ is None else environ
    profile = options.profile or named_profile(environ) or "default"
    config = _parse(environ, "AWS_CONFIG_FILE", "config")
    credentials = _parse(environ, "AWS_SHARED_CREDENTIALS_FILE", "credentials")
    section = {**_section(config, f"profile {profile}", profile), **_section(credentials, profile)}
    if not section and (options.profile or environ.get("AWS_PROFILE")):
        raise ValueError(
            f"There is no profile {profile!r} in the shared configuration files of AWS (~/.aws/config, credentials)."
        )
    services = _nested(_section(config, f"services {section.get('services', '')}").get("s3", ""))
    return Surroundings(environ, profile, section, services)


def complete(options: Options, around: Surroundings) -> Options:
    """Fill in what is not a credential: endpoint, region, addressing, certificates."""
    ignored = (around.say("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS") or "").lower() == "true"
    endpoint = None if ignored else around.say("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL")
    if endpoint is None and not ignored:
        endpoint = around.services.get("endpoint_url") or around.section.get("endpoint_url")
    nested = _nested(around.section.get("s3", ""))
    style = options.addressing_style
    if style == "auto" and nested.get("addressing_style") in {"path", "virtual"}:
        style = "path" if nested["addressing_style"] == "path" else "virtual"
    return attrs.evolve(
        options,
        endpoint_url=options.endpoint_url or endpoint,
        region=options.region or around.say("AWS_REGION", "AWS_DEFAULT_REGION") or around.section.get("region"),
        ca_bundle=options.ca_bundle or around.say("AWS_CA_BUNDLE") or around.section.get("ca_bundle"),
        addressing_style=style,
    )


def _parse(environ: Mapping[str, str], variable: str, name: str) -> RawConfigParser:
    import configparser

    path = environ.get(variable)
    parser = configparser.RawConfigParser(strict=False, default_section="\0")
    try:
        parser.read(Path(path).expanduser() if path else Path.home() / ".aws" / name, encoding="utf-8")
    except configparser.Error as error:
        raise ValueError(f"{path or f'~/.aws/{name}'} cannot be read: {str(error).splitlines()[0]}.") from error
    except (OSError, RuntimeError):  # not readable, or no home: as if there were none
        pass
    return parser


def _section(parser: RawConfigParser, *names: str) -> dict[str, str]:
    return next((dict(parser.items(name)) for name in names if parser.has_section(name)), {})


def _nested(text: str) -> dict[str, str]:
    """Return the settings in the indented lines below a name, which `configparser` reads as one value."""
    pairs = (line.partition("=") for line in text.splitlines())
    return {name.strip(): value.strip() for name, mark, value in pairs if mark}
