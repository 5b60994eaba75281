"""Find credentials in the same order as AWS tools do.

The order is: options, environment variables, keys in the profile, other sources that the profile names (a role, single
sign-on, a process), the container's or the machine's own credentials. botocore resolves the last two. Outside of a
cloud it gives up on the machine's credentials within seconds.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import attrs

from molexp.errors import CredentialsError
from molexp_s3_store._options import Options, Surroundings, named_profile

if TYPE_CHECKING:
    from obstore.store import S3Credential

_ELSEWHERE = (
    "role_arn",
    "sso_session",
    "sso_start_url",
    "credential_process",
    "credential_source",
    "web_identity_token_file",
    "login_session",
)
_FRESH = timedelta(minutes=5)
_NOWHERE = "No credentials were found"


@attrs.frozen
class Keys:
    """An access key with its secret."""

    access_key_id: str
    secret_access_key: str = attrs.field(repr=False)
    session_token: str | None = attrs.field(default=None, repr=False)

    def to_client(self) -> S3Credential:
        """Return the keys in the form that the client takes."""
        return {
            "access_key_id": self.access_key_id,
            "secret_access_key": self.secret_access_key,
            "token": self.session_token,
            "expires_at": None,
        }


Provider = Callable[[], "S3Credential"]


def find_credentials(options: Options, around: Surroundings) -> Keys | Provider | None:
    """Return keys, or a provider that renews them when they expire, or None if no credentials are needed."""
    if options.anonymous:
        return None
    if options.access_key_id and options.secret_access_key:
        return Keys(options.access_key_id, options.secret_access_key, options.session_token)
    if options.profile is None:  # a profile that was asked for in code counts more than the environment
        key, secret = around.say("AWS_ACCESS_KEY_ID"), around.say("AWS_SECRET_ACCESS_KEY")
        if key and secret:
            return Keys(key, secret, around.say("AWS_SESSION_TOKEN", "AWS_SECURITY_TOKEN"))
    if any(name in around.section for name in _ELSEWHERE):
        return _Asked(options.profile)
    key, secret = around.section.get("aws_access_key_id"), around.section.get("aws_secret_access_key")
    if key and secret:
        return Keys(key, secret, around.section.get("aws_session_token"))
    return _Asked(options.profile)


def take_profile(session: Any, profile: str | None) -> None:
    """Let a session of botocore have the profile that was asked for, or that the environment names, by our rules."""
    session.get_component("config_store").set_config_variable("profile", profile or named_profile(os.environ))


class _Asked:
    """Credentials that botocore finds and renews; it asks the machine for no longer than a second or two."""

    def __init__(self, profile: str | None) -> None:
        self._profile = profile
        self._lock = threading.Lock()
        self._found: Any = None

    def __call__(self) -> S3Credential:
        from botocore.exceptions import BotoCoreError
        from botocore.session import Session

        with self._lock:
            try:
                if self._found is None:
                    session = Session(profile=self._profile)
                    take_profile(session, self._profile)
                    self._found = session.get_credentials()
                if self._found is None:
                    raise CredentialsError(_NOWHERE if self._profile is None else self._empty())
                frozen = self._found.get_frozen_credentials()
            except BotoCoreError as error:
                raise CredentialsError(
                    f"{self._empty()}: {error}. Try `aws sts get-caller-identity` with the same settings."
                ) from error
        return {
            "access_key_id": frozen.access_key,
            "secret_access_key": frozen.secret_key,
            "token": frozen.token,
            "expires_at": datetime.now(UTC) + _FRESH,  # botocore renews them in time; ask it often enough
        }

    def _empty(self) -> str:
        whose = (
            "AWS's configuration" if self._profile is None else f"The profile {self._profile!r} of AWS's configuration"
        )
        return f"{whose} gives no credentials"
