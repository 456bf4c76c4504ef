import shutil

from cvlnet.data.fingerprint import fingerprint


def test_a_data_set_is_known_by_its_content_and_not_by_its_name(tiny_town, tmp_path):
    copy = tmp_path / "renamed"
    copy.mkdir()
    for name in ("dataset.json", "train_files_with_sat_GPS.txt"):
        shutil.copy(tiny_town / name, copy / name)
    original, renamed = fingerprint(tiny_town), fingerprint(copy)
    assert renamed["name"] == "renamed"
    assert renamed["sha256"] == original["sha256"]
    assert original["labels"]
    assert not renamed["labels"]
    with (copy / "train_files_with_sat_GPS.txt").open("a") as file:
        file.write("\n")
    assert fingerprint(copy)["sha256"] != original["sha256"]
