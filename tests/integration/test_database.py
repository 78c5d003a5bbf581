"""A real PostgreSQL server, named as dagster.yaml and docs/settings.md say, is opened, and the doctor is content."""

import re

import pytest
import yaml

from pipelines.doctor import runs
from pipelines.running import open_instance
from resources.settings import PROJECT_ROOT

pytestmark = pytest.mark.slow


def section() -> str:
    """Return what dagster.yaml says of a server, no longer as a comment."""
    text = (PROJECT_ROOT / "dagster.yaml").read_text(encoding="utf-8")
    lines = re.findall(r"^# (storage:| +\S.*)$", text, re.MULTILINE)
    return "\n".join(lines[lines.index("storage:") :])


def in_parts(folder: str) -> str:
    named = {"username": "penstock", "hostname": "", "db_name": "postgres", "params": {"host": folder}}
    return yaml.safe_dump({"storage": {"postgres": {"postgres_db": {**named, "scheme": "postgresql+psycopg2"}}}})


@pytest.mark.parametrize("told", ["by one URL", "in parts"])
def test_the_server_is_opened_as_the_documentation_says(postgres_url, tmp_path, monkeypatch, told):
    text = section() if told == "by one URL" else in_parts(postgres_url.partition("host=")[2])
    (tmp_path / "dagster.yaml").write_text(text)
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    monkeypatch.setenv("DAGSTER_POSTGRES_URL", postgres_url)
    (finding,) = runs.database({"DAGSTER_HOME": str(tmp_path), "DAGSTER_POSTGRES_URL": postgres_url})
    assert finding.level == "ok"
    with open_instance() as instance:
        assert type(instance.run_storage).__name__ == "PostgresRunStorage"
        assert instance.get_runs() == []
