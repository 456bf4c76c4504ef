"""Shapes in signatures are checked at run time while testing; the town that several tests share."""

from pathlib import Path

import pytest
import torch
from jaxtyping import install_import_hook

install_import_hook("cvlnet", "beartype.beartype")
torch.set_num_threads(1)  # threads that wait for each other would be most of the time of small tensors


@pytest.fixture(scope="session")
def tiny_town(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data set for training: three short drives of a small town, the last of them held out."""
    from cvlnet.town.dataset.synthesize import write_dataset
    from cvlnet.town.presets import TownConfig

    out = tmp_path_factory.mktemp("towns") / "tiny"
    write_dataset(
        out, (TownConfig(7, 220.0, drives=3, frames_per_drive=12, frame_width_px=621),), name="tiny", workers=1
    )
    return out


@pytest.fixture(scope="session")
def small_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A test data set that takes no second to make: two short drives over coloured noise."""
    from small_data import write_small_data

    root: Path = write_small_data(tmp_path_factory.mktemp("data") / "small")
    return root


@pytest.fixture(scope="session")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Random weights of a small model."""
    from small_data import write_random_weights

    path: Path = write_random_weights(tmp_path_factory.mktemp("weights") / "random.safetensors")
    return path


@pytest.fixture(
    params=[
        "cpu",
        pytest.param("cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")),
    ]
)
def device(request: pytest.FixtureRequest) -> str:
    """Where a test runs: on the CPU always, on a GPU where there is one."""
    return str(request.param)
