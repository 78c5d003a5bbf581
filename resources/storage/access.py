"""Owns where an S3 server is and as whom it is asked: from `AWS_*` variables or a profile of the AWS configuration."""

import os
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from resources.errors import StoreError

if TYPE_CHECKING:
    from botocore.credentials import Credentials

_CREDENTIALS_S = 300.0  # after which they are asked for again: those of a role end


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """How to reach a server.

    Attributes:
        endpoint: Its URL, or nothing for AWS.
        certificates: PEM of authorities to trust beside those of the system, or None.
        told_by: What tells all this, for people.
        config: What obstore is told of it, never printed: it may hold secrets.
    """

    endpoint: str
    certificates: str | None
    told_by: str
    config: dict[str, Any] = field(repr=False)  # Any: obstore's TypedDicts


def access(profile: str | None = None) -> Access:
    """Return what a profile tells or, without one, what the environment does.

    Raises:
        StoreError: If that is not enough.
    """
    return from_environment() if profile is None else from_profile(profile)


def environment_endpoint() -> str:
    """Return the URL of the server that `AWS_*` variables name, or nothing for AWS."""
    return os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL") or ""


def from_environment() -> Access:
    """Return what `AWS_*` variables tell, with the credentials of the profile that botocore finds if they name none.

    Raises:
        StoreError: If there are no credentials, or the file of AWS_CA_BUNDLE cannot be read.
    """
    endpoint = environment_endpoint()
    config: dict[str, Any] = {"endpoint": endpoint} if endpoint else {}  # Any: as above
    if not os.environ.get("AWS_ACCESS_KEY_ID") and not os.environ.get("AWS_SKIP_SIGNATURE"):
        session = _session(None)
        region = session.get_config_variable("region")
        config |= {
            "credential_provider": _provider(session, "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE")
        }
        config |= {"region": region} if region else {}
    certificates = _certificates(os.environ.get("AWS_CA_BUNDLE"), "AWS_CA_BUNDLE", endpoint)
    return Access(endpoint=endpoint, certificates=certificates, told_by="the AWS_* variables", config=config)


def from_profile(profile: str) -> Access:
    """Return what a profile tells: `endpoint_url`, `region`, `ca_bundle`, and credentials of any kind.

    Raises:
        StoreError: If there is no such profile, it has no credentials, or its certificates cannot be read.
    """
    from botocore.exceptions import BotoCoreError

    told_by = f"profile {profile!r} of the AWS configuration"
    try:
        session = _session(profile)
        scoped = session.get_scoped_config()
        region = session.get_config_variable("region") or "us-east-1"
    except BotoCoreError as error:
        raise StoreError(f"cannot use {told_by}: {error}; add it to ~/.aws/config, or name another") from None
    endpoint = scoped.get("endpoint_url") or f"https://s3.{region}.amazonaws.com"
    config = {
        "endpoint": endpoint,
        "region": region,
        "skip_signature": False,
        "credential_provider": _provider(session, f"give {told_by} some"),
    }
    certificates = _certificates(scoped.get("ca_bundle") or os.environ.get("AWS_CA_BUNDLE"), "ca_bundle", endpoint)
    return Access(endpoint=endpoint, certificates=certificates, told_by=told_by, config=config)


def _session(profile: str | None) -> Any:  # Any: botocore has no types
    from botocore.session import Session

    return Session(profile=profile)


def _provider(session: Any, remedy: str) -> Any:  # Any: as above
    from botocore.exceptions import BotoCoreError

    try:
        credentials: Credentials | None = session.get_credentials()
    except BotoCoreError as error:
        raise StoreError(f"no S3 credentials: {error}; {remedy}") from None
    if credentials is None:
        raise StoreError(f"no S3 credentials: {remedy}")

    def provide() -> dict[str, Any]:  # Any: obstore's TypedDict
        frozen = credentials.get_frozen_credentials()
        return {
            "access_key_id": frozen.access_key,
            "secret_access_key": frozen.secret_key,
            "token": frozen.token,
            "expires_at": datetime.now(UTC) + timedelta(seconds=_CREDENTIALS_S),
        }

    return provide


def _certificates(file: str | None, name: str, endpoint: str) -> str | None:
    if not file or endpoint.startswith("http://"):
        return None
    try:
        text = Path(file).expanduser().read_text(encoding="ascii")
    except (OSError, ValueError) as error:
        raise StoreError(f"cannot read {name} {file}: {error}; name a file of certificates in PEM") from None
    if "-----BEGIN CERTIFICATE-----" not in text:
        raise StoreError(f"{name} {file} holds no certificate: name a file of certificates in PEM")
    return text
