"""Tensors on disk with a description of them, in JSON under one key of the metadata: safetensors.

Reading one executes no code; a file that is larger than expected is not read at all. A checksum of tensors and
description stands beside them, so that a damaged file is not taken for a good one; files without it are not checked.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from cvlnet.errors import InputError
from cvlnet.io.files import written_whole

_MOST_NAMES = 5  # in a message
_CHECKSUM = "sha256"


def write_tensors(path: Path, tensors: Mapping[str, Tensor], key: str, header: Mapping[str, Any]) -> None:
    """Write tensors and what describes them; the file is there whole or not at all."""
    with written_whole(path) as temporary:
        plain = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
        metadata = {key: json.dumps(header)}
        save_file(plain, temporary, metadata=metadata | {_CHECKSUM: _checksum(plain, metadata)})


def misfits(expected: Mapping[str, Tensor], given: Mapping[str, Tensor], *, missing: str = "missing") -> str:
    """What keeps tensors from filling a network, by names: missing, unknown, unusable; "" if nothing does."""
    both = expected.keys() & given.keys()
    wrong = {
        missing: expected.keys() - given.keys(),
        "unknown": given.keys() - expected.keys(),
        "of another shape": {name for name in both if expected[name].shape != given[name].shape},
        "of another type": {
            name for name in both if expected[name].is_floating_point() != given[name].is_floating_point()
        },
        "not finite": {name for name in both if not bool(given[name].to(expected[name].dtype).isfinite().all())},
    }
    return "; ".join(f"{title} {_listed(sorted(names))}" for title, names in wrong.items() if names)


def _listed(names: Sequence[str]) -> str:
    further = len(names) - _MOST_NAMES
    return ", ".join(names[:_MOST_NAMES]) + (f" and {further} more" if further > 0 else "")


def read_tensors(path: Path, key: str, *, largest_bytes: int, remedy: str) -> tuple[dict[str, Tensor], Any]:
    """What `write_tensors` wrote; the description is None where there is none.

    Raises InputError, with that remedy, if the file is missing, too large or damaged.
    """
    if not path.is_file():
        raise InputError("there is no such file", where=path, remedy=remedy)
    if path.stat().st_size > largest_bytes:
        raise InputError(f"larger than {largest_bytes} bytes", where=path, remedy=remedy)
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            expected = metadata.pop(_CHECKSUM, None)
            header = json.loads(metadata.get(key, "null"))
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError, ValueError, RecursionError) as error:
        raise InputError(f"not a whole safetensors file ({error})", where=path, remedy=remedy) from error
    if expected is not None and expected != _checksum(tensors, metadata):
        raise InputError("damaged: its contents do not have their checksum", where=path, remedy=remedy)
    return tensors, header


def _checksum(tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> str:
    """SHA-256 of the other metadata and of every tensor's name, type, shape and values."""
    digest = sha256(repr(sorted(metadata.items())).encode())
    for name, tensor in sorted(tensors.items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()
