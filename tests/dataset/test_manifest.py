import json
import logging
from datetime import date

import pytest

from cvlnet.dataset.manifest import Provenance, day_of, provenance_of, years_between


def write(folder, about):
    (folder / "manifest.json").write_text(about if isinstance(about, str) else json.dumps(about))


def test_a_folder_has_the_flights_of_all_files_and_a_file_its_own(tmp_path):
    files = {"a.tif": {"flown": "2019-07-01"}, "b.tif": {"flown": "2021-05-30T10:00:00Z"}, "c.tif": {}}
    write(tmp_path, {"credit": "LGL, dl-de/by-2-0", "files": files})
    (tmp_path / "a.tif").write_bytes(b"")
    assert provenance_of(tmp_path) == Provenance("LGL, dl-de/by-2-0", (date(2019, 7, 1), date(2021, 5, 30)))
    assert provenance_of(tmp_path / "a.tif").flown == (date(2019, 7, 1),)
    assert provenance_of(tmp_path / "d.tif").flown == ()
    write(tmp_path, {"files": [{"name": "a.tif", "flown": "2019-07-01"}, {"path": "x/b.tif", "flown": "2020-01-01"}]})
    assert provenance_of(tmp_path / "b.tif") == Provenance(None, (date(2020, 1, 1),))


@pytest.mark.parametrize(
    "about", [{}, {"credit": 3, "files": 7}, {"credit": " ", "files": [1, {"flown": "soon"}]}, {"files": {"a": "b"}}]
)
def test_what_a_manifest_does_not_say_is_unknown(tmp_path, about):
    assert provenance_of(tmp_path) == Provenance(None, ())
    write(tmp_path, about)
    assert provenance_of(tmp_path) == Provenance(None, ())


@pytest.mark.parametrize("text", ["{", "[]", "\xff"])
def test_a_manifest_that_cannot_be_read_is_told(tmp_path, caplog, text):
    (tmp_path / "manifest.json").write_bytes(text.encode("latin-1"))
    with caplog.at_level(logging.WARNING):
        assert provenance_of(tmp_path) == Provenance(None, ())
    assert "manifest.json: cannot be used (" in caplog.text


def test_years_from_flight_to_drive():
    assert years_between((), date(2011, 9, 26)) is None
    least, most = years_between((date(2021, 9, 26), date(2010, 9, 26)), date(2011, 9, 26))
    assert (least, most) == pytest.approx((-10, 1), abs=0.01)
    assert day_of("2011_09_26/2011_09_26_drive_0001_sync") == date(2011, 9, 26)
    assert day_of("town/drive") is None
