"""Owns files of tensors: safetensors, with one JSON value and a digest of everything in the metadata of its header.

Equal tensors and values are equal bytes. Reading runs no code and builds nothing before the digest was right.
"""

import struct
from collections.abc import Mapping
from typing import Any

from resources.canonical import canonical_json, digest_bytes, parse_json

_LENGTH = struct.Struct("<Q")
_METADATA, _KEY, _DIGEST = "__metadata__", "penstock", "digest"
_ALIGNED = 8


def write_tensors(tensors: Mapping[str, Any], about: Mapping[str, Any]) -> bytes:  # Any: torch.Tensor, JSON values
    """Return the file of `tensors`, which may lie on any device, and of `about`."""
    from safetensors.torch import save

    plain = save({name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()})
    header, body = _parts(plain)
    metadata = {_KEY: canonical_json(about).decode(), _DIGEST: _digest(header, about, body)}
    text = canonical_json({**header, _METADATA: metadata})
    text += b" " * (-len(text) % _ALIGNED)
    return b"".join((_LENGTH.pack(len(text)), text, body))


def read_tensors(data: bytes) -> tuple[dict[str, Any], dict[str, Any]]:  # Any: torch.Tensor, JSON values
    """Return the tensors and the value that `write_tensors` wrote.

    Raises:
        ValueError: If `data` is no such file, or was altered.
    """
    header, body = _parts(data)
    metadata = header.pop(_METADATA, None)
    if not isinstance(metadata, dict) or not isinstance(metadata.get(_KEY), str):
        raise ValueError("its header says nothing of Penstock")
    about = parse_json(metadata[_KEY].encode())
    if not isinstance(about, dict) or metadata.get(_DIGEST) != _digest(header, about, body):
        raise ValueError("it does not match its digest")
    from safetensors import SafetensorError
    from safetensors.torch import load

    try:
        return load(bytes(data)), about
    except SafetensorError as error:
        raise ValueError(str(error)) from None


def _parts(data: bytes) -> tuple[dict[str, Any], memoryview]:
    """Return the header of a safetensors file, and what follows it."""
    if len(data) < _LENGTH.size:
        raise ValueError(f"it has {len(data)} bytes")
    (length,) = _LENGTH.unpack_from(data)
    if length > len(data) - _LENGTH.size:
        raise ValueError(f"its header would have {length} bytes")
    body = _LENGTH.size + length
    header = parse_json(bytes(data[_LENGTH.size : body]))
    if not isinstance(header, dict):
        raise ValueError("its header is no mapping")
    return header, memoryview(data)[body:]


def _digest(header: Mapping[str, Any], about: Mapping[str, Any], body: memoryview) -> str:
    return digest_bytes(canonical_json([header, about, digest_bytes(body)]))
