"""Weights on disk: safetensors, with the whole configuration and the origin of the weights inside.

A file of weights holds a model's tensors by name and, under the metadata key ``cvlnet``, a `Provenance` as JSON with
the version of the format. Reading one executes no code; names, shapes and sizes are checked before a tensor is taken.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from hashlib import sha256
from importlib.resources import files
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from cvlnet.config import ModelConfig, Precision
from cvlnet.errors import InputError
from cvlnet.io.tensor_file import misfits, read_tensors, write_tensors
from cvlnet.model.build import build_model
from cvlnet.model.cvlnet import CVLNet
from cvlnet.model.network import MatchingNetwork
from cvlnet.model.provenance import Provenance, made_from, union_of
from cvlnet.model.published.network import PublishedVariant
from cvlnet.model.published.weights import PublishedNetwork, lengths_over_time, published_network, read_published

FORMAT = 1
_KEY = "cvlnet"
_LARGEST_BYTES = 4 * 2**30
_REMEDY = "give a .safetensors file that training wrote"


def save_tensors(path: Path, tensors: Mapping[str, Tensor], provenance: Provenance) -> None:
    """Write tensors with their provenance; the file appears whole or not at all."""
    write_tensors(path, tensors, _KEY, {"format": FORMAT, **asdict(provenance)})


def load_tensors(path: Path) -> tuple[dict[str, Tensor], Provenance]:
    """Read what `save_tensors` wrote. Raises InputError if the file is not such a one, damaged, or too large."""
    tensors, header = read_tensors(path, _KEY, largest_bytes=_LARGEST_BYTES, remedy=_REMEDY)
    return tensors, _provenance(header, path)


def digest_of(path: Path) -> str:
    """SHA-256 of a file of weights. Raises InputError as `load_tensors`."""
    load_tensors(path)  # refuses other files before they are read as a whole
    return sha256(path.read_bytes()).hexdigest()


def load_network(path: Path, precision: Precision = "float32") -> tuple[MatchingNetwork, Provenance]:
    """The network of a file with its weights, in evaluation mode, encoding in ``precision``.

    Raises InputError as `load_tensors` and `fill`.
    """
    tensors, provenance = load_tensors(path)
    network: MatchingNetwork
    if provenance.published is None:
        network = build_model(provenance.model)
    else:
        network = PublishedNetwork(_variant(provenance.published, path), lengths_over_time(tensors))
    fill(network, tensors, path)
    network.precision = precision
    return network.eval(), provenance


def load_model(path: Path, precision: Precision = "float32") -> tuple[CVLNet, Provenance]:
    """A `CVLNet`, which can encode whole regions. Raises InputError as `load_network`, or if it is a published one."""
    network, provenance = load_network(path, precision)
    if not isinstance(network, CVLNet):
        remedy = "use cvlnet evaluate, or give weights that cvlnet train wrote"
        raise InputError("a published network encodes single tiles only", where=path, remedy=remedy)
    return network, provenance


def convert(published: Path, name: str, out: Path) -> None:
    """Convert the published weights of the variant of that name.

    Raises InputError for an unknown name, and as `read_published` and `published_network` do.
    """
    variant = _variant(name, published)
    network = published_network(variant, read_published(published), published)
    save_tensors(out, network.state_dict(), Provenance(ModelConfig.paper_like(), published=variant.name))


def average(paths: Sequence[Path], out: Path) -> None:
    """Write the mean of several trainings' weights, with the provenance of all of them.

    Weights of trainings that continued one another lie close enough together for their mean to be more accurate than
    each of them, and more robust to a shift of domain (Wortsman et al. 2022, "Model soups"). Raises InputError if they
    are of different networks.
    """
    found = [load_tensors(path) for path in paths]
    tensors, provenance = found[-1]
    model = build_model(provenance.model)
    for path, (own, made) in zip(paths, found, strict=True):
        if (made.model, made.published) != (provenance.model, provenance.published):
            remedy = "give weights of one configuration"
            raise InputError(f"are of another network than {paths[-1]}", where=path, remedy=remedy)
        fill(model, own, path)
    mean = {
        name: torch.stack([own[name] for own, _ in found]).mean(dim=0) if tensor.is_floating_point() else tensor
        for name, tensor in tensors.items()
    }
    ancestors, parents = made_from(
        [(1 / len(paths), digest_of(path), own) for path, (_, own) in zip(paths, found, strict=True)]
    )
    data = union_of([ancestor.data for ancestor in ancestors])
    save_tensors(out, mean, Provenance(provenance.model, data=data, ancestors=ancestors, parents=parents))


def shipped_weights() -> Path:
    """The weights that come with the package. Raises InputError where an installation lacks them."""
    path = Path(str(files("cvlnet") / "weights" / "cvlnet-lite0.safetensors"))
    if not path.is_file():
        raise InputError("the package's weights are missing", where=path, remedy="name a file of weights")
    return path


def fill(model: MatchingNetwork, tensors: Mapping[str, Tensor], where: Path) -> None:
    """Load tensors into a model.

    Raises InputError with the names that are missing, unknown, of another shape or type, or not finite.
    """
    wrong = misfits(model.state_dict(), tensors)
    if wrong:
        remedy = "give weights of this model's configuration"
        raise InputError(f"the tensors do not fit the model: {wrong}", where=where, remedy=remedy)
    model.load_state_dict(dict(tensors))


def _variant(name: str, path: Path) -> PublishedVariant:
    try:
        return PublishedVariant.parse(name)
    except ValueError as error:
        remedy = "name it FUSION-PROJECTION-sim0-stereoB-sS, such as vis_LSTM-Geometry-sim0-stereo0-s4"
        raise InputError(str(error), where=path, remedy=remedy) from error


def _provenance(header: Any, path: Path) -> Provenance:
    if not isinstance(header, dict):
        raise InputError("no description of CVLNet weights inside", where=path, remedy=_REMEDY)
    try:
        if header["format"] != FORMAT:
            raise InputError(f"format {header['format']}, not {FORMAT}", where=path, remedy="install a newer cvlnet")
        return Provenance.of(header)
    except (TypeError, KeyError, ValueError, AttributeError, OverflowError) as error:
        raise InputError(f"no description of CVLNet weights inside ({error!r})", where=path, remedy=_REMEDY) from error
