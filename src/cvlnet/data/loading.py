"""Batches read by worker processes, whose errors reach the user as they are.

PyTorch's `DataLoader` raises an error of a worker anew, from its type and a text, which loses what an `InputError`
says. Here it travels as a value, in place of the batch.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from torch.utils.data import DataLoader, Dataset, default_collate

from cvlnet.errors import InputError


class Batches:
    """The batches of a data set, in order.

    batches: a size, or an iterable of lists of indices. collate: joins samples. Iterating raises InputError as reading
    the data set does, whether it is read here (``workers`` 0) or in other processes.
    """

    def __init__(
        self,
        dataset: Dataset[Any],
        batches: int | Iterable[Sequence[Any]],
        collate: Callable[[list[Any]], Any] = default_collate,
        *,
        workers: int = 0,
    ) -> None:
        sizes: dict[str, Any] = {"batch_size": batches} if isinstance(batches, int) else {"batch_sampler": batches}
        self._loader: DataLoader[Any] = DataLoader(
            _Caught(dataset), num_workers=workers, collate_fn=_Collate(collate), **sizes
        )

    def __len__(self) -> int:
        return len(self._loader)

    def __iter__(self) -> Generator[Any, None, None]:
        for batch in self._loader:
            if isinstance(batch, InputError):
                raise batch
            yield batch


class _Caught(Dataset[Any]):
    """A data set that returns an error in place of a sample."""

    def __init__(self, dataset: Any) -> None:
        self.dataset = dataset

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: Any) -> Any:
        try:
            return self.dataset[index]
        except InputError as error:
            return error


@dataclass(frozen=True)
class _Collate:
    """Joins samples, unless one is an error, which takes their place."""

    collate: Callable[[list[Any]], Any]

    def __call__(self, samples: Sequence[Any]) -> Any:
        errors = (sample for sample in samples if isinstance(sample, InputError))
        return next(errors, None) or self.collate(list(samples))
