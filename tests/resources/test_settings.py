import re
from pathlib import Path

import pytest
from pydantic import ValidationError

from resources.errors import SettingsError
from resources.settings import PROJECT_ROOT, SETTINGS, Settings, load_settings
from resources.storage.folder import FolderStore
from resources.storage.layered import LayeredStore
from resources.storage.object_store import ObjectStore
from resources.workspace import open_workspace


def test_everything_lies_below_the_project_when_nothing_is_set():
    settings = load_settings({})

    assert settings.home == PROJECT_ROOT / ".penstock"
    assert settings.store == str(PROJECT_ROOT / ".penstock" / "store")
    assert settings.key == PROJECT_ROOT / ".penstock" / "keys" / "signing.pem"
    assert settings.scratch == PROJECT_ROOT / ".penstock" / "scratch"
    assert (settings.trusted_keys, settings.registry, settings.pipelines) == (None, "main", ())


def test_store_key_and_scratch_follow_the_home(tmp_path):
    settings = load_settings({"PENSTOCK_HOME": str(tmp_path)})

    assert settings.store == str(tmp_path / "store")
    assert settings.key == tmp_path / "keys" / "signing.pem"
    assert settings.scratch == tmp_path / "scratch"


def test_every_setting_can_be_given():
    settings = load_settings(
        {
            "PENSTOCK_HOME": "/h",
            "PENSTOCK_STORE": "s3://bucket/prefix",
            "PENSTOCK_KEY": "/k.pem",
            "PENSTOCK_TRUSTED_KEYS": "/trusted",
            "PENSTOCK_REGISTRY": "staging-2",
            "PENSTOCK_PIPELINES": "/a:/b",
            "PENSTOCK_REPORTS_URL": "https://reports.example.org/penstock/",
            "PENSTOCK_SCRATCH": "/fast",
            "PENSTOCK_CACHE": "/nvme",
            "PENSTOCK_CACHE_BYTES": "20GiB",
            "PENSTOCK_CODEC": "lz4",
            "PENSTOCK_VERIFY": "always",
        }
    )

    assert settings == Settings(
        home=Path("/h"),
        store="s3://bucket/prefix",
        key=Path("/k.pem"),
        trusted_keys=Path("/trusted"),
        registry="staging-2",
        pipelines=(Path("/a"), Path("/b")),
        reports_url="https://reports.example.org/penstock",
        scratch=Path("/fast"),
        cache=Path("/nvme"),
        cache_bytes=20 * 2**30,
        codec="lz4",
        verify="always",
    )


def test_a_mode_of_verification_that_is_none_is_refused():
    with pytest.raises(SettingsError, match=r"PENSTOCK_VERIFY='often': give first, always or never"):
        load_settings({"PENSTOCK_VERIFY": "often"})


def test_a_codec_that_is_none_of_those_is_refused():
    with pytest.raises(SettingsError, match=r"PENSTOCK_CODEC='gzip': give auto, none, lz4 or zstd"):
        load_settings({"PENSTOCK_CODEC": "gzip"})


def test_relative_paths_start_at_the_project_wherever_the_process_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    settings = load_settings({"PENSTOCK_STORE": "data", "PENSTOCK_PIPELINES": "mine"})

    assert settings.store == str(PROJECT_ROOT / "data")
    assert settings.pipelines == (PROJECT_ROOT / "mine",)


def test_a_tilde_is_the_home_of_the_user(monkeypatch):
    monkeypatch.setenv("HOME", "/users/ann")

    assert load_settings({"PENSTOCK_STORE": "~/data"}).store == "/users/ann/data"


def test_an_empty_value_counts_as_unset():
    assert load_settings({"PENSTOCK_STORE": "", "PENSTOCK_TRUSTED_KEYS": ""}) == load_settings({})


def test_the_environment_of_the_process_is_the_default(monkeypatch, tmp_path):
    monkeypatch.setenv("PENSTOCK_HOME", str(tmp_path))

    assert load_settings().home == tmp_path


def test_a_misspelt_name_is_refused_with_the_nearest_one():
    with pytest.raises(SettingsError, match="PENSTOCK_STOER is no setting: did you mean PENSTOCK_STORE"):
        load_settings({"PENSTOCK_STOER": "x"})


def test_names_for_the_tests_and_of_others_are_left_alone():
    assert load_settings({"PENSTOCK_TEST_DATA": "/x", "STORE": "y"}) == load_settings({})


@pytest.mark.parametrize("name", ["", "a b", "a/b", "../x", ".hidden", "é"])
def test_a_registry_name_is_a_plain_word(name):
    if not name:
        assert load_settings({"PENSTOCK_REGISTRY": name}).registry == "main"
        return
    with pytest.raises(SettingsError, match="PENSTOCK_REGISTRY="):
        load_settings({"PENSTOCK_REGISTRY": name})


@pytest.mark.parametrize(
    "url",
    [
        "s3://ann:hunter2hunter2@bucket/prefix",
        "s3://hunter2hunter2@bucket",
        "s3://bucket/prefix?secret=hunter2hunter2",
        "s3://bucket/prefix#hunter2hunter2",
        "https://ann:hunter2hunter2@host/x",
    ],
)
def test_credentials_in_the_store_url_are_refused_and_not_repeated(url):
    with pytest.raises(SettingsError) as refused:
        load_settings({"PENSTOCK_STORE": url})

    assert "hunter2" not in str(refused.value)
    assert refused.value.__cause__ is None


