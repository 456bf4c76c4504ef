"""The network as ONNX, for robots and servers without PyTorch: both encoders and the match, checked as written.

Three graphs and a description: ``overhead.onnx`` makes features of tiles, ``ground.onnx`` of clips, ``match.onnx``
scores of both, and ``model.json`` tells the sizes, grids and units of what goes in and comes out. The numbers of tiles
and of clips are free, and that of frames where the fusion takes any.
"""

from __future__ import annotations

import json
import logging
import warnings
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from cvlnet.errors import InputError
from cvlnet.geometry import Camera, Pose
from cvlnet.io.files import written_whole
from cvlnet.model.correlate import Correlation
from cvlnet.model.network import MatchingNetwork
from cvlnet.model.ssm import ClipSpectra
from cvlnet.model.variants.sequences import FuseConv3d, LstmSequence
from cvlnet.types import Clip

OPSET = 18
TOLERANCE = 1e-4
MEANING = {
    "tiles": "overhead images on tile_grid, RGB bytes, north up, cell_m metres a pixel",
    "images": "frames, newest first, RGB bytes, fitted to image",
    "focal_px": "of the fitted frames, x and y",
    "principal_point_px": "x and y from the corner of the top left pixel, whose centre is (0.5, 0.5)",
    "rotation": "of ground_from_cam; camera: x right, y down, z ahead; ground: x east, y north, z up",
    "translation_m": "of ground_from_cam; the ground's origin is on the road under the vehicle at the newest frame",
    "tile_descriptor": "on map_grid, rows southward",
    "tile_uncertainty": "of every displacement, rows southward, columns eastward",
    "clip_descriptor": "on clip_grid, rows southward",
    "clip_weight": "of every cell of clip_grid, 0 to 1",
    "scores": "of every clip, tile and displacement from the tile's centre, rows southward, columns eastward: "
    "(index - steps // 2) * cell_m, plus map_grid's centre less clip_grid's; times sharpness, a log-probability",
    "frames": "of a clip; null if any number",
}
_REMEDY = "install the extra: pip install 'cvlnet[export]'"


@dataclass(frozen=True)
class Graph:
    """What becomes one file. free: of each input, the axes of any length by number, with their names."""

    name: str
    module: nn.Module
    free: Mapping[str, Mapping[int, str]]
    outputs: tuple[str, ...]


class OverheadGraph(nn.Module):
    """Tiles to their features."""

    def __init__(self, network: MatchingNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, tiles: Tensor) -> tuple[Tensor, Tensor]:
        """Descriptor and uncertainty."""
        features = self.network.encode_map(tiles)
        return features.descriptor, features.uncertainty


