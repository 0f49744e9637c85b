"""Python callables: how one is found, what it is given, what it may give back.

    def analyze(activity: dict, properties: dict) -> dict

It gets the activity as public JSON, decoded, documented fields that are absent as None, and its analyzer's properties
by technical name. It returns the activity, the same object or another one, or `{"status": "drop"}` to drop it. One that
takes a single argument gets the activity alone. Whatever it raises is a failure, and so is any other value: a forgotten
`return` must not drop what people sent. A number that Python has no value for (`1e400`) is its text, and where that
comes back it is the number again.
"""

import importlib
import importlib.util
import sys
from typing import TYPE_CHECKING, Any, Final

from engine.actors.analysts.child import load, wants_properties
from engine.definitions.declared.analyzers import Analyzer
from engine.definitions.defined import Defined
from engine.errors import CallerError
from engine.model.wire import decode_values, encode
from engine.pipeline.stage import Answer

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

DROP: Final = {"status": "drop"}


def properties_of(analyzer: Analyzer) -> dict[str, Any]:
    """By technical name: of a STRING, INT, DOUBLE or BOOLEAN its value, of others the object that holds it."""
    return {one.technical_name: one.value.get("value", one.value) for one in analyzer.properties}


def check_callables(defined: Defined) -> None:
    """Refuse fast callables that cannot be imported, and others whose module is not there. Blocks.

    Those are imported in their own processes alone, which find out whether the function is there.

    Raises:
        CallerError: `bad_definition`, with the path of the analyzer.
    """
    importlib.invalidate_caches()  # A module may have been put there a moment ago.
    for index, one in enumerate(defined.analyzers):
        if one.callable and not one.fast and not _is_there(module := one.callable.partition(":")[0]):
            path = f"analyzers[{index}].callable"
            raise CallerError(f"there is no module {module}", code="bad_definition", path=path)
        if one.fast:
            try:
                load(one.callable)
            except (Exception, SystemExit) as error:
                path = f"analyzers[{index}].callable"
                raise CallerError(f"cannot import it: {error!r}", code="bad_definition", path=path) from None


def _is_there(module: str) -> bool:
    """Whether a module can be found; nothing of it is imported, its packages are not, either."""
    if module in sys.modules:
        return True
    first, *rest = module.split(".")
    try:
        spec = importlib.util.find_spec(first)
    except ValueError:
        return True  # It runs already, and does not say where it comes from.
    name = first
    for part in rest:
        name = f"{name}.{part}"
        if spec is None or spec.submodule_search_locations is None:
            return False
        places = list(spec.submodule_search_locations)
        spec = next((found for one in sys.meta_path if (found := one.find_spec(name, places))), None)
    return spec is not None


def look_in(folders: "Sequence[str]") -> None:
    """From now on, callables are looked for in these folders first; other processes get the same path."""
    sys.path[:0] = [one for one in folders if one not in sys.path]


class FastCallable:
    """A callable that runs in the loop itself.

    Args:
        analyzer: whose it is. What cannot be imported fails at each question.
    """

    def __init__(self, analyzer: Analyzer) -> None:
        self._error = ""
        self._function: Callable[..., object] | None = None
        self._more: tuple[Mapping[str, Any], ...] = ()
        try:
            self._function = load(analyzer.callable)
        except (Exception, SystemExit) as error:
            self._error = f"cannot import {analyzer.callable}: {error!r}"
        else:
            self._more = (properties_of(analyzer),) if wants_properties(self._function) else ()

    def answer(self, activity: bytes) -> Answer:
        """What it says of an activity, public JSON."""
        if self._function is None:
            return Answer("failed", reason=self._error)
        try:
            returned = self._function(decode_values(activity), *self._more)
            if returned == DROP:
                return Answer("drop")
            if not isinstance(returned, dict):
                reason = f"it returned {type(returned).__name__}, and no activity: a drop is {DROP}"
                return Answer("failed", reason=reason)
            return Answer("ok", encode(returned))
        except (Exception, SystemExit) as error:
            return Answer("failed", reason=repr(error))
