import shutil
from functools import partial

import pytest

from cvlnet import checkpoint, demo
from cvlnet.checkpoint import shipped_weights
from cvlnet.config import EvaluationConfig
from cvlnet.errors import InputError
from cvlnet.town.presets import role_of_seed


@pytest.fixture
def made(small_data, monkeypatch):
    """The towns that were asked for; a small data set takes their place."""
    calls = []

    def synthesize(out, seed, preset, *, workers=None):
        calls.append((out, seed, preset))
        shutil.copytree(small_data, out)

    monkeypatch.setattr(demo, "synthesize", synthesize)
    monkeypatch.setattr(
        demo, "evaluate_and_report", partial(demo.evaluate_and_report, config=EvaluationConfig(cases=1, workers=0))
    )
    return calls


def test_a_town_of_a_test_seed_is_made_and_its_drives_are_located(made, weights, tmp_path):
    report = demo.run_demo(tmp_path / "demo", weights=weights, progress=False)
    assert made == [(tmp_path / "demo" / "town", demo.DEMO_SEED, "demo")]
    assert role_of_seed(demo.DEMO_SEED) == "test"
    text = report.page.read_text()
    assert report.page == tmp_path / "demo" / "index.html"
    assert "compared four frames of the last 36 metres with 10 pictures from above" in " ".join(text.split())
    assert report.figures.splits["test2"].queries == 14
    on_map, on_track = report.lines[-6:-3], report.lines[-3:]
    assert on_track[0].endswith(f"from an unknown start and heading: {tmp_path / 'demo' / 'track' / 'track.png'}")
    assert on_track[1].startswith("10 moments: ")
    assert (tmp_path / "demo" / "track" / "track.jsonl").is_file()
    assert on_map[0].startswith(f"{tmp_path / 'demo' / 'map'}: 0.09 km2, ")
    assert on_map[1].startswith("14 queries on the whole map: ")
    assert on_map[2].startswith("a question took ")


def test_a_town_of_an_earlier_version_is_pointed_out(made, weights, tmp_path):
    demo.run_demo(tmp_path / "demo", weights=weights, progress=False)
    shutil.rmtree(tmp_path / "demo" / "town" / "overhead")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(demo, "synthesize", lambda *_, **__: None)
        with pytest.raises(InputError, match=r"town: the town was made by an earlier version, without an overhead map"):
            demo.run_demo(tmp_path / "demo", weights=weights, progress=False)


@pytest.mark.parametrize("seed", [7, 150_000])
def test_seeds_of_training_and_validation_are_refused(seed, made, weights, tmp_path):
    with pytest.raises(InputError, match=f"seed {seed}: a town that may have been used for training"):
        demo.run_demo(tmp_path / "demo", seed=seed, weights=weights, progress=False)
    assert made == []


def test_shipped_weights_that_are_not_there_get_one_line(made, monkeypatch, tmp_path):
    monkeypatch.setattr(checkpoint, "files", lambda package: tmp_path)
    with pytest.raises(InputError, match=r"cvlnet-lite0\.safetensors: the package's weights are missing"):
        shipped_weights()
    with pytest.raises(InputError, match="weights are missing"):
        demo.run_demo(tmp_path / "demo", progress=False)
    assert made == []  # nothing is made before it is known that it can be used


def test_the_page_shows_the_drive_that_was_tracked(made, weights, tmp_path, monkeypatch):
    shown = []
    monkeypatch.setattr(
        "cvlnet.serve.listen.listen", lambda service, address, *, session: shown.append((service, address, session))
    )
    demo.run_demo(tmp_path / "demo", weights=weights, progress=False)
    demo.show_demo(tmp_path / "demo", weights=weights)
    [(service, address, key)] = shown
    assert (address.host, address.port, address.is_loopback) == ("127.0.0.1", 0, True)
    session = service.session(key)
    assert session.about.drive == demo.drives_of(tmp_path / "demo" / "town")[0].name
    assert session.about.heading == "unknown"
    demo.show_demo(tmp_path / "demo", weights=weights)  # a second time as the first
    assert len(shown) == 2
