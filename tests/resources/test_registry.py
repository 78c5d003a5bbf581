import multiprocessing
import secrets
from dataclasses import replace
from multiprocessing.synchronize import Barrier
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st

from resources.canonical import digest_value
from resources.errors import ConflictError, IntegrityError, ObjectMissing
from resources.refs import ModelRef
from resources.registry import Entry, Registry, logged_models
from resources.settings import load_settings
from resources.signing import Keyring, Signer
from resources.storage.folder import FolderStore
from resources.storage.object_store import ObjectStore
from resources.storage.store import Store
from resources.storage.values import seal, unseal
from resources.workspace import open_workspace

REPORT = "f" * 64


def fresh_signer() -> Signer:
    return Signer(Ed25519PrivateKey.generate())


def ring(*signers: Signer) -> Keyring:
    return Keyring({signer.key_id: signer._key.public_key().public_bytes_raw() for signer in signers})


SIGNER = fresh_signer()


def model(name: str) -> ModelRef:
    return ModelRef(
        digest=digest_value(name),
        location="memory://x",
        trainer="lightgbm",
        training_digests={"2011-01": "a" * 64},
        code_version="1",
        parameters={"learning_rate": 0.1, "leaves": [1, 2]},
        seed=7,
    )


A, B, C, D = (model(name) for name in "ABCD")


def opened(store: Store, *, name="main", pipeline="bike", signer=SIGNER, keyring=None) -> Registry:
    return Registry(store, name=name, pipeline=pipeline, signer=signer, keyring=keyring or ring(SIGNER))


@pytest.fixture
def store(tmp_path: Path) -> FolderStore:
    return FolderStore(tmp_path / "store")


@pytest.fixture
def registry(store: FolderStore) -> Registry:
    return opened(store)


def promote(registry: Registry, challenger: ModelRef, partition: str) -> Entry:
    return registry.promote(
        challenger, partition=partition, report=REPORT, expected_head=registry.head(), reason="better"
    )


def champion(registry: Registry) -> ModelRef | None:
    entry = registry.champion()
    return entry.model if entry else None


def test_a_new_registry_has_no_champion(registry):
    assert registry.entries() == ()
    assert registry.head() == ""
    assert registry.champion() is None
    assert registry.champion_facing(A.digest, "2011-01") is None
    assert registry.rolled_back() == set()


def test_a_promoted_model_is_champion_and_its_entry_tells_everything(registry):
    entry = registry.promote(A, partition="2011-01", report=REPORT, expected_head="", reason="no champion yet")

    assert opened(registry._store).champion() == entry
    assert (entry.model, entry.partition, entry.report, entry.reason) == (A, "2011-01", REPORT, "no champion yet")
    assert (entry.sequence, entry.previous, entry.action, entry.alias) == (1, "", "promote", "champion")
    assert (entry.registry, entry.pipeline) == ("main", "bike")
    assert "@" in entry.actor
    assert entry.at.endswith("+00:00")
    assert registry.head() == entry.digest


def test_every_entry_names_the_one_before(registry):
    first, second = promote(registry, A, "2011-01"), promote(registry, B, "2011-02")

    assert second.previous == first.digest
    assert [entry.digest for entry in registry.entries()] == [first.digest, second.digest]


def test_a_promotion_judged_against_an_older_head_is_a_conflict(registry):
    judged = registry.head()
    promote(registry, A, "2011-01")

    with pytest.raises(ConflictError, match="champion of pipeline bike in registry main changed meanwhile: evaluate"):
        registry.promote(B, partition="2011-01", report=REPORT, expected_head=judged, reason="")
    assert champion(registry) == A


def test_without_an_expected_head_the_log_is_taken_as_it_is(registry):
    promote(registry, A, "2011-01")

    registry.promote(B, partition="2011-02", report=REPORT, expected_head=None, reason="")

    assert champion(registry) == B


