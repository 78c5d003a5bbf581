"""The look at a watched source: just what changed, once, through crashes, reverts and half-written files."""

import functools
import http.server
import os
import socket
import threading
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from quality.contract import Column, Contract
from resources.errors import SourceError
from resources.source import EventTime, Source, location
from resources.source.lookout import Lookout
from resources.source.watch import Look, Pace, changed_partitions
from resources.source.watched import Change, Seen, Watched

KEYS = ("2011-01", "2011-02", "2011-03")
CONTRACT = Contract(columns={"at": Column(type="timestamp[us, tz=UTC]"), "rides": Column(type="int64")})
AT = EventTime(column="at")
NOW = Pace(quiet_s=0.0)
LONG_AGO = 1_300_000_000.0


def look(
    url: str | Path, seen: Watched | None = None, *, keys: tuple[str, ...] | None = KEYS, pace: Pace = NOW
) -> Look:
    return changed_partitions(
        Source(url=str(url), format="csv"),
        CONTRACT,
        event_time=AT,
        key_of=lambda instant: instant.strftime("%Y-%m"),
        keys=keys,
        seen=seen or Watched(),
        scratch=Path("/nonexistent"),
        pace=pace,
    )


def found(seen: Look) -> list[str | None]:
    return [change.partition for change in seen.changes]


def rows(key: str, content: int) -> str:
    return "".join(f"{key}-{day:02}T00:00:00Z,{content}\n" for day in (1, 5, 9))


def write(path: Path, text: str, *, at: float = LONG_AGO) -> None:
    path.write_text(text)
    os.utime(path, (at, at))


class OneFileEach:
    """One file a partition."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.url = f"{folder}/rides-{{partition}}.csv"

    def put(self, contents: dict[str, int], at: float) -> None:
        for key in KEYS:
            path, text = self.folder / f"rides-{key}.csv", "at,rides\n" + rows(key, contents.get(key, 0))
            if key not in contents:
                path.unlink(missing_ok=True)
            elif not path.exists() or path.read_text() != text:
                write(path, text, at=at)

    def touch(self, at: float) -> None:
        for path in self.folder.glob("*.csv"):
            os.utime(path, (at, at))


class OneFileForAll(OneFileEach):
    """One file that holds all partitions."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.url = f"{folder}/rides.csv"
        self.put({}, LONG_AGO)

    def put(self, contents: dict[str, int], at: float) -> None:
        text = "at,rides\n" + "".join(rows(key, contents[key]) for key in KEYS if key in contents)
        path = self.folder / "rides.csv"
        if not path.exists() or path.read_text() != text:
            write(path, text, at=at)


class Dagster:
    """What Dagster does with requests: a run key is launched once for ever; a killed daemon forgets the cursor."""

    def __init__(self) -> None:
        self.cursor: str | None = None
        self.launched: list[str] = []
        self.unremembered: list[str] = []

    def submit(self, run_keys: list[str]) -> list[str]:
        new = [key for key in run_keys if key not in self.launched]
        self.launched += new
        self.unremembered += new
        return new


