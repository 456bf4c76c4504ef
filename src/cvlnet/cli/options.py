"""What commands share: configurations as panels of options, checks of values, files of settings."""

from __future__ import annotations

from dataclasses import dataclass
from inspect import cleandoc
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_args

from cyclopts import UNSET, App, ArgumentCollection, CycloptsError, Group, Parameter
from cyclopts.config import Toml
from cyclopts.validators import Number

from cvlnet.config import MOST_PITCH_ERROR_DEG, ModelConfig, TrainConfig
from cvlnet.errors import InputError

if TYPE_CHECKING:
    from cvlnet.localize.turned import Heading

AtLeastOne = Parameter(validator=Number(gte=1))
NotNegative = Parameter(validator=Number(gte=0))
Metres = Parameter(validator=Number(gt=0, lt=inf))
PitchError = Parameter(validator=Number(gte=0, lte=MOST_PITCH_ERROR_DEG))
Share = Parameter(validator=Number(gt=0, lt=1))
FramesOfClip = Parameter(validator=Number(gte=1, lte=16))


def panel(title: str, configuration: type) -> Parameter:
    """A configuration's attributes as options, in a panel below the first line of its docstring."""
    return Parameter(name="*", group=Group(title, help=cleandoc(configuration.__doc__ or "").partition("\n")[0]))


@dataclass(frozen=True)
class Resources:
    """Device, processes and cache of a command.

    Attributes:
        device: Device to compute on: cpu or cuda.
        workers: Number of processes that read pictures.
        cache: Folder that keeps decoded pictures.

    """

    device: str = "cpu"
    workers: Annotated[int, NotNegative] = 1
    cache: Path | None = None

    def usable_device(self) -> str:
        """The name of the device. Raises InputError if there is none of that name on this machine."""
        from cvlnet.model.device import named_device

        return str(named_device(self.device))


ModelOptions = Annotated[ModelConfig, panel("Model", ModelConfig)]
TrainOptions = Annotated[TrainConfig, panel("Training", TrainConfig)]
ResourceOptions = Annotated[Resources, panel("Resources", Resources)]


def heading_of(text: str | None) -> Heading:
    """What ``--heading`` says. Raises InputError if it says nothing of a heading."""
    from cvlnet.localize.turned import Heading

    try:
        return Heading() if text is None else Heading.parse(text)
    except ValueError as error:
        raise InputError(str(error), where="--heading", remedy='give "unknown", "±20" or "90±20"') from error


def default_text(value: Any) -> str | None:
    """How help shows a default value; None if there is nothing to show."""
    if value is None or value == ():
        return None
    if isinstance(value, bool):
        return "yes" if value else "no"
    return " ".join(map(str, value)) if isinstance(value, tuple) else str(value)


def whole_numbers(app: App, commands: tuple[str, ...], arguments: ArgumentCollection) -> None:
    """Refuse fractions where an option takes whole numbers, which Cyclopts would round. Raises InputError."""
    del app, commands
    for argument in arguments:
        if int in (argument.hint, *get_args(argument.hint)) and float not in get_args(argument.hint):
            for token in argument.tokens:
                if token.implicit_value is UNSET and _is_fraction(token.value):
                    remedy = "give a whole number"
                    raise InputError(f"{token.value} is not a whole number", where=argument.name, remedy=remedy)


def _is_fraction(text: str) -> bool:
    try:
        return not float(text).is_integer()
    except ValueError:
        return False


def settings_file(app: App, commands: tuple[str, ...], arguments: ArgumentCollection) -> None:
    """Read options that the command line does not give from the TOML file of ``--config``. Raises InputError."""
    for argument in arguments:
        if argument.name == "--config" and argument.tokens:
            path = Path(argument.tokens[0].value)
            file = Toml(path, must_exist=True, search_parents=False, use_commands_as_keys=False)
            try:
                path.read_bytes()  # where that fails, cyclopts fails with an error of its own
                file(app, commands, arguments)
            except (OSError, CycloptsError) as error:
                remedy = "give a TOML file of options, such as steps = 4000"
                raise InputError(f"cannot be used ({error})", where=path, remedy=remedy) from error
