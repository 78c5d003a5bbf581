"""The server that dagster.yaml names: what keeps Dagster from it is told with its remedy, and no password."""

import pytest
import yaml

from pipelines import database
from pipelines.database import server_fault
from pipelines.doctor import runs
from pipelines.running import open_instance
from resources.errors import SettingsError

SECRET = "hunter2"


@pytest.fixture
def home(tmp_path):
    """Return a function that writes dagster.yaml with a server and returns its folder."""

    def write(server):
        (tmp_path / "dagster.yaml").write_text(yaml.safe_dump({"storage": {"postgres": server}}))
        return tmp_path

    return write


@pytest.mark.parametrize(
    ("server", "what", "remedy"),
    [
        (
            {"postgres_url": f"postgresql://me:{SECRET}@db/dagster"},
            "begins with postgresql://, for which SQLAlchemy lacks the driver (No module named 'psycopg')",
            "write postgresql+psycopg2://",
        ),
        (
            {"postgres_url": f"postgres://me:{SECRET}@db/dagster"},
            "begins with postgres://, for which SQLAlchemy lacks the driver",
            "write postgresql+psycopg2://",
        ),
        (
            {"postgres_db": {"username": "me", "password": SECRET, "hostname": "db", "db_name": "dagster"}},
            "begins with postgresql://, for which SQLAlchemy lacks the driver",
            "add `scheme: postgresql+psycopg2` to storage.postgres.postgres_db",
        ),
        (
            {"postgres_url": {"env": "DAGSTER_POSTGRES_URL"}},
            "names the variable DAGSTER_POSTGRES_URL, which is not set",
            "export DAGSTER_POSTGRES_URL=postgresql+psycopg2://",
        ),
        (
            {"postgres_url": f"postgresql+psycopg2://me:{SECRET}@/dagster?host=/no/such/folder"},
            "the database postgresql+psycopg2://me:***@/dagster cannot be reached",
            "start the server",
        ),
        ({"postgres_url": SECRET}, "gives no URL of a database", "write postgresql+psycopg2://"),
        ({}, "is not what Dagster expects", "write postgresql+psycopg2://"),
        ({"postgres_db": {"username": "me", "user": "me"}}, "is not what Dagster expects", "add `scheme:"),
    ],
)
def test_what_keeps_dagster_from_its_server_is_told(home, server, what, remedy):
    folder = home(server)
    (finding,) = runs.database({"DAGSTER_HOME": str(folder)})
    assert finding.level == "broken"
    assert what in finding.what
    assert remedy in finding.remedy
    assert SECRET not in finding.what + finding.remedy


def test_a_url_that_a_variable_holds_is_looked_at(home):
    folder = home({"postgres_url": {"env": "SERVER"}})
    fault = server_fault(folder, {"SERVER": "postgresql://me@db/dagster"})
    assert fault is not None
    assert "begins with postgresql://" in fault.what


def test_a_missing_package_is_told_with_the_release_to_install(home, monkeypatch):
    monkeypatch.setattr(database, "find_spec", lambda name: None)
    fault = server_fault(home({"postgres_url": "postgresql+psycopg2://me@db/dagster"}), {})
    assert fault is not None
    assert "uv pip install dagster-postgres==0." in fault.remedy


def test_a_run_says_the_same_as_the_doctor(home, monkeypatch):
    monkeypatch.setenv("DAGSTER_HOME", str(home({"postgres_url": "postgresql://me@db/dagster"})))
    with pytest.raises(SettingsError, match=r"lacks the driver .*write postgresql\+psycopg2://"), open_instance():
        pass


@pytest.mark.parametrize(
    "text", ["", "telemetry:\n  enabled: false\n", "storage: []", ":", "storage:\n  sqlite: {base_dir: x}\n"]
)
def test_where_no_server_is_named_nothing_is_wrong(tmp_path, text):
    (tmp_path / "dagster.yaml").write_text(text)
    (finding,) = runs.database({"DAGSTER_HOME": str(tmp_path)})
    assert finding.level == "ok"
