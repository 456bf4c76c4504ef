"""The device that a name means."""

import torch

from cvlnet.errors import InputError


def named_device(name: str) -> torch.device:
    """The device "cpu", "cuda", "cuda:1", ... Raises InputError if there is none of that name on this machine."""
    try:
        return torch.empty(0, device=name).device
    except (RuntimeError, AssertionError) as error:
        reason = str(error).partition("\n")[0]
        raise InputError(f"cannot be used ({reason})", where=f"device {name}", remedy="choose cpu or cuda") from error
