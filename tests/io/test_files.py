import errno
import os
import shutil

import pytest

from cvlnet.errors import InputError
from cvlnet.io.files import folder_written_whole, link, remove_unfinished, require_writable, written_whole


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


def test_a_file_where_a_folder_is(tmp_path):
    (tmp_path / "figures.json" / "inner").mkdir(parents=True)
    with (
        pytest.raises(InputError, match=r"figures\.json: cannot be written .*; choose another place"),
        written_whole(tmp_path / "figures.json"),
    ):
        pass
    assert [path.name for path in tmp_path.iterdir()] == ["figures.json"]


def test_a_place_is_tried_before_long_work(tmp_path):
    require_writable(tmp_path / "new" / "a.txt")
    assert list((tmp_path / "new").iterdir()) == []
    (tmp_path / "file").write_text("kept")
    for path in (tmp_path / "file" / "a.txt", tmp_path / "new"):
        with pytest.raises(InputError, match="cannot be written"):
            require_writable(path)
    require_writable(tmp_path / "file")
    assert (tmp_path / "file").read_text() == "kept"


def test_a_full_disk_is_an_input_error_and_other_faults_of_the_block_are_not(tmp_path):
    with (
        pytest.raises(InputError, match=r"a\.json: cannot be written \(No space left on device\); free some space"),
        written_whole(tmp_path / "a.json"),
    ):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    with pytest.raises(FileNotFoundError), written_whole(tmp_path / "a.json"):
        (tmp_path / "what the block reads").read_text()
    assert list(tmp_path.iterdir()) == []


def test_a_folder_is_there_whole_or_not_at_all(tmp_path):
    path = tmp_path / "new" / "bag"
    with pytest.raises(FileExistsError), folder_written_whole(path) as temporary:
        [temporary.mkdir() for _ in range(2)]
    assert not list(path.parent.iterdir())
    with folder_written_whole(path) as temporary:
        assert temporary.name == "bag"
        temporary.mkdir()
        (temporary / "a").write_text("whole")
        assert not path.exists()
    assert [found.name for found in path.parent.iterdir()] == ["bag"]
    assert (path / "a").read_text() == "whole"
    with pytest.raises(InputError, match="is there already"), folder_written_whole(path):
        pytest.fail("the block is not entered")


def test_a_folder_on_a_full_disk_is_an_input_error(tmp_path):
    with pytest.raises(InputError, match="free some space"), folder_written_whole(tmp_path / "bag"):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    with pytest.raises(OSError, match="bad news"), folder_written_whole(tmp_path / "bag"):
        raise OSError(errno.EIO, "bad news")
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="choose another place"), folder_written_whole(tmp_path / "file" / "bag"):
        pytest.fail("the block is not entered")


def test_a_link_takes_the_place_of_what_is_there_and_is_not_made_twice(tmp_path):
    (tmp_path / "figures.json").write_text("whole")
    path = tmp_path / "new" / "link.json"
    for target in ("../nothing.json", "../figures.json"):
        link(path, target)
        assert str(path.readlink()) == target
    made = path.lstat().st_ino
    link(path, "../figures.json")
    assert path.lstat().st_ino == made
    assert path.read_text() == "whole"
    with pytest.raises(InputError, match=r"new: cannot be written \(Is a directory\); choose another place"):
        link(path.parent, "elsewhere")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["figures.json", "new"]


def test_what_killed_writers_leave_is_removed_and_nothing_else(tmp_path):
    (tmp_path / "deep").mkdir()
    kept = tmp_path / "deep" / ".hidden.json"
    kept.touch()
    with written_whole(tmp_path / "deep" / "a.png") as left:
        shutil.copy(left, left.with_stem(left.stem + "x"))
    with folder_written_whole(tmp_path / "deep" / "bag") as folder:
        folder.mkdir()
        shutil.copytree(folder.parent, folder.parent.with_name(folder.parent.name + "x"))
    folder = tmp_path / "deep" / "bag"
    assert len(list((tmp_path / "deep").iterdir())) == 5
    remove_unfinished(tmp_path)
    assert sorted((tmp_path / "deep").iterdir()) == [kept, tmp_path / "deep" / "a.png", folder]
