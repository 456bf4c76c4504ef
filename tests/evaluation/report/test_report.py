import json
import re
import shutil
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from cvlnet.config import EvaluationConfig, ModelConfig, TrainConfig
from cvlnet.errors import InputError
from cvlnet.evaluation.predict import Predictions
from cvlnet.evaluation.report import evaluate_and_report
from cvlnet.evaluation.report.report import origin
from cvlnet.model.provenance import Ancestor, Part, Provenance


@pytest.fixture(scope="module")
def report(small_data, weights, tmp_path_factory):
    out = tmp_path_factory.mktemp("report")
    return evaluate_and_report(small_data, weights, out, EvaluationConfig(frames=2, cases=1, workers=0), progress=False)


class Links(HTMLParser):
    def __init__(self):
        super().__init__()
        self.found = []

    def handle_starttag(self, tag, attributes):
        self.found += [value for name, value in attributes if name in ("src", "href", "srcset")]


def links_of(page):
    links = Links()
    links.feed(page.read_text())
    return links.found


def test_everything_is_there(report):
    out = report.page.parent
    names = {path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file()}
    assert {"index.html", "predictions.npz", "figures.json", "figures.md", "map/area-0.jpg", "plots/map.png"} <= names
    assert {f"plots/{name}-day.png" for name in ("recall", "precision", "errors")} <= names
    assert {"cases/best-1-night.png", "cases/worst-1-night.png"} <= names
    assert len([name for name in names if name.startswith("frames/")]) == 14
    assert not [name for name in names if name.split("/")[-1].startswith(".")]
    assert set(Predictions.load(out / "predictions.npz").rankings) == {"test1", "test2"}
    split = json.loads((out / "figures.json").read_text())["splits"]["test2"]
    assert (split["queries"], split["gallery"]) == (14, 10)


def test_the_page_asks_for_nothing_but_what_lies_beside_it(report):
    text = report.page.read_text()
    links = links_of(report.page)
    assert len(links) == 1 + 3 * (3 + 2)  # the map; each plot and sheet by day, by night, and enlarged
    assert all((report.page.parent / link).is_file() for link in links)
    assert not re.search(r"https?:|//[a-z]|@import|url\(", text.replace("// The moment", ""))


def test_the_page_credits_the_imagery(small_data, weights, tmp_path):
    root = tmp_path / "data"
    shutil.copytree(small_data, root)
    about = json.loads((root / "dataset.json").read_text())
    (root / "dataset.json").write_text(json.dumps(about | {"credit": ["Source: <Survey> & Sons", "Second"]}))
    config = EvaluationConfig(frames=2, cases=1, workers=0)
    page = evaluate_and_report(root, weights, tmp_path / "report", config, progress=False).page.read_text()
    assert "Source: &lt;Survey&gt; &amp; Sons" in page
    assert "Second" in page


def test_the_pages_data_name_the_frames_and_the_errors(report):
    (data,) = re.findall(r'<script type="application/json" id="fixes-0">(.*?)</script>', report.page.read_text(), re.S)
    fixes = json.loads(data)
    assert len(fixes) == 14
    assert all((report.page.parent / fix["picture"]).is_file() for fix in fixes)
    assert fixes[0]["id"].endswith("drive_0001_sync/0000000003")
    assert fixes[0]["yaw_deg"] == pytest.approx(0.0, abs=0.1)
    assert fixes[-1]["yaw_deg"] == pytest.approx(90.0, abs=0.1)


def test_queries_without_a_drive_or_a_picture_are_counted(small_data, weights, tmp_path):
    root = tmp_path / "data"
    shutil.copytree(small_data, root)
    listed = root / "test2_files_with_sat_GPS.txt"
    lines = listed.read_text().splitlines()
    recording, _, frame = lines[0].split()[0].rpartition("/")
    for picture in (root / "raw_data" / recording).glob(f"image_*/data/{frame}"):
        picture.unlink()
    lost = lines[-1].replace(lines[-1].split("/")[1], "2011_09_26_drive_9999_sync")
    listed.write_text("\n".join([*lines, lost]) + "\n")
    config = EvaluationConfig(frames=1, cases=1, workers=0)
    found = evaluate_and_report(root, weights, tmp_path / "report", config, progress=False)
    splits = json.loads((tmp_path / "report" / "figures.json").read_text())["splits"]
    assert [(split["queries"], split["queries_left_out"]) for split in splits.values()] == [(len(lines) - 1, 2)] * 2
    assert "queries left out" in (tmp_path / "report" / "figures.md").read_text()
    assert "2 further moments were left out" in found.page.read_text()
    assert found.lines[0].startswith(f"test1: {len(lines) - 1} queries (2 left out) among")
    assert Predictions.load(tmp_path / "report" / "predictions.npz").rankings["test2"].left_out == 2


def test_lines_for_the_terminal(report):
    first, second = report.lines
    assert first.startswith("test1: 14 queries among 4 tiles, recall@1 within 5 m")
    assert second.startswith("test2: 14 queries among 10 tiles")


def test_names_from_the_disk_do_not_become_markup(small_data, weights, tmp_path):
    named = tmp_path / "a<b>&c"
    shutil.copytree(small_data, named)
    config = EvaluationConfig(most_queries=1, frames=1, cases=1, workers=0)
    report = evaluate_and_report(named, weights, tmp_path / "out", config, progress=False)
    text = report.page.read_text()
    assert "a<b>" not in text
    assert "a&lt;b&gt;&amp;c" in text


def test_unusable_weights_get_one_line(small_data, tmp_path):
    with pytest.raises(InputError, match="no such file"):
        evaluate_and_report(small_data, tmp_path / "none.safetensors", tmp_path / "out", progress=False)
    assert not (tmp_path / "out").exists()


def test_weights_that_are_a_mean_name_the_data_of_all_their_parents():
    data = ({"name": "a", "sha256": "1"}, {"name": "b", "sha256": "2"})
    ancestors = tuple(Ancestor(None, (of,), 100) for of in data)
    made = Provenance(ModelConfig(), data=data, ancestors=ancestors, parents=(Part(0, 0.5), Part(1, 0.5)))
    assert origin(made) == "mean of 2, trained on a, b"
    trained = replace(made, train=TrainConfig(), step=7, data=(), ancestors=ancestors[:1], parents=(Part(0, 1.0),))
    assert origin(trained) == "step 7, trained on a"
    assert origin(Provenance(ModelConfig())) == "step 0, trained on data that is not recorded"
