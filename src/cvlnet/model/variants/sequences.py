"""The paper's sequence encoders and fusions, from the maps of all frames to one (section 3.2, table 3).

Names are those of the paper's variants: ``vis_X`` weights each frame's features by a visibility from the sequence
encoder X, ``fuse_X`` computes the fused map from the encoder's output. Frames are ordered newest first. Their first
channels are features, as many as the fused map has; further channels are evidence, such as photo-consistency.
"""

from __future__ import annotations

import math

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from cvlnet.model.layers import convolutions
from cvlnet.model.pcsf import visible_softmax

HIDDEN = 8
HEADS, LAYERS = 2, 2  # of fuse_Transformer

Frames = Float[Tensor, "clips frames inputs rows cols"]
Encoded = Float[Tensor, "clips frames hidden rows cols"]
Fused = Float[Tensor, "clips channels rows cols"]
State = Float[Tensor, "clips hidden rows cols"]
Visible = Bool[Tensor, "clips frames rows cols"]


class Conv2dSequence(nn.Module):
    """Three convolutions of each frame."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.convs = convolutions(channels, HIDDEN, HIDDEN, HIDDEN)

    def forward(self, frames: Frames) -> Encoded:
        """Features of each frame, 8 channels."""
        return torch.as_tensor(self.convs(frames.flatten(0, 1)).unflatten(0, frames.shape[:2]))


class Conv3dSequence(nn.Module):
    """Two 3 x 3 x 3 convolutions over time and space."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.convs = nn.Sequential(
            nn.Conv3d(channels, HIDDEN, 3, padding=1), nn.ReLU(), nn.Conv3d(HIDDEN, HIDDEN, 3, padding=1)
        )

    def forward(self, frames: Frames) -> Encoded:
        """Features of each frame, 8 channels."""
        return torch.as_tensor(self.convs(frames.transpose(1, 2)).transpose(1, 2))


class LstmCell(nn.Module):
    """A convolutional LSTM cell with batch normalisation (Shi et al. 2015)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.gates = nn.Sequential(nn.Conv2d(channels + HIDDEN, 4 * HIDDEN, 3, padding=1), nn.BatchNorm2d(4 * HIDDEN))
        self.out = nn.Sequential(nn.Conv2d(HIDDEN, HIDDEN, 3, padding=1), nn.BatchNorm2d(HIDDEN))

    def forward(self, x: Fused, hidden: State, memory: State) -> tuple[State, State, State]:
        """Output, hidden state and memory of the next step."""
        entry, forget, exit_, candidate = self.gates(torch.cat([x, hidden], dim=1)).chunk(4, dim=1)
        memory = forget.sigmoid() * memory + entry.sigmoid() * candidate.tanh()
        hidden = exit_.sigmoid() * memory.tanh()
        return self.out(hidden), hidden, memory


class LstmSequence(nn.Module):
    """Two stacked LSTM cells over the frames, newest first.

    as_published: swaps hidden state and memory between steps, as the published code does.
    """

    def __init__(self, channels: int, *, as_published: bool = False) -> None:
        super().__init__()
        self.cells = nn.ModuleList([LstmCell(channels), LstmCell(HIDDEN)])
        self.last = nn.Sequential(nn.ReLU(), nn.Conv2d(HIDDEN, HIDDEN, 3, padding=1), nn.BatchNorm2d(HIDDEN))
        self.as_published = as_published

    def forward(self, frames: Frames) -> Encoded:
        """Features of each frame, 8 channels."""
        sequence = list(frames.unbind(dim=1))
        for cell in self.cells:
            hidden = memory = frames.new_zeros(frames.shape[0], HIDDEN, *frames.shape[-2:])
            for index, x in enumerate(sequence):
                sequence[index], hidden, memory = cell(x, hidden, memory)
                if self.as_published:
                    hidden, memory = memory, hidden
        outputs = torch.stack(sequence, dim=1)
        return torch.as_tensor(self.last(outputs.flatten(0, 1)).unflatten(0, frames.shape[:2]))


class VisibilityWeighted(nn.Module):
    """vis_X: sum of the frames' features, weighted by the softmax of a visibility over the frames that see a cell."""

    def __init__(self, sequence: nn.Module, channels: int) -> None:
        super().__init__()
        self.sequence, self.channels = sequence, channels
        self.visibility = convolutions(HIDDEN, HIDDEN, HIDDEN, 1)

    def forward(self, frames: Frames, visible: Visible) -> Fused:
        """The fused map; zero where no frame sees the ground."""
        encoded = self.sequence(frames)
        logit = self.visibility(encoded.flatten(0, 1)).unflatten(0, frames.shape[:2]).squeeze(2)
        return (visible_softmax(logit, visible).unsqueeze(2) * frames[:, :, : self.channels]).sum(dim=1)


class FuseConv2d(nn.Module):
    """fuse_Conv2D: the mean of the frames' encodings, then three convolutions."""

    def __init__(self, channels: int, evidence: int = 0) -> None:
        super().__init__()
        self.sequence = Conv2dSequence(channels + evidence)
        self.convs = convolutions(HIDDEN, HIDDEN, HIDDEN, channels)

    def forward(self, frames: Frames, _visible: Visible) -> Fused:
        """The fused map."""
        return torch.as_tensor(self.convs(self.sequence(frames).mean(dim=1)))


