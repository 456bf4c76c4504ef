import pytest
import torch
from torch.utils.data import Dataset

from cvlnet.data.loading import Batches
from cvlnet.errors import InputError


class Numbers(Dataset):
    def __init__(self, broken=None):
        self.broken = broken

    def __len__(self):
        return 5

    def __getitem__(self, index):
        if index == self.broken:
            raise InputError("is cut short", where="7.png", remedy="copy it again")
        return torch.tensor(index)


@pytest.mark.parametrize("workers", [0, 1])
def test_batches_come_in_order(workers):
    batches = Batches(Numbers(), 2, workers=workers)
    assert len(batches) == 3
    assert [batch.tolist() for batch in batches] == [[0, 1], [2, 3], [4]]


def test_batches_of_a_sampler_are_joined_as_asked():
    batches = Batches(Numbers(), [[4, 0], [2]], collate=sum)
    assert [int(batch) for batch in batches] == [4, 2]


@pytest.mark.parametrize("workers", [0, 1])
def test_an_error_of_a_worker_keeps_what_it_says(workers):
    batches = iter(Batches(Numbers(broken=3), 2, workers=workers))
    assert next(batches).tolist() == [0, 1]
    with pytest.raises(InputError, match=r"^7\.png: is cut short; copy it again$") as caught:
        next(batches)
    assert (caught.value.where, caught.value.remedy) == ("7.png", "copy it again")
