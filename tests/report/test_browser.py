"""The report in a browser, with the network off. Needs Chromium and playwright; `.ci/run` installs both."""

import shutil
from importlib import resources

import pytest

import kgrow

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine"),
]
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    folder = tmp_path_factory.mktemp("browser")
    limits = {"flash_bytes": "64KB"}
    result = kgrow.search("digits", trials=4, epochs=6, limits=limits, directory=folder, project_name="run", verbose=0)
    result.report(folder / "report.html")
    return folder / "report.html"


@pytest.fixture(scope="module")
def browser():
    with playwright.sync_playwright() as started:
        opened = started.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield opened
        opened.close()


@pytest.fixture
def page(browser, report, tmp_path):
    """The report without a network; whatever the console says fails the test."""
    context = browser.new_context(viewport={"width": 1100, "height": 900}, offline=True, color_scheme="light")
    opened, said = context.new_page(), []
    opened.on("console", lambda message: said.append(message.text))
    opened.on("pageerror", lambda error: said.append(str(error)))
    opened.goto(report.as_uri())
    yield opened
    opened.screenshot(path=tmp_path / "report.png", full_page=True)
    context.close()
    assert said == []


def test_charts_are_drawn(page):
    assert page.locator(".chart canvas").count() == 4
    drawn = page.evaluate(
        """() => [...document.querySelectorAll(".chart canvas")].map((canvas) => {
             const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
             const colors = new Set();
             for (let i = 0; i < data.length; i += 4) if (data[i + 3] > 200) colors.add(data.slice(i, i + 3).join());
             return colors.size;
           })"""
    )
    assert min(drawn) > 10


def test_slider_tells_the_cost_of_its_threshold(page):
    slider, told = page.locator("#threshold"), page.locator("#exit")
    before = told.text_content()
    slider.focus()
    page.keyboard.press("Home")
    first = told.text_content()
    page.keyboard.press("End")
    assert before.startswith("0.9:")
    assert first.startswith("0:")
    assert "0 leave at head 2" in first.replace("\u00a0", " ")
    assert told.text_content().startswith("1:")


def test_candidates_tell_their_figures_where_one_points(page):
    details, over = page.locator("#candidate"), page.locator('[data-chart="candidates"] .u-over')
    assert "(chosen)" in details.text_content()
    box = over.bounding_box()
    told = set()
    for share in (0.02, 0.98):
        page.mouse.move(box["x"] + share * box["width"], box["y"] + box["height"] / 2)
        page.wait_for_timeout(100)
        told.add(details.text_content())
    assert len(told) == 2
    assert all("validation" in words and "bytes" in words for words in told)
    page.mouse.move(box["x"] + 0.02 * box["width"], box["y"] + box["height"] / 2)
    page.mouse.click(box["x"] + 0.02 * box["width"], box["y"] + box["height"] / 2)
    kept = details.text_content()
    assert kept in told
    page.mouse.move(box["x"] + 0.98 * box["width"], box["y"] + box["height"] / 2)
    page.wait_for_timeout(100)
    assert details.text_content() == kept


def test_theme_switches_and_charts_with_it(page):
    def ground():
        return page.evaluate("getComputedStyle(document.body).backgroundColor")

    before = ground()
    page.locator("#theme").click()
    assert ground() != before
    assert page.locator(".chart canvas").count() == 4
    page.locator("#theme").click()
    assert ground() == before


@pytest.mark.parametrize("width", [320, 390, 1100])
def test_nothing_is_wider_than_the_screen(page, width):
    page.set_viewport_size({"width": width, "height": 800})
    page.wait_for_timeout(200)
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_it_prints(page):
    page.emulate_media(media="print")
    assert not page.locator("#threshold").is_visible()
    assert page.locator("h1").is_visible()


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_finds_no_serious_fault(browser, report, theme):
    context = browser.new_context(color_scheme=theme, bypass_csp=True)
    page = context.new_page()
    page.goto(report.as_uri())
    page.add_script_tag(content=(resources.files("axe_playwright_python") / "axe.min.js").read_text(encoding="utf-8"))
    found = page.evaluate("axe.run().then((result) => result.violations)")
    context.close()
    assert [(each["id"], each["nodes"][0]["html"]) for each in found if each["impact"] in ("serious", "critical")] == []
