"""The doctor finds what is broken or unsafe, with its remedy, and leaves everything as it was."""

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from pipelines.doctor import Finding, diagnose, installation, is_healthy, privacy, runs, safety, state
from resources.settings import PROJECT_ROOT, load_settings
from resources.signing import load_signer
from resources.storage.data_key import make_user_key
from resources.storage.folder import FolderStore


@pytest.fixture
def settings(tmp_path):
    return load_settings({"PENSTOCK_HOME": str(tmp_path / "home")})


def only(findings: list[Finding]) -> Finding:
    (finding,) = findings
    return finding


def test_every_finding_that_is_not_ok_has_a_remedy():
    with pytest.raises(ValueError, match="remedy"):
        Finding("unsafe", "something")
    with pytest.raises(ValueError, match="remedy"):
        Finding("ok", "something", "do this")


def test_notes_are_healthy_and_unsafe_or_broken_findings_are_not():
    assert is_healthy([Finding("ok", "a"), Finding("note", "b", "c")])
    assert not is_healthy([Finding("unsafe", "a", "b")])
    assert not is_healthy([Finding("broken", "a", "b")])


@pytest.mark.slow
def test_this_installation_is_healthy_and_the_doctor_says_how_long_the_code_location_takes(tmp_path):
    environment = {
        "PENSTOCK_HOME": str(tmp_path),
        "DAGSTER_HOME": str(PROJECT_ROOT),
        "DVC_NO_ANALYTICS": "1",
        "GX_ANALYTICS_ENABLED": "false",
    }
    names: list[str] = []
    findings = diagnose(environment=environment, progress=names.append)
    assert [finding for finding in findings if finding.level != "ok"] == []
    assert any("the code location loads" in finding.what for finding in findings)
    assert names[0] == "settings"
    assert names[-1] == "disk"


def test_a_misspelt_setting_is_found_with_the_nearest_name_and_the_other_checks_still_run():
    findings = diagnose(environment={"PENSTOCK_STOR": "/tmp/x", "PENSTOCK_PIPELINES": "/no/such/folder"})
    assert findings[0].level == "broken"
    assert "PENSTOCK_STORE" in findings[0].what
    assert any("Python" in finding.what for finding in findings[1:])


def test_packages_that_are_missing_or_of_another_version_are_named_with_both_versions():
    pins = dict(
        installation.locked("polars==0.0.1 \\\n    --hash=sha256:00\nno-such-package==3 \\\n    --hash=sha256:00\n")
    )
    drift = {name: (found, wanted) for name, found, wanted in installation.drifted(pins)}
    assert drift["no-such-package"] == (None, "3")
    assert drift["polars"][1] == "0.0.1"


def test_pins_for_other_platforms_are_left_out():
    lock = "pywin32==1 ; sys_platform == 'win32' \\\n    --hash=x\nrich==2 ; python_version >= '3' \\\n    --hash=x\n"
    assert dict(installation.locked(lock)) == {"rich": "2"}


def test_every_package_of_the_lock_file_is_looked_at():
    lock = installation.LOCK.read_text()
    named = {line.split("==")[0] for line in lock.splitlines() if "==" in line and not line.startswith(" ")}
    applicable = {name for name, _ in installation.locked(lock)}
    assert {"dagster", "lightgbm", "polars", "great-expectations"} <= applicable <= named


def test_dagster_parses_asset_selections_beside_dvc():
    assert only(installation.selection_parser({})).level == "ok"


@pytest.mark.slow
def test_a_pipeline_that_does_not_load_is_named_with_its_file(tmp_path):
    (tmp_path / "broken_one.py").write_text("from pipelines.spec import Pipelin\n")
    finding = only(installation.code_location({"PENSTOCK_PIPELINES": str(tmp_path)}))
    assert finding.level == "broken"
    assert "Pipelin" in finding.what
    assert f"{tmp_path / 'broken_one.py'}:1" in finding.what


@pytest.mark.slow
@pytest.mark.parametrize(
    ("change", "says"),
    [("NAME", "broken_one.py:1: SyntaxError"), ("Pipeline(nme='x')", "did you mean 'name'?")],
)
def test_what_does_not_load_is_told_in_one_line_with_what_is_wrong(tmp_path, change, says):
    (tmp_path / "broken_one.py").write_text(f"from pipelines.spec import Pipeline; x = {change}\n".replace("NAME", "("))
    finding = only(installation.code_location({"PENSTOCK_PIPELINES": str(tmp_path)}))
    assert says in finding.what
    assert "\n" not in finding.what


@pytest.mark.slow
def test_a_setting_that_keeps_the_code_location_from_loading_is_named_as_one():
    finding = only(installation.code_location({"PENSTOCK_STOR": "x"}))
    assert "PENSTOCK_STORE" in finding.what
    assert "docs/settings.md" in finding.remedy