class WatchedSource(RuleBasedStateMachine):
    """Any history of a source, and any crash of the daemon."""

    layout: type[OneFileEach] = OneFileEach

    def __init__(self) -> None:
        super().__init__()
        self.folder = TemporaryDirectory()
        self.source = self.layout(Path(self.folder.name))
        self.contents: dict[str, int] = {}
        self.dagster = Dagster()
        self.ingested: dict[str, list[int]] = {key: [] for key in KEYS}
        self.clock = LONG_AGO

    def tick(self) -> float:
        self.clock += 60
        return self.clock

    @initialize(contents=st.dictionaries(st.sampled_from(KEYS), st.integers(1, 3)))
    def begin(self, contents: dict[str, int]) -> None:
        self.contents = contents
        self.source.put(contents, self.tick())

    @rule(key=st.sampled_from(KEYS), content=st.integers(1, 3))
    def add_or_change_or_revert(self, key: str, content: int) -> None:
        self.contents[key] = content
        self.source.put(self.contents, self.tick())

    @rule(key=st.sampled_from(KEYS))
    def remove(self, key: str) -> None:
        self.contents.pop(key, None)
        self.source.put(self.contents, self.tick())

    @rule()
    def touch(self) -> None:
        self.source.touch(self.tick())

    @rule()
    def look_and_remember(self) -> None:
        outcome = self._look()
        self._launch([change.run_key for change in outcome.changes])
        self.dagster.cursor = outcome.seen.to_cursor()
        self.dagster.unremembered.clear()

    @rule(survivors=st.integers(0, 3))
    def be_killed_while_submitting(self, survivors: int) -> None:
        self._launch([change.run_key for change in self._look().changes][:survivors])

    @rule()
    def lose_the_cursor(self) -> None:
        self.dagster.cursor = None
        self.dagster.unremembered = list(self.dagster.launched)

    @invariant()
    def no_partition_runs_twice_for_the_same_content(self) -> None:
        for key, contents in self.ingested.items():
            assert all(a != b for a, b in pairwise(contents)), f"{key} was doubled: {contents}"

    def teardown(self) -> None:
        self.look_and_remember()
        self.no_partition_runs_twice_for_the_same_content()
        assert {key: self.ingested[key][-1] for key in self.contents} == self.contents, "a change was missed"
        assert self._look().changes == ()
        self.folder.cleanup()

    def _look(self) -> Look:
        seen = Watched.from_cursor(self.dagster.cursor).with_requested(self.dagster.unremembered)
        return look(self.source.url, seen)

    def _launch(self, run_keys: list[str]) -> None:
        for run_key in self.dagster.submit(run_keys):
            partition = Change.named(run_key).partition
            self.ingested[partition].append(self.contents[partition])


class WatchedFile(WatchedSource):
    layout = OneFileForAll


