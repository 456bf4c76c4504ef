"""Where weights come from is kept through trainings that start from others and through means, each ancestor once."""

import json
from dataclasses import asdict, replace

import pytest

from cvlnet.config import ModelConfig, TrainConfig
from cvlnet.model.provenance import Ancestor, Part, Provenance, made_from, union_of

MODEL = ModelConfig()
A, B, C = ({"name": name, "sha256": name * 64, "labels": True} for name in "abc")


def trained(data, step=100, start=None, **settings):
    """A training's weights on some data, from noise or from other weights (SHA-256, provenance)."""
    ancestors, parents = made_from([] if start is None else [(1.0, *start)])
    return Provenance(MODEL, TrainConfig(**settings), (data,), step, ancestors=ancestors, parents=parents)


def mean(*files):
    ancestors, parents = made_from([(1 / len(files), *file) for file in files])
    return Provenance(
        MODEL, data=union_of([ancestor.data for ancestor in ancestors]), ancestors=ancestors, parents=parents
    )


def test_a_training_keeps_what_it_started_from():
    first = trained(A, step=7)
    second = trained(B, start=("1" * 64, first))
    assert second.ancestors == (Ancestor("1" * 64, (A,), 7, TrainConfig()),)
    assert second.parents == (Part(0, 1.0),)
    assert second.init == "1" * 64
    assert first.init is None
    assert (second.data, second.all_data) == ((B,), (A, B))
    assert not second.is_mean


def test_a_mean_keeps_all_its_parents_and_common_ancestors_once():
    first = trained(A, step=1)
    second, third = trained(B, 2, ("1" * 64, first)), trained(A, 3, ("1" * 64, first), seed=5)
    both = mean(("2" * 64, second), ("3" * 64, third))
    assert both.ancestors == (
        Ancestor("1" * 64, (A,), 1, TrainConfig()),
        Ancestor("2" * 64, (B,), 2, TrainConfig(), (Part(0, 1.0),)),
        Ancestor("3" * 64, (A,), 3, TrainConfig(seed=5), (Part(0, 1.0),)),
    )
    assert both.parents == (Part(1, 0.5), Part(2, 0.5))
    assert both.is_mean
    assert (both.train, both.step, both.init) == (None, 0, None)
    assert both.data == both.all_data == (A, B)


def test_a_mean_is_an_ancestor_like_others():
    """The chain of the weights in the package: trainings, their mean, a training from that, and a mean of both."""
    first = trained(A, step=1)
    four = mean(("1" * 64, first), ("2" * 64, trained(B, 2, ("1" * 64, first))))
    last = trained(C, 3, ("4" * 64, four))
    whole = mean(("4" * 64, four), ("5" * 64, last))
    assert whole.ancestors[2] == Ancestor("4" * 64, parents=(Part(0, 0.5), Part(1, 0.5)))
    assert whole.ancestors[2].is_mean
    assert whole.ancestors[3] == Ancestor("5" * 64, (C,), 3, TrainConfig(), (Part(2, 1.0),))
    assert whole.parents == (Part(2, 0.5), Part(3, 0.5))
    assert whole.data == (A, B, C)
    assert len(whole.ancestors) == 4


def test_a_mean_recognises_labels_if_all_its_parents_do():
    with_labels, without = trained(A), trained({**A, "labels": False})
    untaught = trained(A, label_weight=0.0)
    assert with_labels.recognises
    assert not without.recognises
    assert not untaught.recognises
    assert mean(("1", with_labels), ("2", trained(B))).recognises
    assert not mean(("1", with_labels), ("2", without)).recognises
    assert not mean(("1", with_labels), ("2", untaught)).recognises
    assert mean(("3", mean(("1", with_labels))), ("2", trained(B, start=("4", without)))).recognises
    assert not mean(("3", mean(("1", without))), ("2", with_labels)).recognises
    assert not Provenance(MODEL, data=(A,)).recognises


def test_it_comes_back_from_json():
    whole = mean(("1" * 64, trained(A)), ("2" * 64, trained(B, start=(None, trained(C)), cameras=(2, 3))))
    assert Provenance.of(json.loads(json.dumps(asdict(whole)))) == whole


def test_files_from_before_ancestors_were_kept_are_read():
    header = {"model": asdict(MODEL), "train": asdict(TrainConfig()), "data": [A], "step": 5, "figures": None}
    assert Provenance.of(header) == Provenance(MODEL, TrainConfig(), (A,), 5)
    started = Provenance.of({**header, "init": "9" * 64})
    assert started.init == "9" * 64
    assert started.ancestors == (Ancestor("9" * 64),)
    assert started.ancestors[0].step is None


@pytest.mark.parametrize("place", [-1, 1, 2])
def test_an_ancestor_that_comes_later_is_refused(place):
    whole = trained(B, start=("1", trained(A)))
    with pytest.raises(ValueError, match="earlier ones only"):
        replace(whole, parents=(Part(place, 1.0),))
    with pytest.raises(ValueError, match="earlier ones only"):
        replace(whole, ancestors=(Ancestor("1", parents=(Part(0, 1.0),)),))


def test_data_is_named_once_in_the_order_of_use():
    assert union_of([(B,), (A, B), (), (C, A)]) == (B, A, C)