def test_telemetry_that_is_on_is_unsafe_whether_the_file_says_so_or_says_nothing(tmp_path):
    for text in ("", "telemetry:\n  enabled: true\n", "- not a mapping\n", "telemetry: [\n"):
        (tmp_path / "dagster.yaml").write_text(text)
        assert only(privacy.dagster({"DAGSTER_HOME": str(tmp_path)})).level == "unsafe", text


def test_the_dagster_yaml_of_this_project_is_private():
    assert only(privacy.dagster({"DAGSTER_HOME": str(PROJECT_ROOT)})).level == "ok"


def test_a_dagster_home_without_a_configuration_is_broken_and_an_unset_one_is_a_note(tmp_path):
    assert only(privacy.dagster({"DAGSTER_HOME": str(tmp_path)})).level == "broken"
    assert only(privacy.dagster({"DAGSTER_HOME": "relative"})).level == "broken"
    assert only(privacy.dagster({})).level == "note"


def test_analytics_of_great_expectations_and_dvc_are_found():
    assert only(privacy.great_expectations({"GX_ANALYTICS_ENABLED": "True"})).level == "unsafe"
    assert only(privacy.great_expectations({"GX_CLOUD_ACCESS_TOKEN": "t"})).level == "note"
    assert only(privacy.great_expectations({"GX_ANALYTICS_ENABLED": "false"})).level == "ok"
    assert only(privacy.dvc({"DVC_NO_ANALYTICS": "1"})).level == "ok"


@pytest.mark.parametrize("name", safety.ENDPOINTS)
def test_an_object_store_without_tls_is_unsafe_unless_it_is_on_this_machine(name):
    assert only(safety.endpoint({name: "http://10.1.2.3:9000"})).level == "unsafe"
    assert only(safety.endpoint({name: "http://store.example:9000"})).level == "unsafe"
    assert only(safety.endpoint({name: "http://127.0.0.1:9000"})).level == "ok"
    assert only(safety.endpoint({name: "http://[::1]:9000"})).level == "ok"
    assert only(safety.endpoint({name: "https://store.example"})).level == "ok"


def test_credentials_in_an_endpoint_are_unsafe_and_are_not_repeated():
    finding = only(safety.endpoint({"AWS_ENDPOINT_URL": "https://me:hunter2@store.example"}))
    assert finding.level == "unsafe"
    assert "hunter2" not in finding.what + finding.remedy


@pytest.mark.parametrize("name", safety.HOSTS)
def test_a_web_host_that_other_machines_reach_is_unsafe(name):
    assert only(safety.web_host({name: "0.0.0.0"})).level == "unsafe"
    assert only(safety.web_host({name: ""})).level == "unsafe"
    assert only(safety.web_host({name: "localhost"})).level == "ok"


@pytest.mark.parametrize(("mask", "level"), [(0o022, "ok"), (0o077, "ok"), (0o002, "note"), (0o000, "unsafe")])
def test_a_umask_that_lets_others_write_is_found_and_left_as_it_is(mask, level):
    before = os.umask(mask)
    try:
        assert only(safety.umask({})).level == level
        assert os.umask(mask) == mask
    finally:
        os.umask(before)


def test_a_missing_key_is_fine_and_is_not_made(settings):
    assert only(state.signing_key(settings)).level == "ok"
    assert not settings.key.exists()


def test_a_sound_key_is_named_by_its_id(settings):
    signer = load_signer(settings.key)
    finding = only(state.signing_key(settings))
    assert finding.level == "ok"
    assert signer.key_id in finding.what


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620])
def test_a_key_that_others_may_read_or_write_is_unsafe(settings, mode):
    load_signer(settings.key)
    settings.key.chmod(mode)
    finding = only(state.signing_key(settings))
    assert finding.level == "unsafe"
    assert f"chmod 600 {settings.key}" in finding.remedy


def test_a_key_file_that_holds_no_key_is_broken(settings):
    settings.key.parent.mkdir(parents=True)
    settings.key.write_text("not a key")
    settings.key.chmod(0o600)
    assert only(state.signing_key(settings)).level == "broken"


def test_a_folder_in_the_place_of_the_key_is_broken_and_a_link_to_a_key_is_fine(settings):
    settings.key.mkdir(parents=True)
    assert only(state.signing_key(settings)).level == "broken"
    settings.key.rmdir()
    load_signer(settings.key.with_name("mounted.pem"))
    settings.key.symlink_to("mounted.pem")
    assert only(state.signing_key(settings)).level == "ok"


def test_folders_that_everybody_may_write_to_are_unsafe(tmp_path, settings):
    settings.home.mkdir()
    settings.home.chmod(0o777)
    finding = only(state.folders(settings))
    assert finding.level == "unsafe"
    assert finding.remedy == f"chmod o-w {settings.home}"
    settings.home.chmod(0o755)
    assert only(state.folders(settings)).level == "ok"


