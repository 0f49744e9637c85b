"""Tools that some tests need beside Python: a missing one skips them, or fails where everything must run.

`.ci/run` installs them and sets `SOJOURN_REQUIRE_ALL=1`; on a developer's machine they may be missing.
"""

import os
import shutil
from typing import NoReturn

import pytest


def need(program: str, how: str) -> str:
    """The path of a program.

    Args:
        program: its name, or its path.
        how: how to get it, for who reads why a test was skipped.
    """
    return shutil.which(program) or missing(f"{program} is not installed: {how}")


def missing(reason: str) -> NoReturn:
    """Skip this test, or fail it where everything must run."""
    if os.environ.get("SOJOURN_REQUIRE_ALL") == "1":
        pytest.fail(f"{reason} (SOJOURN_REQUIRE_ALL=1)")
    pytest.skip(reason)
