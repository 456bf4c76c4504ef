from pathlib import Path

from cvlnet.cli import run
from cvlnet.town.presets import Nuisances


def test_town_is_made_as_asked_for(monkeypatch):
    calls = []
    monkeypatch.setattr(
        "cvlnet.town.dataset.synthesize.synthesize", lambda *args, **kwargs: calls.append((args, kwargs))
    )
    assert run(["synth", "o", "--seed", "5", "--preset", "tiny", "--towns", "2", "--shake", "0"]) == 0
    assert calls == [((Path("o"), 5, "tiny"), {"towns": 2, "nuisances": Nuisances(shake=0.0), "workers": None})]
