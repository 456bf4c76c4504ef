from dataclasses import dataclass
from typing import Annotated

import pytest
from cyclopts import App

from cvlnet.cli import run
from cvlnet.cli.options import default_text, panel, whole_numbers
from cvlnet.config import ModelConfig, TrainConfig
from cvlnet.errors import InputError


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, None), ((), None), (True, "yes"), (False, "no"), ((2, 3), "2 3"), ((0.0, 1.5), "0.0 1.5"), (0, "0")],
)
def test_defaults_are_shown_as_they_are_typed(value, text):
    assert default_text(value) == text


@dataclass(frozen=True)
class Numbers:
    """Some numbers.

    Attributes:
        count: A whole number.
        perhaps: A whole number or none.
        several: Whole numbers.
        metres: Any number.

    """

    count: int = 1
    perhaps: int | None = None
    several: tuple[int, ...] = ()
    metres: float = 1.0


def numbers(tokens):
    """The configuration that options give."""
    app = App(config=(whole_numbers,))

    @app.default
    def command(*, given: Annotated[Numbers, panel("Numbers", Numbers)] = Numbers()):
        return given

    _, bound, _ = app.parse_args(tokens, print_error=False, exit_on_error=False)
    return bound.arguments.get("given", Numbers())


def test_attributes_of_a_configuration_are_options():
    given = numbers(["--count", "2", "--perhaps", "3", "--several", "4", "--several", "5", "--metres", "1.5"])
    assert given == Numbers(2, 3, (4, 5), 1.5)


def test_a_whole_number_may_be_written_as_a_decimal():
    assert numbers(["--count", "2.0"]) == Numbers(count=2)


@pytest.mark.parametrize("option", ["--count", "--perhaps", "--several"])
@pytest.mark.parametrize("value", ["1.5", "inf", "nan"])
def test_fractions_are_refused_where_whole_numbers_are_meant(option, value):
    with pytest.raises(InputError, match=f"{option}: {value} is not a whole number"):
        numbers([option, value])


def test_settings_come_from_a_file_unless_they_are_given(trained, tmp_path):
    file = tmp_path / "settings.toml"
    file.write_text('steps = 11\nbatch-size = 2\nneighbours = 0\nbackbone = "vgg16"\n')
    assert run(["train", "a", "--out", "o", "--config", str(file), "--steps", "7"]) == 0
    [(model, training, _)] = trained
    assert model == ModelConfig(backbone="vgg16")
    assert training == TrainConfig(steps=7, batch_size=2, neighbours=0)


@pytest.mark.parametrize("text", ["stepz = 3\n", "steps = = 3\n", None])
def test_settings_file_that_cannot_be_used_is_told(trained, tmp_path, capsys, text):
    file = tmp_path / "settings.toml"
    if text is not None:
        file.write_text(text)
    assert run(["train", "a", "--out", "o", "--config", str(file)]) == 2
    assert "settings.toml" in capsys.readouterr().err
    assert trained == []


def test_fractions_in_a_settings_file_are_refused(trained, tmp_path, capsys):
    file = tmp_path / "settings.toml"
    file.write_text("steps = 2.5\n")
    assert run(["train", "a", "--out", "o", "--config", str(file)]) == 2
    assert "2.5 is not a whole number" in capsys.readouterr().err
    assert trained == []
