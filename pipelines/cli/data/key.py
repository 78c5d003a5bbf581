"""`penstock data key`: the key that a store is encrypted with, a new one, and another one in its place."""

from pathlib import Path
from typing import Annotated

import typer


def key(
    new: Annotated[
        bool, typer.Option("--new", help="Make a random key at PENSTOCK_ENCRYPTION_KEY; never replaces one.")
    ] = False,
    rotate: Annotated[
        Path | None,
        typer.Option("--rotate", metavar="FILE", help="Have the store opened by the key in FILE from now on."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print ids as JSON; never the key.")] = False,
) -> None:
    """Tell which key opens the store, make one, or put another in its place.

    Rotation rewrites one small file: the store's own data key, which the values are encrypted with, is wrapped anew.
    Keep the key safe: what was encrypted with a lost key is lost.
    """
    from pipelines.cli.console import print_json
    from resources.errors import SettingsError
    from resources.settings import load_settings
    from resources.storage.data_key import SETTING, load_user_key, make_user_key, read_envelope
    from resources.storage.data_key import rotate as rotate_key
    from resources.storage.sealing import key_id
    from resources.storage.store import open_as_it_lies

    settings = load_settings()
    path = settings.encryption_key
    if path is None:
        raise SettingsError(f"{SETTING} names no file, so your store is not encrypted: set it to a path")
    if new and not make_user_key(path):
        raise SettingsError(f"there is a key at {path}, and it is never replaced: set {SETTING} to another path")
    store = open_as_it_lies(settings.store, cache=settings.cache)
    if rotate is not None:
        rotate_key(store, old=path, new=rotate)
        path = rotate
    mine, envelope = key_id(load_user_key(path)).hex(), read_envelope(store)
    theirs = envelope.key_id if envelope is not None else None
    if as_json:
        print_json({"file": str(path), "key_id": mine, "store": store.url, "store_key_id": theirs})
        return
    print(f"key {mine} in {path}{', made now' if new else ''}")
    print(f"store {store.url} {_state(theirs, mine)}")
    if rotate is not None:
        print(f"set {SETTING}={rotate} wherever the store is used, then destroy the old key")


def _state(store_key_id: str | None, key_id: str) -> str:
    if store_key_id is None:
        return "is not encrypted; if it is empty, the first write begins an encrypted one"
    return "is opened by it" if store_key_id == key_id else f"is opened by another key, {store_key_id}"
