"""What README and docs say of commands and settings is what there is."""

import re
from pathlib import Path

import pytest
from typer.main import get_command

from pipelines.cli.app import COMMANDS, GROUPS, app
from pipelines.cli.guard import BLOCKED, DONE, ERROR, INTERRUPTED, USAGE
from resources.settings import PROJECT_ROOT, SETTINGS

PAGES = [PROJECT_ROOT / "README.md", PROJECT_ROOT / "CONTRIBUTING.md", *sorted((PROJECT_ROOT / "docs").rglob("*.md"))]
CLI = (PROJECT_ROOT / "docs" / "cli.md").read_text(encoding="utf-8")
CODE = ("pipelines", "assets", "resources", "quality", "scripts")
WORDS = rf"(?:{'|'.join(GROUPS)}) [a-z]+|[a-z]+"
OPTION = re.compile(r"(?<![\w-])--?[a-z][a-z-]*")
LINK = re.compile(r"\[[^\]]*\]\(([^)#:]+)\)")


def options_of(command: str) -> set[str]:
    found = get_command(app)
    for word in command.split():
        found = found.commands[word]
    return {name for item in found.params for name in item.opts if name.startswith("-")}


def usages() -> list[tuple[str, str, str]]:
    """Return page, command and arguments of every `penstock COMMAND ...` in code of the pages."""
    found: list[tuple[str, str, str]] = []
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        code = re.findall(r"```sh\n(.*?)```", text, re.DOTALL) + re.findall(r"(?m)^ {4}(penstock .*)$", text)
        code += re.findall(r"`([^`\n]+)`", re.sub(r"```.*?```", "", text, flags=re.DOTALL))
        for line in "\n".join(code).splitlines():
            for command, rest in re.findall(rf"(?:^|/|\s)penstock ({WORDS})\b(.*)$", line):
                found.append((page.name, command, rest))
    return found


def sections() -> dict[str, str]:
    parts = re.split(r"(?m)^## `penstock ", CLI)[1:]
    return {re.match(WORDS, part)[0]: part for part in parts}


def test_the_command_line_page_has_every_command_in_the_order_of_the_help():
    assert list(sections()) == list(COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_the_command_line_page_has_every_option_of_a_command_and_no_other(command: str):
    section = sections()[command]
    rows = "\n".join(re.findall(r"(?m)^\| (`-.*?) \|", section))
    assert set(OPTION.findall(rows)) == options_of(command)
    assert re.search(rf"(?m)^    penstock {command}\b", section), "no example"


def test_the_command_line_page_has_every_exit_code():
    assert {int(code) for code in re.findall(r"(?m)^\| (\d+) \|", CLI)} == {DONE, ERROR, USAGE, BLOCKED, INTERRUPTED}


def test_every_command_that_a_page_names_exists_with_its_options():
    assert {command for _, command, _ in usages()} == set(COMMANDS)
    for page, command, rest in usages():
        unknown = set(OPTION.findall(re.sub(r'"[^"]*"', "", rest))) - options_of(command) - {"--help"}
        assert not unknown, f"{page}: penstock {command} has no {unknown}"


def test_the_settings_page_is_the_table_of_settings():
    page = (PROJECT_ROOT / "docs" / "settings.md").read_text(encoding="utf-8")
    rows = re.findall(r"(?m)^\| `(PENSTOCK_\w+)` \| `([^`]*)` \| (.*) \|$", page)
    assert rows == [(item.name, item.default_text, item.meaning) for item in SETTINGS]


def test_every_variable_that_the_code_reads_is_a_setting():
    files = [file for folder in CODE for file in sorted((PROJECT_ROOT / folder).rglob("*")) if file.suffix == ".py"]
    files += [PROJECT_ROOT / name for name in ("Makefile", "dagster.yaml", "scripts/install", ".ci/run")]
    for file in files:
        named = set(re.findall(r"PENSTOCK_[A-Z_]*[A-Z]", file.read_text(encoding="utf-8")))
        known = {item.name for item in SETTINGS} | {"PENSTOCK_TEST"}
        assert not {name for name in named - known if not name.startswith("PENSTOCK_TEST_")}, file


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(PROJECT_ROOT)))
def test_every_link_between_pages_leads_somewhere(page: Path):
    for target in LINK.findall(page.read_text(encoding="utf-8")):
        assert (page.parent / target).exists(), target


def test_the_index_lists_every_page():
    index = (PROJECT_ROOT / "docs" / "README.md").read_text(encoding="utf-8")
    pages = {page.name for page in (PROJECT_ROOT / "docs").glob("*.md")} - {"README.md"}
    assert pages <= set(LINK.findall(index))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(PROJECT_ROOT)))
def test_files_and_make_targets_that_a_page_names_exist(page: Path):
    text = page.read_text(encoding="utf-8")
    makefile = (PROJECT_ROOT / "Makefile").read_text(encoding="utf-8")
    for target in re.findall(r"`make ([a-z-]+)", text):
        assert re.search(rf"(?m)^{target}:", makefile), target
    for name in re.findall(r"`((?:pipelines|assets|resources|quality|tests|benchmarks|scripts|docs)/[\w./-]+)`", text):
        assert (PROJECT_ROOT / name).exists(), name


def test_dagster_parses_every_selection_that_a_page_shows():
    from dagster import AssetSelection

    shown = [text for page in PAGES for text in re.findall(r"--select '([^']+)'", page.read_text(encoding="utf-8"))]
    assert len(shown) >= 2
    for text in shown:
        assert AssetSelection.from_string(text)
