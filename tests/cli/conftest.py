import pytest


@pytest.fixture
def trained(monkeypatch):
    """What `train` is called with."""
    calls = []

    def train(model, training, run):
        calls.append((model, training, run))
        return {"score": 0.5}

    monkeypatch.setattr("cvlnet.training.loop.train", train)
    return calls
