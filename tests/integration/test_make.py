"""The house: Makefile, installation, lock files, CI. What a newcomer and CI run must work on a bare machine."""

import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from tests.conftest import LONGEST
from tests.integration.checkout import copied

ROOT = Path(__file__).resolve().parents[2]
LOCKS = ("requirements.lock", "requirements-dev.lock", "requirements-uv.lock")
TOOLS = ("sh", "bash", "env", "cat", "cksum", "dirname", "id", "ldconfig", "make", "rm", "sed", "awk", "git", "python3")
PIN = re.compile(r"^([A-Za-z0-9._-]+)==([^\s;\\]+)", re.MULTILINE)


def pins(lock: str) -> dict[str, str]:
    return dict(PIN.findall((ROOT / lock).read_text()))


def run(*command: str | Path, cwd: Path = ROOT, **environment: str) -> subprocess.CompletedProcess[str]:
    variables = {**os.environ, **environment}
    for name in ("MAKEFLAGS", "MAKELEVEL", "MFLAGS"):  # this may be a make within `make test`
        variables.pop(name, None)
    return subprocess.run(
        list(map(str, command)),
        cwd=cwd,
        env=variables,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )


@pytest.fixture
def tools(tmp_path):
    """A PATH of its own: the ordinary tools by link, and what a test puts there or takes away."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in TOOLS:
        if found := shutil.which(name):
            (folder / name).symlink_to(sys.executable if name == "python3" else found)
    return folder


def script(path: Path, text: str) -> None:
    path.unlink(missing_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)


@pytest.fixture
def checkout(tmp_path):
    """A copy of what git would clone, without .venv and state."""
    return copied(tmp_path / "checkout")


def test_the_files_that_the_tests_begin_with_are_there():
    assert set(LONGEST) <= {path.name for path in (ROOT / "tests").rglob("test_*.py")}


def test_make_alone_lists_every_target_with_what_it_does():
    listed = run("make").stdout
    for target in ("install", "demo", "dev", "test", "check", "bench", "lock", "clean"):
        assert re.search(rf"^  make {target} +\w", listed, re.MULTILINE), target


@pytest.mark.parametrize("lock", LOCKS)
def test_lock_files_have_hashes_and_name_no_host(lock):
    text = (ROOT / lock).read_text()
    assert not re.search(r"://|--(extra-)?index-url|--find-links|--trusted-host", text)
    entries = re.split(r"\n(?=\S)", text.strip())
    assert entries
    assert [entry.split()[0] for entry in entries if "--hash=sha256:" not in entry] == []


def test_every_declared_dependency_is_locked_to_a_version_that_fits():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    core, dev = pins("requirements.lock"), pins("requirements-dev.lock")
    for declared, locked in [(project["dependencies"] + extras["build"], core), (extras["dev"], dev)]:
        for requirement in map(Requirement, declared):
            version = locked[requirement.name.lower()]
            assert requirement.specifier.contains(version, prereleases=True), (str(requirement), version)


def test_the_development_lock_holds_every_pin_of_the_core_lock():
    assert pins("requirements.lock").items() <= pins("requirements-dev.lock").items()


def test_the_pytorch_that_is_tested_fits_the_extra_and_every_test_of_it_is_left_to_its_own_environment():
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]["torch"]
    [tested] = map(Requirement, (ROOT / "requirements-torch.txt").read_text().split())
    [version] = [one.version for one in tested.specifier]
    assert Requirement(declared[0]).specifier.contains(version)
    assert not {"torch", "nvidia-cublas"} & pins("requirements-dev.lock").keys()
    makefile = (ROOT / "Makefile").read_text()
    assert makefile.count("not torch") == 3
    assert "-m torch" in makefile


def test_the_selection_parser_of_dagster_gets_its_antlr_from_the_lock():
    assert pins("requirements.lock")["antlr4-python3-runtime"].startswith("4.13.")


def test_the_build_tool_is_locked_so_that_installing_this_folder_needs_no_network():
    assert "hatchling" in pins("requirements.lock")


def test_no_python_that_fits_is_said_with_the_remedy_before_anything_is_made(checkout):
    done = run("make", "install", cwd=checkout, PYTHON="/bin/false")
    assert done.returncode != 0
    assert "3.11, 3.12 or 3.13" in done.stdout
    assert "make install PYTHON=" in done.stdout
    assert not (checkout / ".venv").exists()


def test_a_missing_tool_is_named_with_its_remedy_before_anything_is_made(checkout, tools):
    (tools / "git").unlink()
    script(tools / "apt-get", "exit 1")
    done = run(tools / "make", "install", cwd=checkout, PATH=str(tools))
    assert done.returncode != 0
    assert "missing: git is not installed" in done.stdout
    assert "apt-get install git" in done.stdout
    assert not (checkout / ".venv").exists()


def test_the_preflight_passes_where_the_tests_run(checkout):
    assert run(sys.executable, "scripts/preflight.py", cwd=checkout).returncode == 0


def test_the_preflight_names_a_missing_browser_but_does_not_insist_on_it(checkout, tools):
    done = run(sys.executable, "scripts/preflight.py", "dev", cwd=checkout, PATH=str(tools), PENSTOCK_TEST_CHROMIUM="")
    assert done.returncode == 0
    assert "note: no Chromium" in done.stdout


def in_namespace(commands: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run shell commands as root of a mount namespace of their own, so that they may hide files of this machine."""
    if run("unshare", "--mount", "true").returncode != 0:
        pytest.skip("not here: mount namespaces need root on Linux")
    return run("unshare", "--mount", "sh", "-ec", commands, cwd=cwd)


