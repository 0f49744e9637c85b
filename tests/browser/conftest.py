"""One Chromium and one sojourn for the tests of this folder, a browser profile for each.

Both last as long as the folder's tests: Playwright's loop is not left in a process that goes on to run Trio.
"""

from collections.abc import Iterator

import pytest

from tests.tools import missing, need

FLAGS = (
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    # Chromium's own errands would be refused by a closed network, many at a time.
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


@pytest.fixture(scope="package")
def chromium() -> Iterator[object]:
    """Headless Chromium, the system's own: Playwright brings none."""
    program = need("chromium", "apt-get install chromium")
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        missing("playwright is not installed: scripts/install dev")
    from tests.browser.site import RESOLVER

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=program,
            # Its own sandbox needs more rights than a container gives; what it opens is ours.
            chromium_sandbox=False,
            args=[*FLAGS, f"--host-resolver-rules={RESOLVER}"],
        )
        yield browser
        browser.close()


@pytest.fixture(scope="package")
def world(chromium, tmp_path_factory):
    """The servers."""
    from tests.browser import site

    with site.world(tmp_path_factory.mktemp("world")) as found:
        yield found


@pytest.fixture
def visitor(chromium, world):
    """A new browser profile. A script error on its pages, whoever's, fails the test."""
    from tests.browser.site import Visitor

    context = chromium.new_context()
    page = context.new_page()
    page.set_default_timeout(15_000)
    errors: list[str] = []
    context.on("weberror", lambda error: errors.append(str(error.error)))
    yield Visitor(world, page)
    context.close()
    assert errors == []
