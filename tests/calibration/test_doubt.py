"""Doubts about a camera: which of them is told where several hold."""

from __future__ import annotations

import pytest

from cvlnet.calibration import doubt as doubt_module
from cvlnet.calibration.doubt import MountingDoubt, camera_doubt
from cvlnet.calibration.turns import TurnDoubt
from cvlnet.data.journey import Journey
from cvlnet.geometry import Pose

LOOKS_DOWN = MountingDoubt(0.05, 0.1, doubtful=True)
LATE = TurnDoubt(-1.5)
DRIVE = Journey("drive", {}, Pose.identity(), lambda: iter(()))


@pytest.mark.parametrize(
    ("turn", "mounting", "told"),
    [(None, None, None), (None, LOOKS_DOWN, LOOKS_DOWN), (LATE, None, LATE), (LATE, LOOKS_DOWN, LATE)],
)
def test_a_mounting_is_doubted_only_where_pictures_and_odometry_turn_alike(
    turn: TurnDoubt | None,
    mounting: MountingDoubt | None,
    told: TurnDoubt | MountingDoubt | None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(doubt_module, "turn_doubt", lambda *_: turn)
    monkeypatch.setattr(doubt_module, "journey_doubt", lambda *_: mounting)
    assert camera_doubt(DRIVE, 2) is told


def test_a_doubt_says_what_is_wrong_and_what_to_do() -> None:
    assert str(LOOKS_DOWN) == "the road looks as if the camera were pitched +2.9 degrees and +0.10 m higher than stated"
    assert "calibrate-camera" in LOOKS_DOWN.remedy
    assert LATE.remedy.startswith("add -1.5 s to the pictures' times")