def preflight(folder: str = ".") -> str:
    return f"{sys.executable} {folder}/scripts/preflight.py"


@pytest.mark.skipif(sys.platform != "linux", reason="not here: needs Linux namespaces")
def test_a_missing_openmp_library_is_found_before_the_long_part(checkout):
    listed = "ldconfig -p | sed -n 's/.*=> \\(.*libgomp.so.1\\)$/\\1/p'"
    hide = f"for file in $({listed}); do mount --bind /dev/null $file; done"
    done = in_namespace(f"{hide}; {preflight()}", checkout)
    assert done.returncode == 1
    assert "libgomp.so.1 is not installed" in done.stdout
    assert "Nothing was installed" in done.stdout


@pytest.mark.skipif(sys.platform != "linux", reason="not here: needs Linux namespaces")
def test_a_disk_that_is_too_small_is_found_before_the_long_part(checkout, tmp_path):
    small = tmp_path / "small"
    small.mkdir()
    done = in_namespace(
        f"mount -t tmpfs -o size=8m none {small}; cp -r scripts {small}; {preflight(str(small))}", checkout
    )
    assert done.returncode == 1
    assert "GB are free" in done.stdout


@pytest.mark.skipif(sys.platform != "linux", reason="not here: needs Linux namespaces")
def test_a_folder_that_cannot_be_written_is_found_before_the_long_part(checkout):
    done = in_namespace(f"mount --bind . .; mount -o remount,ro,bind {checkout}; {preflight(str(checkout))}", checkout)
    assert done.returncode == 1
    assert f"cannot write to {checkout}" in done.stdout


def test_ci_runs_every_part_of_the_tests_and_forbids_skips(checkout, tools):
    script(tools / "make", 'echo "make $* CI=$CI require=$PENSTOCK_TEST_REQUIRE"; cat')
    script(tools / "chromium", "exit 0")
    script(tools / "initdb", "exit 0")
    script(tools / "apt-get", 'echo "apt-get $*"')
    done = run(tools / "bash", ".ci/run", cwd=checkout, PATH=str(tools))
    assert done.returncode == 0, done.stdout
    parts = ("test", "test-long", "test-torch")
    assert done.stdout == "".join(f"make {part} CI=true require=1\n" for part in parts)


def test_ci_installs_a_missing_browser_first(checkout, tools):
    script(tools / "make", 'echo "make $*"')
    script(tools / "id", "echo 0")
    script(tools / "initdb", "exit 0")
    script(tools / "apt-get", 'echo "apt-get $*"')
    lines = run(tools / "bash", ".ci/run", cwd=checkout, PATH=str(tools)).stdout.splitlines()
    assert [line.split()[:1] for line in lines] == [["apt-get"], ["apt-get"], ["make"], ["make"], ["make"]]
    assert "update" in lines[0]
    assert lines[1].endswith(" chromium")


@pytest.mark.parametrize("failing", ["test", "test-long", "test-torch"])
def test_ci_fails_when_the_tests_fail(failing, checkout, tools):
    script(tools / "make", f'if [ "$1" = {failing} ]; then exit 3; fi')
    script(tools / "chromium", "exit 0")
    script(tools / "initdb", "exit 0")
    assert run(tools / "bash", ".ci/run", cwd=checkout, PATH=str(tools)).returncode == 3


@pytest.mark.slow
def test_a_test_skipped_for_want_of_data_passes_on_a_laptop_and_fails_in_ci(tmp_path):
    command = (sys.executable, "-m", "pytest", "-rs", "tests/pipelines/test_samples.py", "-k", "reads_like")
    laptop = run(*command, PENSTOCK_TEST_DATA=str(tmp_path / "none"), PENSTOCK_TEST_REQUIRE="0")
    ci = run(*command, PENSTOCK_TEST_DATA=str(tmp_path / "none"), PENSTOCK_TEST_REQUIRE="1")
    assert laptop.returncode == 0
    assert "real data not found" in laptop.stdout
    assert ci.returncode != 0
    assert "was skipped although" in ci.stdout


@pytest.mark.slow
@pytest.mark.long
@pytest.mark.timeout(1500)
def test_a_clean_checkout_installs_once_and_moves_to_another_folder(checkout, tmp_path):
    """Installs the core lock alone: what `make demo` needs must not come from the development tools."""
    first = run("make", "install", cwd=checkout, PYTHON=sys.executable)
    assert first.returncode == 0, first.stdout[-4000:]
    again = run("make", "install", cwd=checkout, PYTHON=sys.executable)
    assert again.stdout == "Installed in .venv. Next: make demo\n"
    installed = run(checkout / ".venv/bin/python", "-c", "import pytest", cwd=tmp_path)
    assert installed.returncode != 0

    moved = checkout.rename(tmp_path / "moved")
    assert run("make", "install", cwd=moved, PYTHON=sys.executable).returncode == 0
    shown = run(moved / ".venv/bin/penstock", "--version", cwd=tmp_path)
    assert shown.returncode == 0, shown.stdout
    where = run(moved / ".venv/bin/python", "-c", "import pipelines; print(pipelines.__file__)", cwd=tmp_path)
    assert where.stdout.strip() == str(moved / "pipelines" / "__init__.py")
