import torch

from cvlnet.grid import Grid
from cvlnet.memory import TileMemory
from cvlnet.types import MapFeatures

GRID = Grid(4, 4, 1.0)


def tiles(*values):
    value = torch.tensor(values, dtype=torch.float32)
    return MapFeatures(
        value[:, None, None, None].expand(-1, 2, 4, 4), value[:, None, None].expand(-1, 3, 3).contiguous(), GRID
    )


def places(*east_m):
    return torch.tensor([(east, 0.0) for east in east_m], dtype=torch.float64)


def test_the_newest_are_kept_behind_the_batch():
    memory = TileMemory(3, GRID)
    memory.remember(tiles(1, 2), places(10, 20))
    memory.remember(tiles(3, 4), places(30, 40))
    assert len(memory) == 3
    both = memory.behind(tiles(5))
    assert both.descriptor[:, 0, 0, 0].tolist() == [5, 3, 4, 1]
    assert both.uncertainty[:, 0, 0].tolist() == [5, 3, 4, 1]


def test_only_tiles_far_away_are_negatives():
    memory = TileMemory(4, GRID)
    memory.remember(tiles(1, 2), places(10, 60))
    negative = memory.negatives(places(0, 50), 30.0)
    assert negative.tolist() == [[False, True, False, True], [True, False, True, False]]


def test_far_from_the_origin_metres_still_count():
    memory = TileMemory(4, GRID)
    memory.remember(tiles(1, 2), places(400_031, 400_029))
    assert memory.negatives(places(400_000), 30.0).tolist() == [[False, True, False]]


def test_no_memory_remembers_nothing():
    memory = TileMemory(0, GRID)
    memory.remember(tiles(1), places(0))
    assert (len(memory), memory.tensors()) == (0, {})
    assert len(memory.behind(tiles(2)).descriptor) == 1


def test_what_is_remembered_has_no_gradient():
    memory = TileMemory(2, GRID)
    given = tiles(1)
    memory.remember(MapFeatures(given.descriptor.clone().requires_grad_(), given.uncertainty, GRID), places(0))
    assert not memory.behind(tiles(2)).descriptor.requires_grad


def test_a_restored_memory_is_the_same():
    memory, again = TileMemory(3, GRID), TileMemory(3, GRID)
    memory.remember(tiles(1, 2), places(10, 20))
    again.restore(memory.tensors())
    assert torch.equal(again.behind(tiles(7)).descriptor, memory.behind(tiles(7)).descriptor)
    assert torch.equal(again.negatives(places(0), 15.0), memory.negatives(places(0), 15.0))
