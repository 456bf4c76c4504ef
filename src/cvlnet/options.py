"""How configurations become options of a command, and how a file gives them."""

from __future__ import annotations

from inspect import cleandoc
from pathlib import Path
from typing import get_args

from cyclopts import UNSET, App, ArgumentCollection, CycloptsError, Group
from cyclopts.config import Toml

from cvlnet.errors import InputError


def options_of(title: str, configuration: type) -> Group:
    """A panel of options, with the first line of what the configuration says of itself; its attributes say the rest."""
    return Group(title, help=cleandoc(configuration.__doc__ or "").partition("\n")[0])


def whole_numbers(app: App, commands: tuple[str, ...], arguments: ArgumentCollection) -> None:
    """Refuse fractions where an option takes whole numbers, which Cyclopts would round."""
    del app, commands
    for argument in arguments:
        if int in (argument.hint, *get_args(argument.hint)) and float not in get_args(argument.hint):
            for token in argument.tokens:
                if token.implicit_value is UNSET and _is_fraction(token.value):
                    fault, remedy = f"{token.value} is not a whole number", "give one"
                    raise InputError(fault, where=argument.name, remedy=remedy)


def _is_fraction(text: str) -> bool:
    try:
        return not float(text).is_integer()
    except ValueError:
        return False


def settings_file(app: App, commands: tuple[str, ...], arguments: ArgumentCollection) -> None:
    """Take options that are not given from the TOML file of ``--config``."""
    for argument in arguments:
        if argument.name == "--config" and argument.tokens:
            path = Path(argument.tokens[0].value)
            file = Toml(path, must_exist=True, search_parents=False, use_commands_as_keys=False)
            try:
                file(app, commands, arguments)
            except (OSError, CycloptsError) as error:
                remedy = "give a TOML file of options, such as steps = 4000"
                raise InputError(f"cannot be used ({error})", where=path, remedy=remedy) from error