class GroundGraph(nn.Module):
    """Clips to their features."""

    def __init__(self, network: MatchingNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(
        self, images: Tensor, focal_px: Tensor, principal_point_px: Tensor, rotation: Tensor, translation_m: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Descriptor and weight."""
        camera = Camera(focal_px, principal_point_px, images.shape[-1], images.shape[-2])
        features = self.network.encode_clip(Clip(images, camera, Pose(rotation, translation_m)))
        return features.descriptor, features.weight


class MatchGraph(nn.Module):
    """The features of both to scores."""

    def __init__(self, network: MatchingNetwork, channels: int) -> None:
        super().__init__()
        grid = network.map_grid
        self.correlation = Correlation(channels, grid.rows, grid.cols, network.steps)

    def forward(
        self, clip_descriptor: Tensor, clip_weight: Tensor, tile_descriptor: Tensor, tile_uncertainty: Tensor
    ) -> tuple[Tensor]:
        """Scores of every clip against every tile at every displacement."""
        clips = ClipSpectra.of(clip_descriptor, clip_weight, self.correlation)
        return (clips.correlation(tile_descriptor) / tile_uncertainty,)


def export(network: MatchingNetwork, out: Path, *, frames: int = 4) -> Mapping[str, float]:
    """Write the graphs of a network into a folder; the largest difference of each from PyTorch, by its name.

    frames: of a clip, where the fusion takes no other number. Raises InputError where ONNX is not installed, or if a
    graph differs from PyTorch by more than `TOLERANCE`; the files of graphs that do not are there. model.json comes
    last: where it is, all graphs are of one network.
    """
    any_frames = not any(isinstance(part, LstmSequence | FuseConv3d) for part in network.modules())
    frames = max(frames, network.least_pictures)
    traced = _examples(network, clips=2, frames=3 if any_frames else frames, tiles=2)
    asked = [
        _examples(network, clips=1, frames=1 if any_frames else frames, tiles=3),
        _examples(network, clips=3, frames=5 if any_frames else frames, tiles=1),
    ]
    graphs = _graphs(network, traced["tile_descriptor"].shape[1], any_frames=any_frames)
    (out / "model.json").unlink(missing_ok=True)  # it never describes graphs of two networks
    differences: dict[str, float] = {}
    for graph in graphs:
        with written_whole(out / f"{graph.name}.onnx") as path:
            _write(graph, traced, path)
            differences[graph.name] = max(_difference(graph, inputs, path) for inputs in asked)
            if not differences[graph.name] <= TOLERANCE:
                raise InputError(
                    f"differs from PyTorch by {differences[graph.name]:.1e}, more than {TOLERANCE:g}",
                    where=out / f"{graph.name}.onnx",
                    remedy="report it, with the versions of torch, onnx and onnxruntime",
                )
    with written_whole(out / "model.json") as path:
        path.write_text(
            json.dumps(_description(network, graphs, traced, None if any_frames else frames), indent=2) + "\n"
        )
    return differences


def _graphs(network: MatchingNetwork, channels: int, *, any_frames: bool) -> tuple[Graph, Graph, Graph]:
    clips, clip, tile = {0: "clips", 1: "frames"} if any_frames else {0: "clips"}, {0: "clips"}, {0: "tiles"}
    of_clips = ("images", "focal_px", "principal_point_px", "rotation", "translation_m")
    of_features = {"clip_descriptor": clip, "clip_weight": clip, "tile_descriptor": tile, "tile_uncertainty": tile}
    return (
        Graph("overhead", OverheadGraph(network), {"tiles": tile}, ("tile_descriptor", "tile_uncertainty")),
        Graph("ground", GroundGraph(network), dict.fromkeys(of_clips, clips), ("clip_descriptor", "clip_weight")),
        Graph("match", MatchGraph(network, channels), of_features, ("scores",)),
    )


def _examples(network: MatchingNetwork, *, clips: int, frames: int, tiles: int) -> dict[str, Tensor]:
    """Inputs of all graphs by name: random pictures of a camera that drives east, random tiles, their features."""
    generator = torch.Generator().manual_seed(clips)
    spec, grid = network.image_spec, network.tile_grid
    images = torch.randint(0, 256, (clips, frames, 3, spec.height_px, spec.width_px), generator=generator)
    pixels = torch.randint(0, 256, (tiles, 3, grid.rows, grid.cols), generator=generator)
    looks_east = torch.tensor([[0.0, 0, 1], [-1, 0, 0], [0, -1, 0]])
    xyz_m = torch.stack([-2.0 * torch.arange(frames), torch.zeros(frames), torch.full((frames,), 1.65)], dim=-1)
    of_clips = {
        "images": images.to(torch.uint8),
        "focal_px": torch.full((clips, frames, 2), 0.58 * spec.width_px),
        "principal_point_px": torch.tensor([spec.width_px / 2, spec.height_px / 2]).repeat(clips, frames, 1),
        "rotation": looks_east.repeat(clips, frames, 1, 1),
        "translation_m": xyz_m.repeat(clips, 1, 1),
    }
    with torch.no_grad():
        tile_descriptor, tile_uncertainty = OverheadGraph(network)(pixels.to(torch.uint8))
        clip_descriptor, clip_weight = GroundGraph(network)(**of_clips)
    return of_clips | {
        "tiles": pixels.to(torch.uint8),
        "tile_descriptor": tile_descriptor,
        "tile_uncertainty": tile_uncertainty,
        "clip_descriptor": clip_descriptor,
        "clip_weight": clip_weight,
    }


def _write(graph: Graph, inputs: Mapping[str, Tensor], path: Path) -> None:
    try:
        import onnxscript  # noqa: F401
    except ImportError:
        raise InputError("no writer of ONNX", where="onnxscript", remedy=_REMEDY) from None
    names = {name for axes in graph.free.values() for name in axes.values()}
    axes = {name: torch.export.Dim(name) for name in names}
    shapes = tuple({i: axes[name] for i, name in free.items()} for free in graph.free.values())
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # what the exporter says of itself, and of torchvision
        logging.getLogger("torch.onnx").setLevel(logging.ERROR)
        program = torch.onnx.export(
            graph.module,
            tuple(inputs[name] for name in graph.free),
            dynamo=True,
            opset_version=OPSET,
            input_names=list(graph.free),
            output_names=list(graph.outputs),
            dynamic_shapes=shapes,
            verbose=False,
        )
        assert program is not None
        program.save(str(path))


def _difference(graph: Graph, inputs: Mapping[str, Tensor], path: Path) -> float:
    """Largest difference of the file's outputs, as ONNX Runtime computes them, from the module's."""
    try:
        import onnxruntime
    except ImportError:
        raise InputError("no ONNX Runtime to check the files with", where="onnxruntime", remedy=_REMEDY) from None
    given = {name: inputs[name] for name in graph.free}
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    found = session.run(list(graph.outputs), {name: tensor.numpy() for name, tensor in given.items()})
    with torch.no_grad():
        expected = graph.module(*given.values())
    return max(float(np.abs(ours - theirs.numpy()).max()) for ours, theirs in zip(found, expected, strict=True))


def _description(
    network: MatchingNetwork, graphs: tuple[Graph, ...], examples: Mapping[str, Tensor], frames: int | None
) -> dict[str, Any]:
    """What a program needs to know to use the graphs."""

    def shape(graph: Graph, name: str) -> list[int | str]:
        return [graph.free[name].get(axis, size) for axis, size in enumerate(examples[name].shape)]

    return {
        "format": 1,
        "opset": OPSET,
        "frames": frames,
        "image": asdict(network.image_spec),
        "tile_grid": asdict(network.tile_grid),
        "map_grid": asdict(network.map_grid),
        "clip_grid": asdict(network.clip_grid),
        "sharpness": network.sharpness.item(),
        "inputs": {f"{graph.name}.onnx": {name: shape(graph, name) for name in graph.free} for graph in graphs},
        "outputs": {f"{graph.name}.onnx": list(graph.outputs) for graph in graphs},
        "meaning": MEANING,
    }
