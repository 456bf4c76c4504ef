"""Predict and save, then compute figures of your own from the file alone."""

from __future__ import annotations

import numpy as np

from cvlnet.checkpoint import load_network, shipped_weights
from cvlnet.data.clips import ClipSpec
from cvlnet.evaluation.predict import Predictions, predict
from cvlnet.evaluation.summary import figures_of
from town import DATA, town


def main() -> None:
    network, _ = load_network(shipped_weights())
    predict(network, town(), ClipSpec(network.image_spec)).save(DATA / "predictions.npz")
    predictions = Predictions.load(DATA / "predictions.npz")
    for name, figures in figures_of(predictions).splits.items():
        recall = figures.recall_at(1, 10.0)
        print(f"{name}: {recall.value:.0%} within 10 m ({recall.low:.0%} to {recall.high:.0%})")
    ranking = predictions.rankings["test2"]
    off_m = np.linalg.norm(ranking.xy_m[:, 0] - predictions.true_xy_m[ranking.queries], axis=1)
    print("errors of the best fixes, m:", off_m.round(1).tolist())


if __name__ == "__main__":
    main()
