"""The page in a browser, with searches of a few seconds. Needs Chromium, playwright and the extra `studio`."""

import base64
import contextlib
import io
import shutil
import signal
import subprocess
import sys
import zipfile
from importlib import resources
from pathlib import Path

import numpy as np
import pytest
from kgrow_device.run import Classifier
from PIL import Image

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
pytest.importorskip("starlette", reason="the extra `studio` is not installed")
pytest.importorskip("uvicorn", reason="the extra `studio` is not installed")
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine"),
    pytest.mark.skipif(sys.platform == "win32", reason="its interrupts are others"),
]
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--use-fake-device-for-media-stream",
    "--use-fake-ui-for-media-stream",
]
CLASSES = ("red", "green", "<script>alert(1)<")
SEARCH_MS = 180_000
DROP = """(target, [name, type, content]) => {
  const bytes = Uint8Array.from(atob(content), (char) => char.charCodeAt(0));
  const dataTransfer = new DataTransfer();
  dataTransfer.items.add(new File([bytes], name, { type }));
  target.dispatchEvent(new DragEvent("drop", { dataTransfer, bubbles: true, cancelable: true }));
}"""


def picture(kind, seed):
    """Returns a PNG of noise, with more of one color."""
    pixels = np.random.default_rng(seed).integers(0, 60, (16, 16, 3), np.uint8)
    pixels[..., kind] += 180
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def zip_of(classes, images=40):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for kind, name in enumerate(classes):
            for number in range(images):
                archive.writestr(f"photos/{name}/{number}.png", picture(kind, 100 * kind + number))
    return file.getvalue()


