from pathlib import Path

import pytest

from cvlnet.errors import InputError
from cvlnet.io import lock
from cvlnet.io.lock import LOCK, locked


@pytest.mark.parametrize("tidy", [False, True])
def test_one_at_a_time(tmp_path: Path, tidy: bool) -> None:
    folder = tmp_path / "new" / "folder"
    for _ in range(2):
        with locked(folder, "busy", tidy=tidy):
            with pytest.raises(InputError, match=r"folder: busy; wait until it has ended"), locked(folder, "busy"):
                pass
            assert (folder / LOCK).is_file()
        assert (folder / LOCK).is_file() is not tidy


def test_a_lock_that_its_owner_has_just_removed_is_made_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    flock, calls = lock.fcntl.flock, []

    def removed_before(handle: int, how: int) -> None:
        calls.append(how)
        if len(calls) == 1:
            (tmp_path / LOCK).unlink()
        flock(handle, how)

    monkeypatch.setattr(lock.fcntl, "flock", removed_before)
    with locked(tmp_path, "busy"), pytest.raises(InputError, match="busy"), locked(tmp_path, "busy"):
        pass
    assert len(calls) == 3


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="cannot be written"), locked(tmp_path / "file", "busy"):
        pass