LONG_HISTORIES = settings(
    max_examples=60, stateful_step_count=25, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
TestOneFileEach = WatchedSource.TestCase
TestOneFileEach.settings = LONG_HISTORIES
TestOneFileForAll = WatchedFile.TestCase
TestOneFileForAll.settings = LONG_HISTORIES


def test_changes_come_in_the_order_of_the_partitions_whatever_the_order_of_the_files(tmp_path):
    source = OneFileEach(tmp_path)
    for key in reversed(KEYS):
        write(tmp_path / f"rides-{key}.csv", rows(key, 1))
    assert found(look(source.url)) == list(KEYS)


def test_touching_a_file_is_no_change_and_is_looked_at_once(tmp_path):
    source = OneFileEach(tmp_path)
    source.put({"2011-01": 1}, LONG_AGO)
    first = look(source.url)
    source.touch(LONG_AGO + 60)
    second = look(source.url, first.seen)
    assert second.changes == ()
    assert second.seen.partitions["2011-01"].stamp != first.seen.partitions["2011-01"].stamp


def test_the_same_change_has_the_same_run_key_and_a_return_to_former_content_a_new_one(tmp_path):
    source = OneFileEach(tmp_path)
    keys, seen = [], Watched()
    for content in (1, 2, 1):
        source.put({"2011-01": content}, LONG_AGO + len(keys))
        assert look(source.url, seen).changes == look(source.url, seen).changes
        outcome = look(source.url, seen)
        keys.append(outcome.changes[0].run_key)
        seen = outcome.seen
    assert len(set(keys)) == 3
    assert keys[0].split(":")[1] == keys[2].split(":")[1]


@contextmanager
def growing_all_the_time(path: Path, text: str) -> Iterator[None]:
    """Append `text` to the file again and again until the block ends."""
    ended = threading.Event()

    def grow() -> None:
        while not ended.wait(0.02):
            with path.open("a") as file:
                file.write(text)

    writer = threading.Thread(target=grow)
    writer.start()
    try:
        yield
    finally:
        ended.set()
        writer.join()


def test_a_file_that_changes_during_the_look_is_left_for_the_next_look(tmp_path):
    source = OneFileEach(tmp_path)
    source.put({"2011-01": 1, "2011-02": 1}, LONG_AGO)
    growing = tmp_path / "rides-2011-02.csv"
    growing.write_text("at,rides\n")
    with growing_all_the_time(growing, rows("2011-02", 2)):  # so the look waits before it reads
        outcome = look(source.url, pace=Pace(quiet_s=1.0))
    assert found(outcome) == ["2011-01"]
    assert outcome.notes == ("left for the next look, still being written: 2011-02",)
    os.utime(growing, (LONG_AGO, LONG_AGO))
    assert found(look(source.url, outcome.seen)) == ["2011-02"]


def test_a_file_for_all_that_changes_during_the_look_is_left_with_what_was_remembered(tmp_path):
    source = OneFileForAll(tmp_path)
    path = tmp_path / "rides.csv"
    path.write_text("at,rides\n" + rows("2011-01", 1))
    with growing_all_the_time(path, rows("2011-01", 2)):
        outcome = look(source.url, pace=Pace(quiet_s=1.0))
    assert outcome.changes == ()
    assert outcome.seen.partitions == {}
    assert outcome.notes == ("left for the next look: the file changed while it was looked at",)


def test_a_look_out_of_time_goes_on_where_it_ended(tmp_path):
    source = OneFileEach(tmp_path)
    source.put(dict.fromkeys(KEYS, 1), LONG_AGO)
    rushed = Pace(quiet_s=0.0, budget_s=0.0)
    first = look(source.url, pace=rushed)
    second = look(source.url, first.seen, pace=rushed)
    third = look(source.url, second.seen, pace=rushed)
    assert [found(first), found(second), found(third)] == [["2011-01"], ["2011-02"], ["2011-03"]]
    assert first.notes == ("left for the next look, for lack of time: 2011-02, 2011-03",)


def test_files_of_no_declared_partition_are_ignored_with_a_note(tmp_path):
    source = OneFileEach(tmp_path)
    source.put({"2011-01": 1}, LONG_AGO)
    (tmp_path / "rides-2013-05.csv").write_text("later")
    (tmp_path / "rides-old.csv").write_text("junk")
    outcome = look(source.url)
    assert found(outcome) == ["2011-01"]
    assert outcome.notes == ("no declared and complete partition: 2013-05, old",)


def test_a_partition_that_becomes_complete_is_found_in_a_file_that_did_not_change(tmp_path):
    source = OneFileForAll(tmp_path)
    source.put({"2011-01": 1, "2011-02": 1}, LONG_AGO)
    first = look(source.url, keys=KEYS[:1])
    assert found(first) == ["2011-01"]
    assert first.notes == ("no declared and complete partition: 2011-02",)
    assert found(look(source.url, first.seen, keys=KEYS[:2])) == ["2011-02"]


def test_rows_added_to_one_partition_of_a_long_file_with_rejected_rows_touch_no_other(tmp_path):
    path = tmp_path / "rides.csv"
    late = [f"2011-{month:02}-05T00:00:00Z,{'x' if row % 50 == 7 else row}" for month in (2, 3) for row in range(300)]
    padded = "".join(f"{line}{' ' * 30_000}\n" for line in late)  # more than one block of reading
    write(path, "at,rides\n" + rows("2011-01", 1) + padded)
    first = look(path)
    write(path, "at,rides\n" + rows("2011-01", 1) * 20_000 + padded, at=LONG_AGO + 60)
    assert [found(first), found(look(path, first.seen))] == [list(KEYS), ["2011-01"]]


def test_an_unreadable_file_does_not_hold_up_the_others(tmp_path):
    source = OneFileEach(tmp_path)
    source.put({"2011-01": 1}, LONG_AGO)
    (tmp_path / "rides-2011-02.csv").symlink_to(tmp_path / "nowhere")
    outcome = look(source.url)
    assert found(outcome) == ["2011-01"]


def test_a_link_to_a_changed_file_is_a_change(tmp_path):
    target = tmp_path / "target"
    write(target, rows("2011-01", 1))
    (tmp_path / "rides-2011-01.csv").symlink_to(target)
    url = f"{tmp_path}/rides-{{partition}}.csv"
    first = look(url)
    write(target, rows("2011-01", 2), at=LONG_AGO + 60)
    assert found(look(url, first.seen)) == ["2011-01"]


def test_a_folder_without_files_is_said_and_nothing_is_forgotten(tmp_path):
    source = OneFileEach(tmp_path / "later")
    outcome = look(source.url)
    assert outcome.changes == ()
    assert outcome.notes == ("no file yet for the source's url",)


@pytest.mark.parametrize(
    "url", ["{folder}/rides.csv", "zip://rides.csv::{folder}/rides.zip", "http://127.0.0.1:9/rides.csv"]
)
@pytest.mark.parametrize("keys", [KEYS, None])
def test_a_source_that_is_not_there_is_an_error_that_names_it(tmp_path, url, keys):
    with pytest.raises(SourceError, match=r"rides\.(csv|zip)"):
        look(url.replace("{folder}", str(tmp_path)), keys=keys)


def test_without_partitions_the_file_as_a_whole_is_watched(tmp_path):
    path = tmp_path / "flights.csv"
    write(path, "one")
    first = look(path, keys=None)
    assert [change.run_key.split(":")[0::2] for change in first.changes] == [["all", "1"]]
    os.utime(path, (LONG_AGO + 9, LONG_AGO + 9))
    second = look(path, first.seen, keys=None)
    assert second.changes == ()
    write(path, "two", at=LONG_AGO + 99)
    assert [change.generation for change in look(path, second.seen, keys=None).changes] == [2]


def test_partitions_inside_an_archive_are_told_apart_by_their_checksums(tmp_path):
    url = f"zip://rides/{{partition}}.csv::{tmp_path}/all.zip"
    first = look(_archive(tmp_path / "all.zip", {"2011-01": 1, "2011-02": 1}, url))
    second = look(_archive(tmp_path / "all.zip", {"2011-01": 1, "2011-02": 2}, url), first.seen)
    assert found(first) == ["2011-01", "2011-02"]
    assert found(second) == ["2011-02"]


def test_an_archive_for_each_partition_is_watched_by_its_own_file(tmp_path):
    url = f"zip://2011-01.csv::{tmp_path}/{{partition}}.zip"
    _archive(tmp_path / "2011-01.zip", {"2011-01": 1}, url)
    os.utime(tmp_path / "2011-01.zip", (LONG_AGO, LONG_AGO))
    assert found(look(url)) == ["2011-01"]


def test_a_web_server_that_lists_nothing_is_asked_for_each_partition(tmp_path):
    folder = tmp_path / "files"
    folder.mkdir()
    write(folder / "2011-02.csv", "at,rides\n" + rows("2011-02", 1))
    with served(folder) as address:
        url = f"{address}/{{partition}}.csv"
        first = look(url)
        write(folder / "2011-02.csv", "at,rides\n" + rows("2011-02", 2), at=LONG_AGO + 60)
        assert [found(first), found(look(url, first.seen)), found(look(f"{address}/x{{partition}}"))] == [
            ["2011-02"],
            ["2011-02"],
            [],
        ]


def test_one_file_in_an_archive_on_a_web_server_is_watched(tmp_path):
    folder = tmp_path / "files"
    folder.mkdir()
    with served(folder) as address:
        url = f"zip://rides.csv::{address}/rides.zip"
        _member(folder / "rides.zip", "at,rides\n" + rows("2011-01", 1), at=LONG_AGO)
        first = look(url)
        same = look(url, first.seen)
        _member(folder / "rides.zip", "at,rides\n" + rows("2011-01", 1) + rows("2011-03", 1), at=LONG_AGO + 60)
        assert [found(first), found(same), found(look(url, first.seen))] == [["2011-01"], [], ["2011-03"]]


@pytest.mark.parametrize("text", [None, "", "2012-01", "{}", '{"v":7}', '{"v":1,"at":0,"file":"","partitions":[1]}'])
def test_a_cursor_that_is_not_ours_remembers_nothing(text):
    assert Watched.from_cursor(text) == Watched()


def test_a_request_that_was_not_remembered_makes_the_next_look_compare_the_content_again():
    seen = Watched(file="stamp", partitions={"2011-01": Seen(digest="a", generation=1, stamp="s")})
    assert seen.with_requested(["2011-01:a:1", "nightly"]) == seen
    assert seen.with_requested(["2011-01:b:2"]) == Watched(partitions={"2011-01": Seen(digest="b", generation=2)})


@pytest.mark.parametrize("run_key", ["", "nightly", "a:b", "2012-01:8f3a:two"])
def test_a_run_key_that_is_not_ours_is_no_change(run_key):
    assert Change.named(run_key) is None


def test_a_look_that_takes_long_serves_the_next_tick():
    lookout: Lookout[str] = Lookout()
    release = threading.Event()

    def work() -> str:
        release.wait(30)
        return "seen"

    assert lookout.look("q", work, patience_s=0.05) is None
    release.set()
    assert lookout.look("q", pytest.fail, patience_s=30) == "seen"


def test_the_result_of_a_look_that_nobody_asks_for_any_more_is_dropped():
    lookout: Lookout[str] = Lookout()
    release = threading.Event()
    assert lookout.look("old", lambda: str(release.wait(30)), patience_s=0.05) is None
    release.set()
    assert lookout.look("new", lambda: "new", patience_s=30) == "new"


def test_what_a_look_raises_is_raised_and_the_next_look_is_a_new_one():
    lookout: Lookout[str] = Lookout()

    def fail() -> str:
        raise SourceError("no file")

    with pytest.raises(SourceError, match="no file"):
        lookout.look("q", fail, patience_s=30)
    assert lookout.look("q", lambda: "seen", patience_s=30) == "seen"


def _archive(path: Path, contents: dict[str, int], url: str) -> str:
    with zipfile.ZipFile(path, "w") as archive:
        for key, content in contents.items():
            archive.writestr(f"rides/{key}.csv", rows(key, content))
    os.utime(path, (LONG_AGO, LONG_AGO))
    return url


def _member(path: Path, text: str, *, at: float) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("rides.csv", text)
    os.utime(path, (at, at))


def test_a_web_server_that_keeps_silent_or_is_not_there_is_an_error_and_no_missing_file(
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr(location, "SILENCE_S", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        template = f"http://127.0.0.1:{silent.getsockname()[1]}/{{partition}}.csv"
        with pytest.raises(SourceError, match="cannot be reached"):
            look(template)
    with pytest.raises(SourceError, match="cannot be reached"):
        look(template)


class Ranges(http.server.SimpleHTTPRequestHandler):
    """Files by HTTP with ranges, which an archive is read by; Python's own server knows none."""

    def do_GET(self) -> None:
        asked, path = self.headers.get("Range"), Path(self.translate_path(self.path))
        if asked is None or not path.is_file():
            super().do_GET()
            return
        first, _, last = asked.removeprefix("bytes=").partition("-")
        data = path.read_bytes()
        part = data[int(first) : int(last or len(data)) + 1]
        self.send_response(206)
        self.send_header("Content-Range", f"bytes {first}-{int(first) + len(part) - 1}/{len(data)}")
        self.send_header("Content-Length", str(len(part)))
        self.end_headers()
        self.wfile.write(part)

    def log_message(self, *_: object) -> None:
        return


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """Serve `folder` on loopback; the server lists nothing that fsspec could read."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Ranges, directory=str(folder))) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()
