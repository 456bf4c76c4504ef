from pathlib import Path

from cvlnet.cli import run
from cvlnet.config import DatasetConfig, RasterHints


class Told:
    lines = ("one", "two")


def test_a_data_set_is_made_as_asked_for(monkeypatch, capsys):
    calls = []
    monkeypatch.setattr(
        "cvlnet.dataset.build.build_dataset", lambda *args, **kwargs: calls.append((args, kwargs)) or Told()
    )
    tokens = "dataset build --drives raw --imagery a.tif b.tif --out o --lists l --distractors-m 100 --test-drives x y"
    assert run([*tokens.split(), "--crs", "EPSG:25832"]) == 0
    rules = DatasetConfig(distractors_m=100.0, test_drives=("x", "y"))
    expected = {"lists": Path("l"), "hints": RasterHints(crs="EPSG:25832")}
    assert calls == [((Path("raw"), (Path("a.tif"), Path("b.tif")), Path("o"), rules), expected)]
    assert capsys.readouterr().out == "one\ntwo\no: complete; see report.json\n"
