"""How configurations become options of a command, and how a file gives them."""

from __future__ import annotations

from inspect import cleandoc
from pathlib import Path

from cyclopts import App, ArgumentCollection, CycloptsError, Group
from cyclopts.config import Toml

from cvlnet.errors import InputError


def options_of(title: str, configuration: type) -> Group:
    """A panel of options, with the first line of what the configuration says of itself; its attributes say the rest."""
    return Group(title, help=cleandoc(configuration.__doc__ or "").partition("\n")[0])


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
