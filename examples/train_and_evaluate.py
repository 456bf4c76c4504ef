"""A few steps of training on a town, and the report of what the weights find: minutes, to see all parts at work."""

from __future__ import annotations

from cvlnet.config import EvaluationConfig, ModelConfig, TrainConfig
from cvlnet.evaluation.report import evaluate_and_report
from cvlnet.town.dataset.synthesize import synthesize
from cvlnet.training.loop import BEST, Run, train
from town import DATA

STEPS = 4


def main() -> None:
    data = DATA / "training-town"  # seeds below 100,000 may be trained on
    synthesize(data, 1, "tiny")
    model = ModelConfig(image_width_px=256, image_height_px=64, clip_cells=24, window_cells=4)
    training = TrainConfig(steps=STEPS, batch_size=2, neighbours=2, frames=2, min_distance_m=5.0, validate_every=STEPS)
    out = DATA / "run"
    train(model, training, Run((data,), (), out, workers=0))
    report = evaluate_and_report(data, out / BEST, out / "report", EvaluationConfig(frames=2, cases=1))
    print("\n".join(report.lines))
    print(report.page)


if __name__ == "__main__":
    main()
