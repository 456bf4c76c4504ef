import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from drives import CREDIT, drive, same

from cvlnet.errors import InputError
from cvlnet.track.formats import TrackLog, read_trajectory, write_trajectory
from cvlnet.track.types import Trajectory

DRIVE = drive()

KILLED = """
import os, signal, sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from drives import drive
from cvlnet.track.formats import TrackLog
whole = drive()
log = TrackLog(Path(sys.argv[1]), whole.name, whole.credit)
for fix in whole.fixes[:5]:
    log.write(fix)
if sys.argv[3] == "within a line":
    with open(sys.argv[1], "ab") as file:
        file.write(b'{"index": 15, "time_s": 2.5, "sta')
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_log_holds_each_fix_as_soon_as_it_is_written(tmp_path):
    path = tmp_path / "new" / "drive.jsonl"
    log = TrackLog(path, DRIVE.name, CREDIT)
    assert read_trajectory(path) == Trajectory(DRIVE.name, (), CREDIT)
    for count, fix in enumerate(DRIVE.fixes, 1):
        log.write(fix)
        assert len(read_trajectory(path).fixes) == count
    log.close()
    assert same(read_trajectory(path), DRIVE)


def test_a_log_that_grew_is_the_same_as_one_that_was_written_whole(tmp_path):
    with TrackLog(tmp_path / "grown.jsonl", DRIVE.name, CREDIT) as log:
        for fix in DRIVE.fixes:
            log.write(fix)
    write_trajectory(DRIVE, tmp_path / "whole.jsonl")
    assert (tmp_path / "grown.jsonl").read_bytes() == (tmp_path / "whole.jsonl").read_bytes()


@pytest.mark.parametrize("where", ["between lines", "within a line"])
def test_a_log_survives_kill_9_and_goes_on(tmp_path, where):
    path = tmp_path / "drive.jsonl"
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", KILLED, str(path), str(Path(__file__).parent), where]
    assert subprocess.run(command, env=environment, check=False).returncode == -signal.SIGKILL
    assert same(read_trajectory(path), Trajectory(DRIVE.name, DRIVE.fixes[:5]))
    with TrackLog(path, DRIVE.name, CREDIT) as log:
        assert same(Trajectory("", log.fixes), Trajectory("", DRIVE.fixes[:5]))
        for fix in DRIVE.fixes[len(log.fixes) :]:
            log.write(fix)
    assert same(read_trajectory(path), DRIVE)


def test_one_process_at_a_time_writes_a_log(tmp_path):
    path = tmp_path / "drive.jsonl"
    with TrackLog(path, DRIVE.name, CREDIT) as log:
        log.write(DRIVE.fixes[0])
        with pytest.raises(InputError, match=r"another process is writing this track; wait until it has ended, or"):
            TrackLog(path, DRIVE.name, CREDIT)
        log.write(DRIVE.fixes[1])
    with TrackLog(path, DRIVE.name, CREDIT) as log:
        assert same(Trajectory("", log.fixes), Trajectory("", DRIVE.fixes[:2]))


def test_the_log_of_another_drive_is_refused_and_kept(tmp_path):
    path = tmp_path / "drive.jsonl"
    write_trajectory(DRIVE, path)
    before = path.read_bytes()
    for name, credit in (("another", CREDIT), (DRIVE.name, None)):
        with pytest.raises(InputError, match=r"is the log of 'drive & <9>' .*; give another file, or delete it"):
            TrackLog(path, name, credit)
    assert path.read_bytes() == before


def test_what_is_no_log_is_refused_and_kept(tmp_path):
    path = tmp_path / "drive.jsonl"
    path.write_text("my diary")
    with pytest.raises(InputError, match="is no trajectory"):
        TrackLog(path, "drive")
    assert path.read_text() == "my diary"


def test_fixes_come_by_rising_time(tmp_path):
    with TrackLog(tmp_path / "drive.jsonl", "drive") as log:
        log.write(DRIVE.fixes[1])
        for fix in DRIVE.fixes[:2]:
            with pytest.raises(ValueError, match="does not come after"):
                log.write(fix)
    with TrackLog(tmp_path / "drive.jsonl", "drive") as log, pytest.raises(ValueError, match="does not come after"):
        log.write(DRIVE.fixes[1])
    assert len(read_trajectory(tmp_path / "drive.jsonl").fixes) == 1


@pytest.mark.parametrize("header", ["", '{"cvlnet_track": 1, "name": "another", "credit": null}\n'])
def test_a_log_without_fixes_is_begun_anew(tmp_path, header):
    path = tmp_path / "drive.jsonl"
    path.write_text(header)
    with TrackLog(path, DRIVE.name, CREDIT) as log:
        assert log.fixes == ()
        log.write(DRIVE.fixes[0])
    assert same(read_trajectory(path), Trajectory(DRIVE.name, DRIVE.fixes[:1], CREDIT))


def test_a_file_that_is_no_log_stays_as_it_is(tmp_path):
    path = tmp_path / "notes.jsonl"
    path.write_text("no newline, no log")
    with pytest.raises(InputError, match="is no trajectory"):
        TrackLog(path, DRIVE.name, CREDIT)
    assert path.read_text() == "no newline, no log"