def test_registries_and_pipelines_keep_their_own_logs(store):
    promote(opened(store), A, "2011-01")
    promote(opened(store, name="backtest"), B, "2011-01")
    promote(opened(store, pipeline="flights"), C, "2011-01")

    assert [champion(opened(store)), champion(opened(store, name="backtest"))] == [A, B]
    assert champion(opened(store, pipeline="flights")) == C


def test_an_answer_lost_on_the_way_is_not_taken_for_a_conflict(store):
    class LosesAnswers(FolderStore):
        """A store whose client sends a request twice, because the answer to the first got lost."""

        def create(self, key: str, data: bytes) -> bool:
            super().create(key, data)
            return super().create(key, data)

    registry = opened(LosesAnswers(Path(store.url)))

    promote(registry, A, "2011-01")
    promote(registry, B, "2011-02")

    assert champion(registry) == B


def test_rollback_returns_to_the_champion_before(registry):
    for challenger, partition in ((A, "2011-01"), (B, "2011-02"), (C, "2011-03")):
        promote(registry, challenger, partition)

    entry = registry.rollback(to=None, reason="complaints")

    assert (entry.action, entry.model, entry.partition, entry.reason) == ("rollback", B, "2011-02", "complaints")
    assert registry.rolled_back() == {C.digest}
    assert registry.rollback(to=None, reason="more").model == A
    assert registry.rolled_back() == {B.digest, C.digest}
    with pytest.raises(ObjectMissing, match="has no earlier champion"):
        registry.rollback(to=None, reason="")


def test_rollback_to_a_named_model_passes_over_those_between(registry):
    for challenger, partition in ((A, "2011-01"), (B, "2011-02"), (C, "2011-03")):
        promote(registry, challenger, partition)

    assert registry.rollback(to=A.digest, reason="").model == A

    assert registry.rolled_back() == {B.digest, C.digest}


def test_a_rolled_back_model_may_be_put_back(registry):
    promote(registry, A, "2011-01")
    promote(registry, B, "2011-02")
    registry.rollback(to=None, reason="complaints")

    registry.rollback(to=B.digest, reason="they were wrong")

    assert champion(registry) == B
    assert B.digest not in registry.rolled_back()


def test_rollback_to_what_never_was_or_already_is_champion_is_refused(registry):
    promote(registry, A, "2011-01")

    with pytest.raises(ObjectMissing, match=f"was never champion of .*; these were: {A.digest[:12]}"):
        registry.rollback(to=B.digest, reason="")
    with pytest.raises(ConflictError, match=r"is the champion .* already"):
        registry.rollback(to=A.digest, reason="")
    assert len(registry.entries()) == 1


def race(home: str, name: str, barrier: Barrier, outcomes: "multiprocessing.Queue[str]") -> None:
    registry = open_workspace(load_settings({"PENSTOCK_HOME": home})).registry("bike")
    judged = registry.head()
    for round_ in range(5):
        barrier.wait()
        try:
            entry = registry.promote(
                model(f"{name}{round_}"), partition="p", report=REPORT, expected_head=judged, reason=""
            )
            outcomes.put(f"{round_} won {entry.model.digest}")
        except ConflictError:
            outcomes.put(f"{round_} lost")
        barrier.wait()
        judged = registry.head()


def test_of_two_processes_that_promote_together_one_wins_and_the_other_is_told(tmp_path):
    open_workspace(load_settings({"PENSTOCK_HOME": str(tmp_path)}))
    context = multiprocessing.get_context("spawn")
    barrier, outcomes = context.Barrier(2), context.Queue()
    workers = [context.Process(target=race, args=(str(tmp_path), name, barrier, outcomes)) for name in "AB"]
    for worker in workers:
        worker.start()
    told = [outcomes.get(timeout=60) for _ in range(10)]
    for worker in workers:
        worker.join(60)

    entries = open_workspace(load_settings({"PENSTOCK_HOME": str(tmp_path)})).registry("bike").entries()
    won = sorted(line for line in told if "won" in line)
    assert [f"{index} won {entry.model.digest}" for index, entry in enumerate(entries)] == won
    assert len(entries) == 5
    assert sorted(line for line in told if "lost" in line) == [f"{index} lost" for index in range(5)]


