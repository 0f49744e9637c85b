"""`sojourn config`: every setting there is."""

import os
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from engine import definitions_reference, load_settings, settings_reference
from gateway.commands.options import Config


def config(
    *,
    data: Annotated[Path | None, Parameter(name="--data", metavar="DIR", help="Directory of the store.")] = None,
    config: Config = None,
    definitions: Annotated[
        bool, Parameter(negative="", show_default=False, help="Print what a file of definitions may say instead.")
    ] = False,
) -> int:
    """Print every setting with its default and its reason, as a TOML file to start from.

    With --config FILE the settings are checked instead, as a server would read them: the file, the environment, and
    the directory. Nothing is printed when they are good.

    With --definitions every table and key is printed that a file for `sojourn apply` may have.

    **Examples**

        sojourn config > sojourn.toml
        sojourn config --definitions > shop.toml
        sojourn config --config sojourn.toml --data ./data
    """
    if definitions:
        print(definitions_reference(), end="")
        return 0
    if config is None and data is None:
        print(settings_reference(), end="")
        return 0
    load_settings(config, os.environ, {} if data is None else {"storage.data_dir": str(data)})
    return 0
