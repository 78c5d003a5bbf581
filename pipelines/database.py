"""Owns what is wrong with the PostgreSQL server that dagster.yaml names for Dagster's runs and events, with the remedy.

Without one they lie in SQLite (`pipelines.instance`), and there is nothing to find. It makes no table in the server.
"""

from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

SCHEME = "postgresql+psycopg2"
_EXAMPLE = f"{SCHEME}://USER:PASSWORD@HOST/DATABASE"
_TIMEOUT_S = 10


class Fault(NamedTuple):
    """What keeps Dagster from its server, and what to do about it."""

    what: str
    remedy: str


def server_named(home: Path) -> Mapping[str, Any] | None:  # Any: what the file holds
    """Return the section `storage: postgres:` of `home`/dagster.yaml, or None if there is none that can be read."""
    import yaml

    try:
        found = yaml.safe_load((home / "dagster.yaml").read_text(encoding="utf-8"))["storage"]["postgres"]
    except (OSError, ValueError, yaml.YAMLError, LookupError, TypeError):
        return None
    return found if isinstance(found, dict) else None


def server_fault(home: Path, environment: Mapping[str, str]) -> Fault | None:
    """Return what is wrong with the server that `home`/dagster.yaml names; None if nothing is, or it names none.

    Args:
        home: DAGSTER_HOME.
        environment: Environment variables, of which the file may name some.
    """
    named = server_named(home)
    if named is None:
        return None
    if find_spec("dagster_postgres") is None:
        what = "storage.postgres needs the package dagster-postgres, which is not installed"
        return Fault(what, f"install the release of your Dagster: .venv/bin/uv pip install {_package()}")
    from dagster_postgres.utils import pg_url_from_config

    try:
        url = pg_url_from_config(_resolved(named, environment))
    except KeyError as error:
        variable = error.args[0]
        return Fault(
            f"storage.postgres names the variable {variable}, which is not set", f"export {variable}={_EXAMPLE}"
        )
    except Exception as error:  # Dagster's check errors and those of wrong arguments have no common base
        return Fault(f"storage.postgres is not what Dagster expects: {_first_line(error)}", _give(named))
    return _connection_fault(url, named)


def _connection_fault(url: str, named: Mapping[str, Any]) -> Fault | None:  # Any: as above
    from sqlalchemy import create_engine
    from sqlalchemy.engine import make_url
    from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError
    from sqlalchemy.pool import NullPool

    try:
        parsed = make_url(url)
        timeout = {} if "connect_timeout" in parsed.query else {"connect_timeout": _TIMEOUT_S}
        engine = create_engine(parsed, poolclass=NullPool, connect_args=timeout)
    except (ImportError, NoSuchModuleError) as error:
        scheme = url.partition(":")[0]
        what = f"storage.postgres begins with {scheme}://, for which SQLAlchemy lacks the driver ({_first_line(error)})"
        return Fault(what, f"dagster-postgres comes with psycopg2: {_give(named)}")
    except (ArgumentError, ValueError):
        return Fault("storage.postgres gives no URL of a database", _give(named))  # which may hold a password: unsaid
    if "auth_provider" in named:  # the password is a token that only Dagster can fetch
        return None
    try:
        engine.connect().close()
    except DBAPIError as error:
        shown = parsed.set(query={}).render_as_string(hide_password=True)  # a query may hold secrets too
        what = f"the database {shown} cannot be reached: {_first_line(error.orig or error)}"
        return Fault(
            what, "start the server, or correct storage.postgres in dagster.yaml or the variable that it names"
        )
    return None


def _resolved(value: Any, environment: Mapping[str, str]) -> Any:  # Any: as above
    """Return a section of dagster.yaml with the values of the variables that it names."""
    if not isinstance(value, dict):
        return value
    if set(value) == {"env"}:
        return environment[value["env"]]
    return {name: _resolved(item, environment) for name, item in value.items()}


def _give(named: Mapping[str, Any]) -> str:  # Any: as above
    if "postgres_db" in named:
        return f"add `scheme: {SCHEME}` to storage.postgres.postgres_db in dagster.yaml"
    return f"write {_EXAMPLE} in dagster.yaml or the variable that it names"


def _package() -> str:
    """Return the release of dagster-postgres that goes with the Dagster here: 0.29.27 with 1.13.27."""
    from importlib.metadata import version

    _, minor, patch = version("dagster").split(".")[:3]
    return f"dagster-postgres==0.{int(minor) + 16}.{patch}"


def _first_line(error: BaseException) -> str:
    return str(error).strip().partition("\n")[0] or type(error).__name__
