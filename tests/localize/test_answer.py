import json
from dataclasses import replace

import numpy as np
import pytest

from cvlnet.geo import LatLon, LocalFrame
from cvlnet.io.outputs import write_json
from cvlnet.localize import encode_region
from cvlnet.localize.answer import (
    Answer,
    heading_rad,
    to_geojson,
    to_json,
    to_table,
    verdict,
)
from cvlnet.localize.picture import draw
from cvlnet.localize.search import distinct, search


@pytest.fixture
def answer(seeing_model, image, clip, place_m, middle):
    region = encode_region(seeing_model, image)
    scores = search(seeing_model, clip, region)
    fixes = distinct(region, scores, 20.0, most=3)
    truth = LatLon(*LocalFrame(middle).latlon_deg(place_m).tolist())
    return Answer(clip, image, region, scores, fixes, truth)


def without_truth(answer):
    return Answer(answer.clip, answer.image, answer.region, answer.scores, answer.fixes, None)


def test_heading_is_where_the_newest_frame_looks(clip):
    assert heading_rad(clip) == pytest.approx(np.pi / 4)


def test_json_tells_every_field_of_the_fixes(answer, tmp_path):
    write_json(to_json(answer), tmp_path / "answer.json")
    told = json.loads((tmp_path / "answer.json").read_text())
    best, fix = told["fixes"][0], answer.fixes[0]
    assert [f["rank"] for f in told["fixes"]] == [1, 2, 3]
    assert (best["latitude_deg"], best["longitude_deg"]) == (fix.position.latitude_deg, fix.position.longitude_deg)
    assert (best["tile"], best["score"], best["margin"]) == (fix.tile, fix.score, fix.margin)
    assert best["offset_m"] == list(fix.offset_m)
    assert best["covariance_m2"] == [list(row) for row in fix.covariance_m2]
    assert best["error_m"] < 1
    assert told["yaw_deg"] == pytest.approx(45)
    assert told["compass_deg"] == pytest.approx(45)
    assert told["places"] == len(answer.region)


@pytest.mark.parametrize(
    ("confidence", "threshold", "sure", "said"),
    [
        (0.9, 0.8, True, "Sure: place 1 is right to 10 m, with a confidence of 0.900 (at least 0.800)."),
        (0.8, 0.8, True, "Sure: place 1 is right to 10 m, with a confidence of 0.800 (at least 0.800)."),
        (0.7, 0.8, False, "Not sure: place 1 has a confidence of 0.700, below 0.800. "
         "The clip may have been taken elsewhere, off this map."),
        (None, None, False, "How far these weights can be relied upon has not been measured (cvlnet calibrate does)."),
    ],
)  # fmt: skip
def test_the_verdict_follows_from_confidence_and_threshold(answer, confidence, threshold, sure, said):
    best = replace(answer.best, confidence=confidence)
    judged = replace(answer, fixes=(best, *answer.fixes[1:]), threshold=threshold)
    assert judged.is_sure is sure
    assert verdict(judged) == said
    assert to_json(judged)["sure"] is sure


def test_the_verdict_points_out_what_is_off_the_map(answer):
    best = replace(answer.best, known_share=0.31)
    little = replace(answer, fixes=(best,), truth=LatLon(50.0, 8.43), truth_is_searched=False)
    assert "The map shows only 31% of what the clip sees there: a larger map tells more." in verdict(little)
    assert "The true place is not among those that were searched." in verdict(little)
    assert "The map shows" not in verdict(replace(answer, fixes=(replace(best, known_share=0.5),)))


def test_geojson_has_longitude_first_and_a_closed_ring_around_the_best(answer):
    features = to_geojson(answer)["features"]
    kinds = [feature["properties"]["kind"] for feature in features]
    assert kinds == ["fix", "fix", "fix", "ellipse", "truth"]
    best, ring = answer.fixes[0].position, features[3]["geometry"]["coordinates"][0]
    assert features[0]["geometry"]["coordinates"] == [best.longitude_deg, best.latitude_deg]
    assert ring[0] == ring[-1]
    assert np.mean(ring[1:], axis=0) == pytest.approx([best.longitude_deg, best.latitude_deg], abs=1e-8)


def test_without_truth_no_errors_are_told(answer):
    unknown = without_truth(answer)
    assert unknown.errors_m is None
    assert "error_m" not in to_json(unknown)["fixes"][0]
    assert to_json(unknown)["true_position"] is None
    assert "error" not in to_table(unknown)


def test_table_has_a_line_a_fix(answer):
    lines = to_table(answer).splitlines()
    assert len(lines) == 2 + 3
    assert "error m" in lines[0]
    assert len({line.count("|") for line in lines}) == 1


def test_headings_state_how_they_count(answer):
    turned = tuple(replace(fix, turn_rad=np.pi / 4, heading_sigma_rad=np.radians(2)) for fix in answer.fixes)
    found = replace(answer, fixes=turned)
    (best, *_), (point, *_) = to_json(found)["fixes"], to_geojson(found)["features"]
    for told in (best, point["properties"]):
        assert (told["yaw_deg"], told["compass_deg"], told["sigma_yaw_deg"]) == pytest.approx((90, 0, 2), abs=1e-5)
        assert not any(name.startswith("heading") for name in told)
    assert "heading (ccw from east)" in to_table(found).splitlines()[0]


@pytest.mark.parametrize("truth", [True, False])
def test_picture_is_drawn(answer, tmp_path, truth):
    draw(answer if truth else without_truth(answer), tmp_path / "answer.png")
    assert (tmp_path / "answer.png").stat().st_size > 50_000
