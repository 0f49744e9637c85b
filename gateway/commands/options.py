"""Options that several commands share."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

Data = Annotated[Path, Parameter(name="--data", help="Directory of the store.")]
Datamart = Annotated[int, Parameter(name="--datamart", help="Datamart whose users are meant.")]
Json = Annotated[bool, Parameter(name="--json", negative="", help="Print JSON for scripts instead of a table.")]
