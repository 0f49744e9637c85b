"""What tests of applying share: small definitions, visits, and what holds in an engine."""

import pytest

from engine.errors import BadDefinition
from tests.definitions.files import small
from tests.engines import (
    dump,
)


def defined(engine, datamart=1):
    return engine._definitions.program_of(datamart).defined


def goals(*names, **fields):
    return small(goal=[{"id": name, **fields} for name in names])


def visit(number, *, site="1", user="vec:1", **properties):
    base = {"$type": "SITE_VISIT", "$session_status": "NO_SESSION", "$site_id": site, "$user_agent_id": user}
    return dump(base | {"$events": [{"$event_name": "seen", "$properties": {"n": number, **properties}}]})


async def refused(engine, source) -> dict[str, str]:
    with pytest.raises(BadDefinition) as fault:
        await engine.apply(source)
    return dict(fault.value.faults)