def test_a_folder_of_pipelines_that_everybody_may_write_to_is_unsafe(tmp_path):
    shared = tmp_path / "shared"
    shared.mkdir()
    shared.chmod(0o777)
    settings = load_settings({"PENSTOCK_HOME": str(tmp_path / "home"), "PENSTOCK_PIPELINES": str(shared)})
    assert "alter code" in only(state.folders(settings)).what


def test_the_store_is_probed_and_left_as_it_was(settings):
    before = only(state.store(settings))
    files = [path for path in Path(settings.store).rglob("*") if path.is_file()]
    assert before.level == "ok"
    assert files == []


def test_a_store_that_cannot_be_opened_is_broken_and_says_where_it_is(tmp_path):
    (tmp_path / "file").write_text("not a folder")
    settings = load_settings({"PENSTOCK_HOME": str(tmp_path), "PENSTOCK_STORE": str(tmp_path / "file" / "store")})
    finding = only(state.store(settings))
    assert finding.level == "broken"
    assert str(tmp_path / "file") in finding.what


def test_free_space_is_told_for_a_folder_that_does_not_exist_yet(settings):
    assert str(settings.home) in only(state.disk(settings)).what


KILLED = """
import os, signal
import dagster as dg

@dg.asset
def endless():
    os.kill(os.getpid(), signal.SIGKILL)

dg.materialize([endless], instance=dg.DagsterInstance.get())
"""


@pytest.mark.slow
def test_a_run_whose_process_was_killed_is_found(tmp_path):
    shutil.copy(PROJECT_ROOT / "dagster.yaml", tmp_path)
    environment = {"DAGSTER_HOME": str(tmp_path)}
    assert only(runs.lost(environment)).what == "no runs yet"
    killed = subprocess.run([sys.executable, "-c", KILLED], env={**os.environ, **environment}, check=False)
    finding = only(runs.lost(environment))
    assert killed.returncode == -signal.SIGKILL
    assert finding.level == "note"
    assert finding.what.startswith("1 runs")


def test_a_cache_that_may_grow_beyond_its_disk_is_noted(tmp_path):
    within, beyond = (
        load_settings({"PENSTOCK_HOME": str(tmp_path), "PENSTOCK_CACHE_BYTES": size}) for size in ("1MB", "100000PB")
    )

    assert not [finding for finding in state.disk(within) if "PENSTOCK_CACHE_BYTES" in finding.what]
    (found,) = [finding for finding in state.disk(beyond) if "PENSTOCK_CACHE_BYTES" in finding.what]
    assert found.level == "note"
    assert "PENSTOCK_CACHE to a larger disk" in found.remedy


def test_a_base_store_is_looked_at_and_left_as_it_is(tmp_path):
    base, own = FolderStore(tmp_path / "base"), FolderStore(tmp_path / "own")
    given = {"PENSTOCK_HOME": str(tmp_path), "PENSTOCK_STORE": own.url, "PENSTOCK_BASE_STORE": base.url}
    assert only(state.base_store(load_settings(given))).level == "note"
    base.put("refs/main/bike/raw/_.json", b"theirs")
    assert only(state.base_store(load_settings(given))).level == "ok"
    own.put("refs/main/bike/raw/_.json", b"mine")

    found, hidden = state.base_store(load_settings(given))

    assert (found.level, hidden.level) == ("ok", "note")
    assert "1 of 1 values of the base store are hidden" in hidden.what
    assert base.list("") == ["refs/main/bike/raw/_.json"]


def test_a_base_store_that_cannot_be_read_is_broken(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    base = str(tmp_path / "file" / "store")

    finding = only(state.base_store(load_settings({"PENSTOCK_HOME": str(tmp_path), "PENSTOCK_BASE_STORE": base})))

    assert finding.level == "broken"
    assert "PENSTOCK_BASE_STORE" in finding.remedy


def test_without_a_base_store_there_is_nothing_to_look_at(settings):
    assert state.base_store(settings) == []


def test_encryption_keys_are_looked_at_and_never_told(tmp_path):
    key = tmp_path / "user.key"
    given = load_settings({"PENSTOCK_HOME": str(tmp_path), "PENSTOCK_ENCRYPTION_KEY": str(key)})
    assert state.encryption_keys(load_settings({"PENSTOCK_HOME": str(tmp_path)})) == []
    assert only(state.encryption_keys(given)).level == "broken"
    make_user_key(key)
    healthy = only(state.encryption_keys(given))
    key.chmod(0o644)

    finding = only(state.encryption_keys(given))

    assert (healthy.level, finding.level) == ("ok", "unsafe")
    assert "chmod 600" in finding.what
    assert key.read_bytes().hex() not in healthy.what
