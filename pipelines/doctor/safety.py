"""Owns the checks of unsafe environment variables: open networks, plain-text connections, open files."""

import os
from collections.abc import Callable, Mapping
from urllib.parse import urlsplit

from pipelines.doctor.finding import Finding
from resources.loopback import is_loopback

Environment = Mapping[str, str]
ENDPOINTS = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT")
HOSTS = ("DAGSTER_WEBSERVER_HOST", "DAGIT_HOST", "DAGSTER_CLI_DEV_HOST")
"""Click gives these to dagster-webserver and `dagster dev` as their --host."""


def endpoint(environment: Environment) -> list[Finding]:
    """Look for an object store that is reached in plain text, or with credentials in its URL."""
    findings: list[Finding] = []
    for name in ENDPOINTS:
        parts = urlsplit(environment.get(name, ""))
        shown = f"{name}={parts.scheme}://{parts.hostname}"
        if parts.username or parts.password:
            remedy = f"take them out of {name}, set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
            findings.append(Finding("unsafe", f"{shown} holds credentials, which end up in logs", remedy))
        if parts.scheme == "http" and not is_loopback(parts.hostname or ""):
            what = f"{shown} has no TLS: data, models and request signatures cross the network in plain text"
            findings.append(Finding("unsafe", what, f"use the https:// address of the server in {name}"))
    return findings or [Finding("ok", "no object store is reached in plain text")]


def web_host(environment: Environment) -> list[Finding]:
    """Look for a web UI that would listen to other machines: it has no login, and runs code for whoever asks."""
    findings: list[Finding] = []
    for name in HOSTS:
        host = environment.get(name, "127.0.0.1")
        if not is_loopback(host):
            what = f"{name}={host} opens the web UI to other machines; it has no login and starts runs for anyone"
            findings.append(Finding("unsafe", what, f"unset {name}, and reach it through ssh -L 3000:127.0.0.1:3000"))
    return findings or [Finding("ok", "the web UI listens to this machine only")]


def umask(_: Environment) -> list[Finding]:
    """Look for a umask that lets others write to what this user makes."""
    mask = os.umask(0o022)
    os.umask(mask)
    if mask & 0o022 == 0o022:
        return [Finding("ok", f"umask {mask:03o}: what is made here cannot be written by others")]
    who = "everybody" if not mask & 0o002 else "the group"
    level = "unsafe" if who == "everybody" else "note"
    return [
        Finding(
            level, f"umask {mask:03o} lets {who} alter every file that is made here", "umask 022, in your shell profile"
        )
    ]


SAFETY: Mapping[str, Callable[[Environment], list[Finding]]] = {
    "object store endpoint": endpoint,
    "web UI host": web_host,
    "umask": umask,
}
