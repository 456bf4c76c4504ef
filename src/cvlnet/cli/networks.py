"""``cvlnet convert`` and ``export``: networks from and for other programs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts.types import File

from cvlnet.cli.options import FramesOfClip


def convert(checkpoint: Path, out: File, /, *, variant: str) -> None:
    r"""Convert weights that were trained with the published code.

    For example:

        cvlnet convert model_4.pth authors.safetensors \
            --variant vis_LSTM-Geometry-sim0-stereo0-s4
        cvlnet evaluate KITTI-CVL --weights authors.safetensors \
            --published-decoding --out runs/authors

    Args:
        checkpoint: PyTorch state dict; it is read without executing code.
        out: File to write (.safetensors).
        variant: Name of the published folder, FUSION-PROJECTION-sim0-stereoB-sS: B is 1 if the right camera is used as
            well, otherwise 0, and S is the number of frames.

    """
    from cvlnet.checkpoint import convert

    convert(checkpoint, variant, out)
    print(f"{out}: {variant}")


def export(out: Path, /, *, weights: Path | None = None, frames: Annotated[int, FramesOfClip] = 4) -> None:
    """Export a network to ONNX: both encoders and the matching, each verified against PyTorch.

    For example:

        cvlnet export onnx
        cvlnet export onnx --weights runs/first/best.safetensors

    Args:
        out: Folder for overhead.onnx, ground.onnx, match.onnx and model.json, which describes them.
        weights: File of weights; the package's own by default.
        frames: Number of frames of a clip, for fusions that need it fixed (LSTM and fuse_Conv3D).

    """
    from cvlnet.checkpoint import load_network, shipped_weights
    from cvlnet.model.export import OPSET, export

    network, _ = load_network(weights or shipped_weights())
    for name, difference in export(network, out, frames=frames).items():
        print(f"{out / name}.onnx: opset {OPSET}, differs from PyTorch by {difference:.1e} at most")