FIRST, SECOND, THIRD = (f"registry/main/bike/{sequence:08d}.json" for sequence in (1, 2, 3))


@pytest.fixture
def log(store: FolderStore) -> FolderStore:
    """Return a store with a log of three promotions."""
    for challenger, partition in ((A, "2011-01"), (B, "2011-02"), (C, "2011-03")):
        promote(opened(store), challenger, partition)
    return store


def altered(store: Store, key: str, **fields: object) -> bytes:
    return seal(unseal(store.get(key)) | fields)


@pytest.mark.parametrize(
    "fields",
    [
        {"reason": "because"}, {"partition": "2010-01"}, {"report": "0" * 64}, {"actor": "eve"}, {"action": "rollback"},
        {"alias": "shadow"}, {"at": "2000-01-01T00:00:00+00:00"}, {"signature": ""}, {"signature": "00" * 64},
        {"key_id": ""}, {"key_id": "0" * 16}, {"previous": "0" * 64}, {"sequence": 3}, {"registry": "other"},
        {"pipeline": "other"}, {"model": {}}, {"model": None}, {"extra": 1},
    ],
    ids=str,
)  # fmt: skip
def test_an_altered_entry_is_named_and_nothing_is_read_past_it(log, fields):
    log.put(SECOND, altered(log, SECOND, **fields))

    for use in (
        opened(log).entries,
        opened(log).champion,
        opened(log).head,
        lambda: promote(opened(log), D, "2011-04"),
    ):
        with pytest.raises(IntegrityError, match=f"registry entry {SECOND} .* is not to be trusted: "):
            use()


def test_a_swapped_model_is_detected(log):
    log.put(THIRD, altered(log, THIRD, model=unseal(log.get(SECOND))["model"]))

    with pytest.raises(IntegrityError, match=f"{THIRD} .* false signature"):
        opened(log).champion()


def test_a_missing_entry_is_detected(log):
    log.delete(SECOND)

    with pytest.raises(IntegrityError, match=f"{SECOND} .*: it is missing, {THIRD} was found in its place"):
        opened(log).entries()


def test_a_missing_first_entry_is_detected(log):
    log.delete(FIRST)

    with pytest.raises(IntegrityError, match=f"{FIRST} .*: it is missing"):
        opened(log).entries()


def test_entries_that_changed_places_are_detected(log):
    second, third = log.get(SECOND), log.get(THIRD)
    log.put(SECOND, third)
    log.put(THIRD, second)

    with pytest.raises(IntegrityError, match=f"{SECOND} .*: it belongs to main/bike, sequence 3"):
        opened(log).entries()


def test_an_entry_of_another_registry_is_detected_though_its_signature_is_true(log):
    promote(opened(log, name="backtest"), D, "2011-01")
    log.put(FIRST, log.get(FIRST.replace("main", "backtest")))

    with pytest.raises(IntegrityError, match=f"{FIRST} .*: it belongs to backtest/bike"):
        opened(log).entries()


def test_an_entry_resigned_by_a_stranger_is_detected(log):
    stranger = fresh_signer()
    entry = replace(opened(log).entries()[-1], reason="mine")
    forged = {"reason": "mine", "signature": stranger.sign("registry", entry.digest), "key_id": stranger.key_id}
    log.put(THIRD, altered(log, THIRD, **forged))

    with pytest.raises(IntegrityError, match=f"{THIRD} .* unknown key {stranger.key_id}"):
        opened(log).entries()


