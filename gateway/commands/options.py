"""Options that several commands share."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

Data = Annotated[Path, Parameter(name="--data", metavar="DIR", help="Directory of the store.")]
Datamart = Annotated[int, Parameter(name="--datamart", metavar="ID", help="Datamart whose users are meant.")]
Limit = Annotated[int, Parameter(name="--limit", metavar="N", help="How many, at most.")]
Config = Annotated[Path | None, Parameter(name="--config", metavar="FILE", help="A TOML file with settings.")]
Json = Annotated[bool, Parameter(name="--json", negative="", show_default=False, help="Print JSON, for scripts.")]
