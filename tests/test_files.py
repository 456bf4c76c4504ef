import pytest

from cvlnet.errors import InputError
from cvlnet.files import written_whole


def test_a_file_is_there_whole_or_not_at_all(tmp_path):
    path = tmp_path / "new" / "figures.json"
    with written_whole(path) as temporary:
        assert temporary.suffix == ".json"
        temporary.write_text("whole")
        assert not path.exists()
    assert path.read_text() == "whole"
    with pytest.raises(ZeroDivisionError), written_whole(path) as temporary:
        temporary.write_text(f"ha{1 / 0}lf")
    assert path.read_text() == "whole"
    assert list(path.parent.iterdir()) == [path]


def test_a_place_where_nothing_can_be_written(tmp_path):
    (tmp_path / "file").write_text("kept")
    with (
        pytest.raises(InputError, match=r"file/figures\.json: cannot be written .*; choose another place"),
        written_whole(tmp_path / "file" / "figures.json"),
    ):
        pass
    assert (tmp_path / "file").read_text() == "kept"
