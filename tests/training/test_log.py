import json
from contextlib import closing

import pytest

from cvlnet.errors import InputError
from cvlnet.training.log import LOG, Journal

LINES = [
    {"step": 1, "retrieval": 2.0},
    {"step": 2, "retrieval": 1.5},
    {"step": 2, "score": 0.5},
    {"step": 3, "retrieval": 1.0},
]


def write(out, *lines):
    (out / LOG).write_text("".join(lines))


def read(out):
    return [json.loads(line) for line in (out / LOG).read_text().splitlines()]


def test_values_are_added_a_line_each(tmp_path):
    with closing(Journal(tmp_path / "run", 0)) as journal:
        journal.write(1, {"retrieval": 2.0})
        journal.write(1, {})
        journal.write(2, {"retrieval": 1.5, "score": 0.5})
    assert read(tmp_path / "run") == [{"step": 1, "retrieval": 2.0}, {"step": 2, "retrieval": 1.5, "score": 0.5}]


@pytest.mark.parametrize(("step", "kept"), [(0, 0), (1, 1), (2, 3), (3, 4)])
def test_what_came_after_the_step_is_dropped(tmp_path, step, kept):
    write(tmp_path, *(json.dumps(line) + "\n" for line in LINES))
    with closing(Journal(tmp_path, step)) as journal:
        journal.write(step + 1, {"retrieval": 0.0})
    assert read(tmp_path) == [*LINES[:kept], {"step": step + 1, "retrieval": 0.0}]


@pytest.mark.parametrize("length", range(1, 28))
def test_a_half_written_last_line_is_dropped_and_written_again(tmp_path, length):
    """As a killed process leaves it, cut anywhere; only the line break may be missing from a whole one."""
    whole = [json.dumps(line) for line in LINES]
    write(tmp_path, "\n".join(whole[:3]) + "\n", whole[3][:length])
    with closing(Journal(tmp_path, 2)) as journal:
        journal.write(3, {"retrieval": 1.0})
    assert read(tmp_path) == LINES


def test_a_last_line_without_its_break_is_whole(tmp_path):
    write(tmp_path, "\n".join(json.dumps(line) for line in LINES))
    Journal(tmp_path, 3).close()
    assert read(tmp_path) == LINES


def test_tensorboard_s_events_are_whole_once_the_journal_is_closed(tmp_path):
    events = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    with closing(Journal(tmp_path, 0)) as journal:
        journal.write(1, {"retrieval": 2.0})
        journal.write(2, {"retrieval": 1.5})
    found = events.EventAccumulator(str(tmp_path))
    found.Reload()
    assert [(event.step, event.value) for event in found.Scalars("retrieval")] == [(1, 2.0), (2, 1.5)]


def test_a_broken_line_before_the_last_is_reported(tmp_path):
    write(tmp_path, json.dumps(LINES[0]) + "\n", '{"step": 2, "retr\n', json.dumps(LINES[3]) + "\n")
    with pytest.raises(InputError) as error:
        Journal(tmp_path, 3)
    assert str(error.value) == (
        f"{tmp_path / LOG}: line 2 is no entry of a training's log; "
        "correct or delete the line, or choose another folder"
    )
