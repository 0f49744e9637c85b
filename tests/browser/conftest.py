"""One Chromium and one sojourn for the tests of this folder, a browser profile for each test.

Both last as long as the folder's tests: Playwright's loop is not left in a process that goes on to run Trio.
"""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, sync_playwright

from tests.browser import site
from tests.tools import need

FLAGS = (
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    # Chromium's own errands would be refused by a closed network, many at a time.
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    f"--host-resolver-rules={site.RESOLVER}",
)


@pytest.fixture(scope="package")
def chromium() -> Iterator[Browser]:
    """Headless Chromium, the system's own: Playwright brings none."""
    program = need("chromium", "apt-get install chromium")
    with sync_playwright() as playwright:
        # Its own sandbox needs more rights than a container gives; the pages that it opens are ours.
        browser = playwright.chromium.launch(executable_path=program, chromium_sandbox=False, args=[*FLAGS])
        yield browser
        browser.close()


@pytest.fixture(scope="package")
def world(chromium: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[site.World]:
    """The servers."""
    with site.world(tmp_path_factory.mktemp("world")) as found:
        yield found


@pytest.fixture
def visitor(chromium: Browser, world: site.World) -> Iterator[site.Visitor]:
    """A new browser profile. A script error on its pages, whoever's, fails the test."""
    context = chromium.new_context()
    errors: list[str] = []
    context.on("weberror", lambda error: errors.append(str(error.error)))
    page = context.new_page()
    page.set_default_timeout(15_000)
    yield site.Visitor(world, page)
    context.close()
    assert errors == []