class FuseConv3d(nn.Module):
    """fuse_Conv3D: three convolutions over time and space, the first slice of the result, then three convolutions.

    lengths: their temporal kernel sizes, which determine the least number of frames of a clip.
    """

    def __init__(self, channels: int, lengths: tuple[int, int, int], evidence: int = 0) -> None:
        super().__init__()
        self.least_pictures = sum(lengths) - len(lengths) + 1
        sizes = (channels + evidence, HIDDEN, HIDDEN, HIDDEN)
        layers: list[nn.Module] = []
        for length, size, out in zip(lengths, sizes[:-1], sizes[1:], strict=True):
            layers += [nn.Conv3d(size, out, (length, 3, 3), padding=(0, 1, 1)), nn.ReLU()]
        self.over_time = nn.Sequential(*layers[:-1])
        self.convs = convolutions(HIDDEN, HIDDEN, HIDDEN, channels)

    def forward(self, frames: Frames, _visible: Visible) -> Fused:
        """The fused map."""
        return torch.as_tensor(self.convs(self.over_time(frames.transpose(1, 2))[:, :, 0]))


def conv3d_lengths(frames: int) -> tuple[int, int, int]:
    """Temporal kernel sizes of a fuse_Conv3D for clips of this number of frames."""
    return max(frames // 4, 1), max(frames // 2, 1), min(2, frames)


class FuseLstm(nn.Module):
    """fuse_LSTM: the encoding of the last, oldest frame, then three convolutions."""

    def __init__(self, channels: int, evidence: int = 0, *, as_published: bool = False) -> None:
        super().__init__()
        self.sequence = LstmSequence(channels + evidence, as_published=as_published)
        self.convs = convolutions(HIDDEN, HIDDEN, HIDDEN, channels)

    def forward(self, frames: Frames, _visible: Visible) -> Fused:
        """The fused map."""
        return torch.as_tensor(self.convs(self.sequence(frames)[:, -1]))


class FrameAttention(nn.Module):
    """Two-headed attention over the frames in every cell; queries, keys and values from 3 x 3 convolutions."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.key, self.query, self.value = (convolutions(channels, channels, channels) for _ in range(3))
        self.out = nn.Conv2d(channels, channels, 3, padding=1)
        self.dropout = nn.Dropout(0.1)

    def forward(self, frames: Frames) -> Frames:
        """Each frame's features after attention to all frames."""
        clips, count, channels, rows, cols = frames.shape
        encoded = (frames + frame_encoding(count, channels, frames)).flatten(0, 1)
        key, query, value = (
            part(encoded).reshape(clips, count, HEADS, channels // HEADS, rows, cols)
            for part in (self.key, self.query, self.value)
        )
        logit = torch.einsum("nshcij,nthcij->nhstij", query, key) / math.sqrt(channels // HEADS)
        mixed = torch.einsum("nhstij,nthcij->nshcij", self.dropout(logit.softmax(dim=3)), value)
        return torch.as_tensor(self.out(mixed.reshape_as(encoded)).unflatten(0, (clips, count)))


class FuseTransformer(nn.Module):
    """fuse_Transformer: two layers of attention across the frames, then their mean."""

    def __init__(self, channels: int, evidence: int = 0) -> None:
        super().__init__()
        self.channels = channels
        self.layers = nn.ModuleList(FrameAttention(channels + evidence) for _ in range(LAYERS))

    def forward(self, frames: Frames, _visible: Visible) -> Fused:
        """The fused map."""
        for layer in self.layers:
            frames = layer(frames)
        return frames[:, :, : self.channels].mean(dim=1)


class FuseMean(nn.Module):
    """Baseline: the mean of the frames that see a cell, without evidence."""

    def forward(self, frames: Frames, visible: Visible) -> Fused:
        """The fused map; zero where no frame sees the ground."""
        seen = visible.unsqueeze(2)
        return (frames * seen).sum(dim=1) / seen.sum(dim=1).clamp(min=1)


class FuseMax(nn.Module):
    """Baseline: the maximum in each channel over the frames that see a cell, without evidence."""

    def forward(self, frames: Frames, visible: Visible) -> Fused:
        """The fused map; zero where no frame sees the ground."""
        seen = visible.unsqueeze(2)
        largest = frames.masked_fill(~seen, -torch.inf).amax(dim=1)
        return torch.where(seen.any(dim=1), largest, 0.0)


def frame_encoding(count: int, channels: int, like: Tensor) -> Float[Tensor, "frames channels 1 1"]:
    """Sinusoidal encoding of the frame's index: sine on even channels, cosine on odd ones."""
    index = torch.arange(count, dtype=like.dtype, device=like.device)
    rate = torch.exp(torch.arange(0, channels, 2, dtype=like.dtype, device=like.device) * -math.log(10_000) / channels)
    angle = index.unsqueeze(1) * rate
    return torch.stack([angle.sin(), angle.cos()], dim=-1).reshape(count, channels, 1, 1)
