from pathlib import Path

import pytest

from resources.canonical import digest_value
from resources.storage.folder import FolderStore
from resources.storage.memo import recall, remember
from resources.storage.objects import object_key, put_object

RECIPE = digest_value({"stage": "raw"})


@pytest.fixture
def store(tmp_path: Path) -> FolderStore:
    return FolderStore(tmp_path)


def test_what_was_remembered_is_recalled(store):
    remember(store, RECIPE, {"ref": {"rows": 3}, "requires": [put_object(store, b"manifest")]})

    assert recall(store, RECIPE) == {"ref": {"rows": 3}, "requires": [put_object(store, b"manifest")]}


def test_an_unknown_recipe_recalls_nothing(store):
    assert recall(store, RECIPE) is None


def test_a_newer_memory_replaces_the_older(store):
    remember(store, RECIPE, {"n": 1})
    remember(store, RECIPE, {"n": 2})

    assert recall(store, RECIPE) == {"n": 2}


def test_a_memory_whose_results_are_gone_is_none(store):
    digest = put_object(store, b"manifest")
    remember(store, RECIPE, {"requires": [digest]})
    store.delete(object_key(digest))

    assert recall(store, RECIPE) is None


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b"null", b'"x"', b'{"requires": 3}', b'{"requires": [3]}', b"\xff"]
)
def test_a_malformed_memory_is_none(store, content):
    remember(store, RECIPE, {})
    store.put(store.list("memo")[0], content)

    assert recall(store, RECIPE) is None


def test_a_memory_with_one_digit_changed_is_none(store):
    remember(store, RECIPE, {"rows": 300})
    (key,) = store.list("memo")
    store.put(key, store.get(key).replace(b"300", b"301"))

    assert recall(store, RECIPE) is None