def test_an_entry_rewritten_with_a_trusted_key_breaks_the_chain_after_it(log):
    entry = replace(opened(log).entries()[1], reason="rewritten")
    log.put(SECOND, altered(log, SECOND, reason="rewritten", signature=SIGNER.sign("registry", entry.digest)))

    with pytest.raises(IntegrityError, match=f"{THIRD} .*: it does not follow the entry before it"):
        opened(log).entries()


def test_a_flipped_bit_anywhere_in_an_entry_is_detected_by_whoever_reads_the_log_and_by_who_collects_garbage(log):
    true = log.get(SECOND)
    for place in range(0, len(true), 7):
        log.put(SECOND, true[:place] + bytes([true[place] ^ 1]) + true[place + 1 :])

        with pytest.raises(IntegrityError, match=f"{SECOND} "):
            opened(log).entries()
        with pytest.raises(IntegrityError, match=f"{SECOND} .*; restore it"):
            list(logged_models(log))


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"null", b"\xff", b'{"sequence": NaN}'])
def test_a_malformed_entry_is_named(log, content):
    log.put(SECOND, content)

    with pytest.raises(IntegrityError, match=f"{SECOND} .* is not to be trusted"):
        opened(log).entries()


def test_a_strange_file_in_the_log_is_detected(log):
    log.put("registry/main/bike/00000002.json.bak", b"")

    with pytest.raises(IntegrityError, match=r"00000002\.json\.bak was found in its place"):
        opened(log).entries()


def test_a_log_signed_by_two_trusted_keys_is_one_log(store):
    colleague = fresh_signer()
    keys = ring(SIGNER, colleague)

    promote(opened(store, keyring=keys), A, "2011-01")
    promote(opened(store, keyring=keys, signer=colleague), B, "2011-02")

    assert [entry.key_id for entry in opened(store, keyring=keys).entries()] == [SIGNER.key_id, colleague.key_id]


moves = st.lists(
    st.one_of(
        st.tuples(st.just("promote"), st.sampled_from("ABCD"), st.sampled_from(["p1", "p2", "p3"])),
        st.tuples(st.just("rollback"), st.sampled_from("ABCD"), st.none()),
        st.tuples(st.just("back"), st.none(), st.none()),
    ),
    max_size=12,
)


@settings(deadline=None, max_examples=60)
@given(moves=moves)
def test_the_registry_agrees_with_a_plain_list_of_moves(moves):
    registry = opened(ObjectStore(f"memory://{secrets.token_hex(8)}", cache=Path("/nowhere")))
    history: list[tuple[str, str, str]] = []  # champion, where it was judged, the partition that the move is about
    line: list[str] = []
    gone: set[str] = set()
    for move, name, partition in moves:
        judged = {item: where for item, where, _ in history}
        if move == "promote":
            promote(registry, model(name), partition)
            history.append((name, partition, partition))
            line = [item for item in line if item != name] + [name]
            gone -= {name}
            continue
        to = name or (line[-2] if len(line) > 1 else None)
        if to not in judged or to == history[-1][0]:
            with pytest.raises((ObjectMissing, ConflictError)):
                registry.rollback(to=name and model(name).digest, reason="")
            continue
        registry.rollback(to=name and model(name).digest, reason="")
        history.append((to, judged[to], history[-1][1]))
        left = line[line.index(to) + 1 :] if to in line else line[-1:]
        line = [item for item in line if item not in {to, *left}] + [to]
        gone = (gone | set(left)) - {to}
    names = {model(name).digest: name for name in "ABCD"}
    assert [(names[entry.model.digest], entry.partition) for entry in registry.entries()] == [
        (name, where) for name, where, _ in history
    ]
    assert {names[digest] for digest in registry.rolled_back()} == gone
    for partition in ("p1", "p2", "p3", "p4"):
        kept = [name for name, where, about in history if where <= partition and about <= partition]
        entry = registry.champion_facing(model("newcomer").digest, partition)
        assert (names[entry.model.digest] if entry else None) == (kept[-1] if kept else None)
