import csv
import os
import subprocess
import sys
from pathlib import Path

import pytest

from pipelines import starter
from resources.errors import DeclarationError, StoreError

ROOT = Path(__file__).parents[2]


def test_starter_is_never_written_over_a_file_that_is_there(tmp_path: Path):
    path = starter.write("coffee", tmp_path)
    path.write_text("mine")
    with pytest.raises(DeclarationError, match=r"coffee\.py is there already"):
        starter.write("coffee", tmp_path)
    assert path.read_text() == "mine"


def test_starter_is_not_written_beside_a_folder_of_that_name(tmp_path: Path):
    (tmp_path / "coffee").mkdir()
    with pytest.raises(DeclarationError, match="is there already"):
        starter.write("coffee", tmp_path)


@pytest.mark.parametrize(
    ("name", "instead"),
    [("Coffee-Shop", "coffee_shop"), ("class", "my_class"), ("2sales", "sales"), ("", "my_pipeline"), ("a/b", "a_b")],
)
def test_a_wrong_name_is_refused_with_a_right_one(tmp_path: Path, name: str, instead: str):
    with pytest.raises(DeclarationError, match=f"for instance '{instead}'"):
        starter.write(name, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_written_is_named_with_a_remedy(tmp_path: Path):
    file = tmp_path / "file"
    file.write_text("")
    with pytest.raises(StoreError, match=r"cannot write .*--folder"):
        starter.write("coffee", file / "below")


def test_nothing_but_the_starter_is_left_in_the_folder(tmp_path: Path):
    starter.write("coffee", tmp_path / "new" / "folder")
    assert [path.name for path in (tmp_path / "new" / "folder").iterdir()] == ["coffee.py"]


def test_starter_declares_a_pipeline_of_its_name_and_generates_the_same_rows_twice(tmp_path: Path):
    path = starter.write("coffee", tmp_path)
    code = (
        "import sys; from pathlib import Path; from pipelines.lookup import find\n"
        "from resources.settings import load_settings\n"
        "pipeline = find('coffee', load_settings()); name = pipeline.ingest.source.sample.split(':')\n"
        "write = getattr(sys.modules[name[0]], name[1])\n"
        "for folder in sys.argv[1:]: Path(folder).mkdir(); print(write(Path(folder)))\n"
    )
    environment = {**os.environ, "PENSTOCK_PIPELINES": str(tmp_path), "PENSTOCK_HOME": str(tmp_path / "home")}
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "a"), str(tmp_path / "b")],
        cwd=ROOT, env=environment, capture_output=True, text=True, check=True,
    )  # fmt: skip
    first, second = (Path(line) for line in done.stdout.splitlines())
    assert first.read_bytes() == second.read_bytes()
    with first.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len({row["at"] for row in rows}) == len(rows) > 2000
    assert "PIPELINE_NAME" not in path.read_text(encoding="utf-8")
