"""The README is executed: a newcomer's commands in their order, in a copy of this checkout; its claims are compared."""

import functools
import json
import os
import re
import signal
import subprocess
import threading
import urllib.request
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.integration import checkout
from tests.integration.ports import check_port, on_free_ports
from tests.integration.webserver import wait_until_loaded

README = (checkout.ROOT / "README.md").read_text(encoding="utf-8")
DATA_URL = "https://archive.ics.uci.edu/static/public/275/bike+sharing+dataset.zip"
SHELL_S = 300.0


def section(title: str) -> str:
    (found,) = re.findall(rf"(?ms)^## {title}$(.*?)(?=^## |\Z)", README)
    return found


def commands(title: str) -> list[str]:
    """Return the lines of the shell blocks of a section."""
    return [line for block in re.findall(r"```sh\n(.*?)```", section(title), re.DOTALL) for line in block.splitlines()]


def everyday() -> list[str]:
    """Return the commands of the table; a code that is only an option belongs to the one before it."""
    found: list[str] = []
    for cell in re.findall(r"(?m)^\| .+? \| (`.*) \|$", section("Every day")):
        for code in re.findall(r"`([^`]+)`", cell):
            found.append(f"{found[-1]} {code}" if code.startswith("-") else code)
    return found


def plain(text: str) -> str:
    return " ".join(text.replace("> ", "").split())


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return checkout.with_borrowed_venv(checkout.copied(tmp_path_factory.mktemp("readme") / "penstock"))


def shell(house: Path, script: str) -> str:
    """Run a script as a newcomer would; return what it printed."""
    done = subprocess.run(
        ["bash", "-euc", script], cwd=house, env=checkout.environment(house), stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=SHELL_S, check=False,
    )  # fmt: skip
    assert done.returncode == 0, f"{script}\nended with {done.returncode}:\n{done.stdout[-4000:]}"
    return done.stdout


class Development:
    """`make dev`, running."""

    def __init__(self, process: "subprocess.Popen[str]", log: Path) -> None:
        self.process, self.log = process, log

    def check(self) -> None:
        if self.process.poll() is not None:
            check_port(self.tail())
            raise RuntimeError(f"it ended with {self.process.returncode}:\n{self.tail()}")

    def tail(self) -> str:
        return self.log.read_text(errors="replace")[-4000:]


def test_the_declaration_in_the_readme_can_be_built():
    from assets.evaluate import Evaluate
    from assets.ingest import Ingest
    from assets.partitions import Partitions, Window
    from assets.preprocess import Features
    from assets.train import Train
    from pipelines.spec import Pipeline
    from quality.contract import Column, Contract
    from quality.gate import Gate
    from resources.source import EventTime, Source

    columns = {"at": Column(type="timestamp[us]"), "hr": Column(type="int8"), "cnt": Column(type="int32")}
    names = [Evaluate, EventTime, Features, Gate, Ingest, Partitions, Pipeline, Source, Train, Window]
    (block,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    known = {**{item.__name__: item for item in names}, "contract": Contract(columns=columns)}
    exec(f"built = {block}", known)
    assert isinstance(known["built"], Pipeline)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_commands_of_a_newcomer_run_in_their_order(house: Path):
    demo, dev = commands("Five minutes")
    told = shell(house, demo)
    assert "Champion of bike_demand: model" in told
    assert told.splitlines()[-1].strip() == dev
    open_web_ui(house, dev)
    told = shell(house, "\n".join(commands("Your own pipeline")))
    assert (house / "pipelines" / "catalog" / "coffee_sales.py").is_file()
    assert "Champion of coffee_sales: model" in told
    use_every_day(house)


def open_web_ui(house: Path, command: str) -> None:
    """Start the web UI, ask it and the reports beside it once, and end both as Ctrl-C does."""
    on_port = on_free_ports(lambda ports: developing(house, f"exec {command} PORT={ports[0]}", ports[0]), apart=1)
    with on_port as url:
        place, _, port = url.rpartition(":")
        for address, word in ((url, b"dagster"), (f"{place}:{int(port) + 1}", b"bike_demand")):
            with urllib.request.urlopen(address, timeout=30) as answer:
                assert word in answer.read().lower()


@contextmanager
def developing(house: Path, script: str, port: int) -> Iterator[str]:
    """Run `script`, which serves the web UI on `port`, until the block ends; yield its URL once it is loaded."""
    log = house / ".penstock" / "dev.log"
    with log.open("w") as output, subprocess.Popen(
        ["bash", "-c", script], cwd=house, env=checkout.environment(house), stdin=subprocess.DEVNULL,
        stdout=output, stderr=subprocess.STDOUT, text=True, start_new_session=True,
    ) as process:  # fmt: skip
        try:
            url = f"http://127.0.0.1:{port}"
            wait_until_loaded(url, Development(process, log))
            yield url
        finally:
            interrupt(process)


def interrupt(process: "subprocess.Popen[str]") -> None:
    if process.poll() is not None:
        return
    os.killpg(process.pid, signal.SIGINT)
    try:
        process.wait(timeout=120)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        raise


def use_every_day(house: Path) -> None:
    (sample,) = (house / ".penstock").rglob("bike_demand-lookalike.csv")
    (house / "new.csv").write_text("\n".join(sample.read_text().splitlines()[:25]))
    model = json.loads(shell(house, "penstock models bike_demand --json"))["entries"][-1]["model"]["digest"]
    told = {command: shell(house, command.replace("MODEL", model)) for command in everyday()}
    assert {command.split()[1] for command in told if command.startswith("penstock")} >= {"run", "predict", "doctor"}
    assert (house / "scores.parquet").is_file()
    assert "again; " in told['penstock rollback bike_demand --reason "complaints"']


@pytest.mark.slow
@pytest.mark.long
@pytest.mark.timeout(900)
def test_the_backtest_on_the_real_bikes_shows_what_the_readme_says(house: Path, shared_data: Path, tmp_path: Path):
    with zipfile.ZipFile(tmp_path / "bikes.zip", "w") as archive:
        archive.write(shared_data / "bike_sharing" / "hour.csv", "hour.csv")
    with served(tmp_path) as url:
        script = "\n".join(commands("The real data"))
        assert DATA_URL in script
        told = plain(shell(house, script.replace(DATA_URL, f"{url}/bikes.zip")))
    text = plain(section("The real data"))
    promoted, refused, months = re.search(r"shows (\d+) promotions and (\d+) refusals in (\d+) months", text).groups()
    assert f"{months} partitions: {promoted} promoted, {refused} refused" in told
    measured = re.search(r"by ([\d.]+) rides/h \(MAE\), .*? by ([\d.]+), last week's value by ([\d.]+)", text).groups()
    assert "challenger {}, champion {}, baseline {}".format(*measured) in told
    (example,) = re.findall(r"(?m)^> (?:.|\n)*?(?=\n\n)", section("The real data"))
    assert nameless(plain(example)) in nameless(told)


def nameless(text: str) -> str:
    """Return `text` without digests of models, which other versions of the libraries change."""
    return re.sub(r"[0-9a-f]{8}…", "…", text)


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """Serve the files of `folder` on loopback until the block ends."""
    handler = functools.partial(QuietHandler, directory=str(folder))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


class QuietHandler(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass
