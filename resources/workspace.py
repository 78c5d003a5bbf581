"""Owns the opened workspace: store, keys and registries, made from the settings and handed to everything that runs."""

from dataclasses import dataclass
from pathlib import Path

from resources.registry import Registry
from resources.settings import Settings, check_registry_name
from resources.signing import Keyring, Signer, load_keyring, load_signer
from resources.storage.layered import LayeredStore
from resources.storage.store import Store, open_store
from resources.storage.verified import use_mode


@dataclass(frozen=True, slots=True, kw_only=True)
class Workspace:
    """Everything a stage needs to read and to write.

    Attributes:
        store: Where data, models, reports and logs lie; what the base store has is read through it.
        signer: Signs what this installation makes.
        keyring: Keys whose signatures count.
        registry_name: Name of the registry; a backtest has one of its own.
        scratch: Folder for unfinished files.
        settings: The settings it was opened with.
    """

    store: Store
    signer: Signer
    keyring: Keyring
    registry_name: str
    scratch: Path
    settings: Settings

    def registry(self, pipeline: str) -> Registry:
        """Return the registry log of `pipeline`."""
        return Registry(
            self.store, name=self.registry_name, pipeline=pipeline, signer=self.signer, keyring=self.keyring
        )


def store_of(settings: Settings) -> Store:
    """Return the store of `settings`, over the base store if one is set; nothing is read yet."""
    own = own_store_of(settings)
    base = base_store_of(settings)
    return own if base is None else LayeredStore(own, base)


def own_store_of(settings: Settings) -> Store:
    """Return the store that everything new goes to."""
    return _opened(settings, settings.store, settings.encryption_key, None)


def base_store_of(settings: Settings) -> Store | None:
    """Return the base store, opened as `penstock data push` needs it, or None."""
    return None if settings.base_store is None else other_store(settings, settings.base_store)


def other_store(settings: Settings, url: str) -> Store:
    """Return a store that is not one's own: base, archive, target of a push; by the base's key and profile, if any."""
    return _opened(settings, url, settings.base_encryption_key, settings.base_profile)


def _opened(settings: Settings, url: str, key: Path | None, profile: str | None) -> Store:
    return open_store(
        url,
        cache=settings.cache,
        cache_bytes=settings.cache_bytes,
        encryption_key=key,
        scratch=settings.scratch,
        profile=profile,
    )


def open_workspace(settings: Settings, *, registry: str | None = None) -> Workspace:
    """Return the workspace of `settings`, making the signing key on first use.

    Args:
        settings: The settings.
        registry: Name of another registry than that of the settings.

    Raises:
        SettingsError: If the key is unsafe, or a setting cannot be used.
    """
    signer = load_signer(settings.key)
    use_mode(settings.verify)
    return Workspace(
        store=store_of(settings),
        signer=signer,
        keyring=load_keyring(settings.key, settings.trusted_keys),
        registry_name=check_registry_name(registry or settings.registry),
        scratch=settings.scratch,
        settings=settings,
    )


def archive_of(settings: Settings) -> Store | None:
    """Return the archive that the settings name, or None."""
    return None if settings.archive is None else other_store(settings, settings.archive)
