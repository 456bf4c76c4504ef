"""Where weights come from: the training that made them, its data, and the weights that it started from.

Kept with every file of weights, through any number of trainings and means.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, TypeVar

from cvlnet.config import ModelConfig, TrainConfig
from cvlnet.model.confidence import Confidence

Config = TypeVar("Config", ModelConfig, TrainConfig)


@dataclass(frozen=True)
class Part:
    """What one of the ancestors contributed: its share of a mean, or 1 where a training started from it.

    ancestor: index into `Provenance.ancestors`.
    """

    ancestor: int
    share: float


@dataclass(frozen=True)
class Ancestor:
    """Weights that others were made from: those of a training, or a mean (without ``train`` and ``data``).

    sha256: of their file. data, step and train: of the training that made them, as in `Provenance`. parents: what they
    were made from in turn, always earlier ancestors. Whatever is not known is None, or empty.
    """

    sha256: str | None
    data: tuple[Mapping[str, Any], ...] = ()
    step: int | None = None
    train: TrainConfig | None = None
    parents: tuple[Part, ...] = ()

    @property
    def is_mean(self) -> bool:
        """Whether the weights are a mean of their parents."""
        return bool(self.parents) and self.train is None and not self.data


@dataclass(frozen=True)
class Provenance:
    """Where weights come from.

    model: the network; of a published one, named by ``published``, as far as this configuration can describe it.
    train, step, figures: of the training and its validation; None, 0 and None for a mean of weights.
    data: fingerprints of the data sets that the training used, or of all data sets behind a mean.
    confidence: calibration of the fixes' confidence, where it has been measured.
    parents: the weights that a training started from (one, or none if it started from ImageNet's or from noise), or
    those that were averaged. ancestors: these, theirs, and so on, each once, in an order that puts parents first.
    """

    model: ModelConfig
    train: TrainConfig | None = None
    data: tuple[Mapping[str, Any], ...] = ()
    step: int = 0
    figures: Mapping[str, float] | None = None
    confidence: Confidence | None = None
    published: str | None = None
    ancestors: tuple[Ancestor, ...] = ()
    parents: tuple[Part, ...] = ()

    def __post_init__(self) -> None:
        for place, parents in enumerate([*(ancestor.parents for ancestor in self.ancestors), self.parents]):
            if any(not 0 <= part.ancestor < place for part in parents):
                raise ValueError("weights come from earlier ones only")

    @property
    def is_mean(self) -> bool:
        """Whether the weights are a mean of their parents."""
        return bool(self.parents) and self.train is None

    @property
    def init(self) -> str | None:
        """SHA-256 of the weights that the training started from; None if there are none."""
        return None if self.is_mean or not self.parents else self.ancestors[self.parents[0].ancestor].sha256

    @property
    def all_data(self) -> tuple[Mapping[str, Any], ...]:
        """Fingerprints of every data set that these weights or their ancestors were trained on, each once."""
        return union_of([*(ancestor.data for ancestor in self.ancestors), self.data])

    @property
    def recognises(self) -> bool:
        """Whether the heads that tell labels apart (see `cvlnet.labels`) were trained; of a mean, of all its parts."""
        if not self.is_mean:
            return self.train is not None and _has_labels(self.data, self.train)
        learned: list[bool] = []
        for ancestor in self.ancestors:
            of_parents = [learned[part.ancestor] for part in ancestor.parents]
            learned.append(all(of_parents) if ancestor.is_mean else _has_labels(ancestor.data, ancestor.train))
        return all(learned[part.ancestor] for part in self.parents)

    @staticmethod
    def of(header: Mapping[str, Any]) -> Provenance:
        """From the JSON object that `asdict` makes of it, or one that an earlier version wrote.

        Raises TypeError, KeyError, ValueError or AttributeError for anything else.
        """
        if not isinstance(header.get("published"), str | None):
            raise TypeError("the name of published weights is no text")
        if header.get("init") is not None:  # files from before ancestors were kept
            init = {"ancestors": [{"sha256": header["init"]}], "parents": [{"ancestor": 0, "share": 1.0}]}
            header = {**header, **init}
        return Provenance(
            model=_config(ModelConfig, header["model"]),
            train=_training(header["train"]),
            data=tuple(header["data"]),
            step=int(header["step"]),
            figures=None if header["figures"] is None else {k: float(v) for k, v in header["figures"].items()},
            confidence=None if header.get("confidence") is None else Confidence.of_json(header["confidence"]),
            published=header.get("published"),
            ancestors=tuple(_ancestor(values) for values in header.get("ancestors", ())),
            parents=_parts(header.get("parents", ())),
        )


def made_from(parents: Sequence[tuple[float, str | None, Provenance]]) -> tuple[tuple[Ancestor, ...], tuple[Part, ...]]:
    """``ancestors`` and ``parents`` of weights that are made from others, each given by share, SHA-256 and provenance.

    An ancestor that several parents have in common is there once.
    """
    known: list[Ancestor] = []

    def place_of(ancestor: Ancestor, places: Sequence[int]) -> int:
        """Where the ancestor stands among the known ones, if its parents stand at ``places``."""
        placed = replace(ancestor, parents=tuple(Part(places[part.ancestor], part.share) for part in ancestor.parents))
        if placed not in known:
            known.append(placed)
        return known.index(placed)

    parts = []
    for share, digest, own in parents:
        places: list[int] = []
        for ancestor in own.ancestors:
            places.append(place_of(ancestor, places))
        data, step = ((), None) if own.is_mean else (own.data, own.step)
        itself = Ancestor(digest, data, step, own.train, own.parents)
        parts.append(Part(place_of(itself, places), share))
    return tuple(known), tuple(parts)


def union_of(parts: Sequence[Sequence[Mapping[str, Any]]]) -> tuple[Mapping[str, Any], ...]:
    """Fingerprints of data sets, each once, in the order of their first use."""
    union: list[Mapping[str, Any]] = []
    for part in parts:
        union += [data for data in part if data not in union]
    return tuple(union)


def _has_labels(data: Sequence[Mapping[str, Any]], train: TrainConfig | None) -> bool:
    return any(of.get("labels") for of in data) and (train is None or train.label_weight > 0)


def _ancestor(values: Mapping[str, Any]) -> Ancestor:
    return Ancestor(
        sha256=values["sha256"],
        data=tuple(values.get("data", ())),
        step=values.get("step"),
        train=_training(values.get("train")),
        parents=_parts(values.get("parents", ())),
    )


def _parts(values: Sequence[Mapping[str, Any]]) -> tuple[Part, ...]:
    return tuple(Part(int(part["ancestor"]), float(part["share"])) for part in values)


def _training(values: Mapping[str, Any] | None) -> TrainConfig | None:
    return None if values is None else _config(TrainConfig, values)


def _config(kind: type[Config], values: Mapping[str, Any]) -> Config:
    unknown = values.keys() - {field.name for field in fields(kind)}
    if unknown:
        raise ValueError(f"unknown settings {', '.join(sorted(unknown))}")
    settings: Any = {name: tuple(value) if isinstance(value, list) else value for name, value in values.items()}
    return kind(**settings)