@pytest.mark.parametrize("url", ["gs://bucket", "https://host/x", "s3://", "file://otherhost/x"])
def test_a_store_of_an_unknown_kind_is_refused(url):
    with pytest.raises(SettingsError, match="PENSTOCK_STORE: "):
        load_settings({"PENSTOCK_STORE": url})


def test_a_path_setting_refuses_a_url():
    with pytest.raises(SettingsError, match="PENSTOCK_SCRATCH must be a path"):
        load_settings({"PENSTOCK_SCRATCH": "s3://bucket/scratch"})


def test_settings_do_not_change():
    settings = load_settings({})

    with pytest.raises(ValidationError):
        settings.registry = "other"  # type: ignore[misc]


def test_the_table_names_every_setting_and_its_true_default():
    fields = {f"PENSTOCK_{name.upper()}" for name in Settings.model_fields}
    settings = load_settings({})

    assert {setting.name for setting in SETTINGS} == fields
    for setting in SETTINGS:
        value = getattr(settings, setting.name.removeprefix("PENSTOCK_").lower())
        written = re.sub(r"\$PENSTOCK_HOME", str(settings.home), setting.default_text)
        written = re.sub(r"\$PENSTOCK_SCRATCH", str(settings.scratch), written)
        assert setting.meaning.endswith(".")
        assert written in (str(value), ".penstock", "(none)")


@pytest.mark.parametrize(
    ("text", "size_bytes"),
    [("1", 1), ("20000", 20_000), ("20GB", 20 * 10**9), ("20GiB", 20 * 2**30), ("1.5 tb", 15 * 10**11), ("7B", 7)],
)
def test_a_size_is_bytes_or_a_number_with_a_unit(text, size_bytes):
    assert load_settings({"PENSTOCK_CACHE_BYTES": text}).cache_bytes == size_bytes


@pytest.mark.parametrize("text", ["0", "-1", "20G", "GB", "many", "1e9", "20 GBit", "0.1B"])
def test_what_is_no_size_is_refused_with_how_to_write_one(text):
    with pytest.raises(SettingsError, match=r"PENSTOCK_CACHE_BYTES=.*20GB or 20GiB"):
        load_settings({"PENSTOCK_CACHE_BYTES": text})


def test_the_cache_lies_beside_scratch_unless_it_is_given():
    assert load_settings({"PENSTOCK_SCRATCH": "/fast"}).cache == Path("/fast/cache")


def test_a_workspace_opens_what_the_settings_name(tmp_path):
    settings = load_settings({"PENSTOCK_HOME": str(tmp_path)})

    workspace = open_workspace(settings)

    assert isinstance(workspace.store, FolderStore)
    assert workspace.registry_name == "main"
    assert workspace.signer.key_id in workspace.keyring.keys
    assert workspace.registry("bike").entries() == ()


def test_a_workspace_reads_a_base_store_through_its_own(tmp_path):
    given = {"PENSTOCK_HOME": str(tmp_path), "PENSTOCK_BASE_STORE": "memory://base"}

    store = open_workspace(load_settings(given)).store

    assert isinstance(store, LayeredStore)
    assert (store.own.url, store.base.url) == (str(tmp_path / "store"), "memory://base")


@pytest.mark.parametrize(
    ("own", "base"),
    [("/data", "/data"), ("/data", "file:///data"), ("/data/../data", "/data"), ("s3://b/p", "s3://b/p/")],
)
def test_a_store_cannot_be_its_own_base(own, base):
    with pytest.raises(SettingsError, match=r"PENSTOCK_BASE_STORE and PENSTOCK_STORE are the same store"):
        load_settings({"PENSTOCK_STORE": own, "PENSTOCK_BASE_STORE": base})


def test_the_url_of_a_base_store_is_checked():
    with pytest.raises(SettingsError, match=r"PENSTOCK_BASE_STORE: .*credentials"):
        load_settings({"PENSTOCK_BASE_STORE": "s3://me:secret@bucket"})


def test_a_workspace_may_have_a_registry_of_its_own(tmp_path):
    settings = load_settings({"PENSTOCK_HOME": str(tmp_path), "PENSTOCK_STORE": "memory://own-registry"})

    workspace = open_workspace(settings, registry="backtest-1")

    assert isinstance(workspace.store, ObjectStore)
    assert workspace.registry_name == "backtest-1"
    with pytest.raises(SettingsError, match="registry name"):
        open_workspace(settings, registry="../x")


def test_opening_a_workspace_writes_nothing_but_the_key(tmp_path):
    open_workspace(load_settings({"PENSTOCK_HOME": str(tmp_path)}))

    assert [path.name for path in sorted(tmp_path.rglob("*"))] == ["keys", "signing.pem"]


@pytest.mark.parametrize(
    "url", ["127.0.0.1:3001", "file:///reports", "http://", "http://host:port", "http://[::1", "http://host/?all#top"]
)
def test_an_address_of_reports_that_no_browser_could_open_is_refused(url):
    with pytest.raises(SettingsError, match=re.escape(repr(url)) + ".* such as http://127.0.0.1:3001"):
        load_settings({"PENSTOCK_REPORTS_URL": url})


def test_a_password_in_the_address_of_reports_is_refused_and_not_repeated():
    with pytest.raises(SettingsError, match="no plain address") as refused:
        load_settings({"PENSTOCK_REPORTS_URL": "https://ann:secret@reports.example.org"})
    assert "secret" not in str(refused.value)
