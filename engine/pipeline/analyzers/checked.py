"""What can be said of an analyzer before it is ever called."""

import re
from urllib.parse import urlsplit

from engine.definitions.declared.analyzers import Analyzer
from engine.errors import CallerError
from engine.model.host import is_host

_CALLABLE = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*(\.[A-Za-z_]\w*)*", re.ASCII)


def check_analyzer(analyzer: Analyzer, path: str) -> None:
    """Refuse what cannot work.

    Args:
        analyzer: as it is declared.
        path: where that is, for the error.

    Raises:
        CallerError: `bad_definition`.
    """
    if bool(analyzer.callable) == bool(analyzer.url):
        raise _bad("either `callable` or `url` is needed", path)
    if analyzer.callable and not _CALLABLE.fullmatch(analyzer.callable):
        raise _bad(f"{analyzer.callable!r} is not `package.module:function`", f"{path}.callable")
    if analyzer.url:
        _check_url(analyzer.url, f"{path}.url")
        if analyzer.fast:
            raise _bad("only a callable can be fast", f"{path}.fast")
    if bool(analyzer.worker_id) != bool(analyzer.token):
        raise _bad("`worker_id` and `token` go together", f"{path}.token")
    names: set[str] = set()
    for at, one in enumerate(analyzer.properties):
        if one.technical_name in names:
            raise _bad(f"two are named {one.technical_name}", f"{path}.property[{at}].technical_name")
        names.add(one.technical_name)


def _check_url(url: str, path: str) -> None:
    if "@" in url.partition("//")[2].partition("/")[0]:
        raise _bad("an address has no user and no password", path)  # Nor is it told.
    try:
        parts = urlsplit(url)
        is_good = parts.scheme in ("http", "https") and is_host(parts.hostname or "") and parts.port != 0
    except ValueError as error:
        raise _bad(f"{url!r} is no address: {error}", path) from None
    if not is_good or not url.isascii() or not url.isprintable() or " " in url:
        raise _bad(f"{url!r} is no address such as http://localhost:8080", path)
    if parts.query or parts.fragment:
        raise _bad("a base address has no query and no fragment", path)


def _bad(message: str, path: str) -> CallerError:
    return CallerError(message, code="bad_definition", path=path)