@contextlib.contextmanager
def studio(runs):
    """Runs a studio and gives its address; it ends as after Ctrl-C."""
    command = [sys.executable, "-m", "kgrow", "studio", "--out", str(runs), "--no-open"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        try:
            process.stderr.readline()
            yield process.stderr.readline().strip()
        finally:
            process.send_signal(signal.SIGINT)
            rest = process.stderr.read()
    assert process.returncode == 0
    assert "Traceback" not in rest


@pytest.fixture(scope="module")
def browser():
    with playwright.sync_playwright() as started:
        opened = started.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield opened
        opened.close()


@contextlib.contextmanager
def page_at(browser, address, **settings):
    """Opens a page; what the console says, but of requests that are refused, fails the test."""
    context = browser.new_context(**settings)
    opened, said = context.new_page(), []
    opened.on("console", lambda message: said.append(message.text))
    opened.on("pageerror", lambda error: said.append(str(error)))
    opened.on("dialog", lambda dialog: said.append("a script of a name ran"))
    opened.goto(address)
    opened.wait_for_selector("main:not([hidden])")
    yield opened
    context.close()
    assert [words for words in said if "Failed to load resource" not in words] == []


def drop(page, target, name, kind, content):
    page.locator(target).evaluate(DROP, [name, kind, base64.b64encode(content).decode()])


def drop_folder(page, target, path):
    """Drops a folder as the desktop does; scripts cannot."""
    box, session = page.locator(target).bounding_box(), page.context.new_cdp_session(page)
    data = {"items": [], "files": [str(path)], "dragOperationsMask": 1}
    for kind in ("dragEnter", "dragOver", "drop"):
        place = {"x": box["x"] + 50, "y": box["y"] + 50}
        session.send("Input.dispatchDragEvent", {"type": kind, **place, "data": data})


def start(page, seconds=""):
    page.fill("#amount", seconds)
    page.select_option("#unit", "s")
    page.click("#start")
    page.wait_for_selector("#live:not([hidden])")


def epoch_of(page):
    """Waits for the end of an epoch."""
    until(page, "#epoch", lambda words: words[:1] in set("123456789"))


def until(page, selector, is_so):
    """Waits until a text is as it should be; the page runs no script of a test's that would wait in it."""
    for _ in range(SEARCH_MS // 100):
        words = page.locator(selector).text_content()
        if is_so(words):
            return
        page.wait_for_timeout(100)
    pytest.fail(f"{selector} is {words!r}")


def axe(page):
    page.add_script_tag(content=(resources.files("axe_playwright_python") / "axe.min.js").read_text(encoding="utf-8"))
    found = page.evaluate("axe.run({ iframes: false }).then((result) => result.violations)")
    return [(each["id"], each["nodes"][0]["html"]) for each in found if each["impact"] in ("serious", "critical")]


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return tmp_path_factory.mktemp("studio")


@pytest.fixture(scope="module")
def found(browser, place):
    """The directory of a run that was begun with a zip, and the page's words while it ran."""
    words = {}
    with studio(place / "runs") as address, page_at(browser, address) as page:
        drop(page, "#drop", "photos.zip", "application/zip", zip_of(CLASSES))
        page.wait_for_selector("#classes li")
        words["classes"] = page.locator("#classes").inner_text()
        page.select_option("#device", "rp2040")
        start(page, "10")
        epoch_of(page)
        for name in ("trial", "epoch", "best", "left", "command", "status"):
            words[name] = page.locator(f"#{name}").inner_text()
        page.wait_for_selector("#report iframe:not(.coming)", timeout=SEARCH_MS)
        words["report"] = page.frames[-1].locator("h1").inner_text()
        page.wait_for_selector("#try:not([hidden])", timeout=SEARCH_MS)
        words["answer"] = page.locator("#answer").inner_text()
    return place / "runs" / "photos", words


@pytest.fixture(scope="module")
def address(found):
    with studio(found[0].parent) as opened:
        yield opened


def test_a_dropped_zip_is_searched_and_the_page_says_how_it_goes(found):
    run, words = found
    assert "120 files in 3 folders" in words["classes"]
    assert "<script>alert(1)< 40" in words["classes"]
    assert words["trial"] == "1 of 4"
    assert words["best"].endswith("%")
    assert words["left"].startswith(("about", "at most", "at least"))
    options = f"--out {run} --device rp2040 --max-time 10s"
    assert words["command"] == f"kgrow search {run.parent / '_uploads' / 'photos'} {options}"
    assert words["report"].startswith("photos")
    assert "of the test images in" in words["answer"]


def test_the_network_answers_pictures_and_the_camera(browser, address, found, tmp_path):
    classifier = Classifier(found[0])
    with page_at(browser, f"{address}#run=photos") as page:
        for kind in range(len(CLASSES)):
            (tmp_path / "picture.png").write_bytes(picture(kind, 1000))
            label = classifier(classifier.read(tmp_path / "picture.png")).label
            drop(page, "#picture-drop", "picture", "image/png", picture(kind, 1000))
            until(page, "#said", lambda words, label=label: words == label)
            assert page.locator("#labels li").count() == 3
        drop(page, "#picture-drop", "picture.png", "image/png", b"no picture")
        page.wait_for_selector("#try-problem:not([hidden])")
        assert "The picture must be an image" in page.locator("#try-problem").inner_text()
        page.click("#camera")
        until(page, "#said", bool)
        assert page.locator("#video").is_visible()
        assert not page.locator("#try-problem").is_visible()
        page.click("#camera")
        assert not page.locator("#video").is_visible()


def test_the_zip_runs_elsewhere(browser, address, tmp_path):
    with page_at(browser, f"{address}#run=photos") as page:
        with page.expect_download() as download:
            page.click("#bundle")
        assert download.value.suggested_filename == "photos.zip"
        with zipfile.ZipFile(download.value.path()) as archive:
            archive.extractall(tmp_path)
    (tmp_path / "green.png").write_bytes(picture(1, 1000))
    command = [sys.executable, str(tmp_path / "photos" / "run.py"), str(tmp_path / "green.png")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert any(f"green.png: {name} (" in done.stdout for name in CLASSES)


def test_the_report_is_shown_and_cannot_reach_the_studio(browser, address):
    with page_at(browser, f"{address}#run=photos") as page:
        page.wait_for_selector("#report iframe:not(.coming)")
        frame = page.frames[-1]
        assert frame.evaluate("origin") == "null"
        assert frame.locator(".chart canvas").count() >= 3


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("view", ["", "#run=photos"])
def test_axe_finds_no_serious_fault(browser, address, theme, view):
    with page_at(browser, address + view, color_scheme=theme, bypass_csp=True) as page:
        page.wait_for_timeout(500)
        assert axe(page) == []


@pytest.mark.parametrize("width", [320, 390, 1100])
@pytest.mark.parametrize("view", ["", "#run=photos"])
def test_nothing_is_wider_than_the_screen(browser, address, width, view):
    with page_at(browser, address + view, viewport={"width": width, "height": 800}) as page:
        page.wait_for_timeout(500)
        assert page.evaluate("document.documentElement.scrollWidth") <= width


@pytest.mark.parametrize("is_dropped", [True, False])
def test_a_folder_is_sent_as_it_is(browser, address, tmp_path, is_dropped):
    contents = {f"{name}/{number}.png": picture(0, number) for name in ("cats", "dögs") for number in range(60)}
    for name, content in contents.items():
        (tmp_path / "pets" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "pets" / name).write_bytes(content)
    (tmp_path / "pets" / ".hidden").touch()
    with page_at(browser, address) as page:
        if is_dropped:
            drop_folder(page, "#drop", tmp_path / "pets")
        else:
            page.set_input_files("#folder", str(tmp_path / "pets"))
        page.wait_for_selector("#classes li")
        sent = Path(page.input_value("#data"))
    assert {path.relative_to(sent).as_posix(): path.read_bytes() for path in sent.rglob("*.*")} == contents


def test_what_kgrow_says_of_a_folder_is_shown(browser, address, tmp_path):
    (tmp_path / "pets" / "cats").mkdir(parents=True)
    for number in range(20):
        (tmp_path / "pets" / "cats" / f"{number}.png").write_bytes(picture(0, number))
    with page_at(browser, address) as page:
        page.fill("#data", str(tmp_path / "pets"))
        start(page, "5")
        page.wait_for_selector("#run-problem:not([hidden])", timeout=SEARCH_MS)
        assert "class" in page.locator("#run-problem").inner_text()
        assert "Traceback" not in page.locator("#run-problem").inner_text()


def test_refused_zip_and_wrong_names_are_said_on_the_form(browser, address):
    with page_at(browser, address) as page:
        file = io.BytesIO()
        with zipfile.ZipFile(file, "w") as archive:
            archive.writestr("../1.png", b"pixels")
        drop(page, "#drop", "photos.zip", "application/zip", file.getvalue())
        page.wait_for_selector("#new-problem:not([hidden])")
        assert "'../1.png' leads out of it" in page.locator("#new-problem").inner_text()
        page.focus("#data")
        page.keyboard.type("digitz")
        page.keyboard.press("Enter")
        until(page, "#new-problem", lambda words: "Nearest names: digits" in words)


def test_stop_keeps_the_best_network_so_far(browser, tmp_path):
    with studio(tmp_path / "runs") as address, page_at(browser, address) as page:
        page.fill("#data", "digits")
        start(page)
        epoch_of(page)
        page.click("#stop")
        page.wait_for_selector("#take:not([hidden])", timeout=SEARCH_MS)
        assert "ended before all its trials" in page.locator("#note").inner_text()
        page.wait_for_selector("#report iframe:not(.coming)")
        assert (tmp_path / "runs" / "digits" / "result.json").exists()


def test_a_search_that_the_studio_took_with_it_goes_on(browser, tmp_path):
    with studio(tmp_path / "runs") as address, page_at(browser, address) as page:
        page.fill("#data", "digits")
        start(page)
        epoch_of(page)
    with studio(tmp_path / "runs") as address, page_at(browser, address) as page:
        page.click("#runs a")
        page.click("#again")
        page.wait_for_selector("#live:not([hidden])")
        assert "--config" in page.locator("#command").inner_text()
        epoch_of(page)
        assert page.locator("#trial").inner_text() == "1 of 4"
        page.click("#stop")
        page.wait_for_selector("#take:not([hidden])", timeout=SEARCH_MS)
