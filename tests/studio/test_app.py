"""The server, asked over a socket as a browser, or whoever is not the page, would."""

import http.client
import io
import json
import socket
import threading
import time
import zipfile

import pytest

from kgrow.run import RESULT, SETTINGS, SOURCE

pytest.importorskip("starlette", reason="the extra `studio` is not installed")
uvicorn = pytest.importorskip("uvicorn", reason="the extra `studio` is not installed")

TOKEN = "a-token"


class Server:
    """A studio on a port of its own."""

    def __init__(self, runs):
        from kgrow.studio.app import Studio

        self.studio, self.runs = Studio(runs), runs
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        app = self.studio.guarded(TOKEN, self.port)
        self.server = uvicorn.Server(uvicorn.Config(app, ws="none", log_level="error", timeout_graceful_shutdown=1))
        self.thread = threading.Thread(target=self.server.run, kwargs={"sockets": [self.listener]})
        self.thread.start()

    def ask(self, path, body=None, method=None, start=f"/{TOKEN}/", **headers):
        """Returns the status, the headers and the body of an answer."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request(method or ("GET" if body is None else "POST"), start + path, body, given)
        answer = connection.getresponse()
        found = answer.status, dict(answer.getheaders()), answer.read()
        connection.close()
        return found

    def said(self, *args, **headers):
        """Returns the status and the content of an answer in JSON."""
        status, _, body = self.ask(*args, **headers)
        return status, json.loads(body)

    def close(self):
        self.server.should_exit = True
        self.thread.join()
        self.listener.close()


@pytest.fixture
def server(tmp_path):
    opened = Server(tmp_path / "runs")
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def standing(tmp_path_factory):
    """A studio for requests that leave nothing."""
    opened = Server(tmp_path_factory.mktemp("standing") / "runs")
    yield opened
    opened.close()


@pytest.fixture
def finished(server):
    """A run that is finished, as far as the page looks at it."""
    run = server.runs / "digits"
    run.mkdir(parents=True)
    artefact = {"test_accuracy": 0.95, "bytes": 11_000, "ram_bytes": None, "latency_ms": 0.01}
    task = {"name": "digits", "class_names": ["<script>", "1"]}
    best = {"kept_params": 10, "macs_dense": 10, "artefacts": [artefact]}
    (run / RESULT).write_text(json.dumps({"complete": True, "task": task, "config": {}, "best": best}))
    (run / "report.html").write_text("<script>report</script>")
    (run / "labels.txt").write_text("0\n")
    (run / "metadata.json").write_text(json.dumps({"files": [{"path": "labels.txt"}]}))
    return run


def zip_of(*names):
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as archive:
        for name in names:
            archive.writestr(name, b"pixels")
    return target.getvalue()


def test_page_and_all_that_it_names_are_here(standing):
    status, headers, body = standing.ask("")
    assert status == 200
    assert headers["content-type"].startswith("text/html")
    assert "default-src 'none'" in headers["content-security-policy"]
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["cache-control"] == "no-store"
    for name in ("page.css", "page.js", "zip.js", "icon.svg"):
        assert standing.ask(f"assets/{name}")[0] == 200
    assert b"http" not in body.replace(b"http-equiv", b"")
    assert standing.ask("assets/nothing.js")[0] == 404
    assert standing.ask("assets/..%2Fapp.py")[0] == 404


@pytest.mark.parametrize("start", ["/", "/another/", "/A-TOKEN/", f"/?token={TOKEN}&", f"//{TOKEN}/", f"/x/{TOKEN}/"])
@pytest.mark.parametrize("path", ["", "state", "assets/page.css"])
def test_requests_without_the_token_are_refused(standing, start, path):
    status, _, body = standing.ask(path, start=start)
    assert status == 403
    assert b"token" in body


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:{port}", "127.0.0.1", "127.0.0.1:1", "0.0.0.0:{port}", ""]
)
def test_other_hosts_are_refused(standing, host):
    status, _, body = standing.ask("state", Host=host.format(port=standing.port))
    assert status == 403
    assert b"127.0.0.1 and localhost alone" in body


def test_a_request_for_no_path_is_refused(standing):
    assert standing.ask("*", start="", method="OPTIONS")[0] == 403


def test_localhost_is_this_computer(standing):
    assert standing.ask("state", Host=f"localhost:{standing.port}")[0] == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:1"},
        {"Sec_Fetch_Site": "cross-site"},
        {"Sec_Fetch_Site": "same-site"},
        {"Sec_Fetch_Site": "none"},
    ],
)
@pytest.mark.parametrize("path", ["searches", "stop", "uploads", "runs/digits/again", "runs/digits/answers"])
def test_posts_of_other_pages_are_refused(standing, headers, path):
    assert standing.ask(path, b"{}", **headers)[0] == 403


def test_posts_of_the_page_are_answered(standing):
    own = {"Origin": f"http://127.0.0.1:{standing.port}", "Sec_Fetch_Site": "same-origin"}
    assert standing.ask("stop", b"", **own)[0] == 200


@pytest.mark.parametrize(("path", "method"), [("state", "POST"), ("stop", "GET"), ("searches", "PUT"), ("", "DELETE")])
def test_other_methods_are_refused(standing, path, method):
    assert standing.ask(path, method=method)[0] == 405


def test_choices_are_those_of_kgrow(standing):
    from kgrow.searching.limits import devices

    _, found = standing.said("choices")
    assert {device["name"] for device in found["devices"]} == set(devices())
    assert found["data"] == ["digits"]


def test_runs_are_listed(server, finished):
    unfinished = server.runs / "photos"
    unfinished.mkdir()
    (unfinished / SETTINGS).touch()
    (unfinished / SOURCE).write_text('{"dataset": "/photos"}')
    damaged = server.runs / "damaged"
    damaged.mkdir()
    (damaged / RESULT).write_text("{")
    _, found = server.said("state")
    runs = {run["name"]: run for run in found["runs"]}
    assert {name: run["state"] for name, run in runs.items()} == {
        "digits": "done",
        "photos": "unfinished",
        "damaged": "unreadable",
    }
    assert runs["digits"]["answer"].startswith("95.0 % of the test images in 11.0 KB")
    settings, run = str(unfinished / SETTINGS), str(unfinished)
    assert runs["photos"]["command"] == ["kgrow", "search", "/photos", "--config", settings, "--out", run]
    assert found["current"] is None


def test_report_has_an_origin_of_its_own(server, finished):
    status, headers, body = server.ask("runs/digits/report")
    assert (status, body) == (200, b"<script>report</script>")
    assert headers["content-security-policy"].startswith("sandbox allow-scripts; default-src 'none'")


def test_bundle_has_the_listed_files(server, finished):
    status, headers, body = server.ask("runs/digits/bundle")
    assert (status, headers["content-type"]) == (200, "application/zip")
    assert "digits.zip" in headers["content-disposition"]
    with zipfile.ZipFile(io.BytesIO(body)) as archive:
        assert archive.namelist() == ["digits/metadata.json", "digits/labels.txt"]


def test_bundle_has_no_files_from_elsewhere(server, finished):
    (finished / "metadata.json").write_text(json.dumps({"files": [{"path": "../../secret"}]}))
    (server.runs.parent / "secret").write_text("secret")
    assert server.ask("runs/digits/bundle")[0] == 400


@pytest.mark.parametrize("name", ["nothing", "..", "%2e%2e", "..%2Fruns", "%2Fetc", "a%00b"])
@pytest.mark.parametrize("what", ["report", "bundle"])
def test_runs_from_elsewhere_are_not_there(server, finished, name, what):
    assert server.ask(f"runs/{name}/{what}")[0] in (400, 403, 404)


def test_upload_becomes_data(server):
    status, found = server.said("uploads?name=photos", zip_of("photos/cats/1.png", "photos/dogs/1.png"))
    assert status == 200
    assert found == {"data": str(server.runs / "_uploads" / "photos"), "classes": {"cats": 1, "dogs": 1}}
    assert server.said("choices")[1]["data"] == ["digits", found["data"]]


def test_refused_upload_says_why(server):
    status, found = server.said("uploads?name=photos", zip_of("../1.png"))
    assert status == 400
    assert "'../1.png' leads out of it" in found["error"]


def test_aborted_upload_leaves_nothing(server):
    uploads = server.runs / "_uploads"
    with socket.create_connection(("127.0.0.1", server.port)) as connection:
        start = f"POST /{TOKEN}/uploads?name=photos HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\n"
        connection.sendall(start.encode() + b"Content-Length: 100000\r\n\r\nPK")
        _wait(lambda: uploads.is_dir() and list(uploads.glob(".partial-*/sent.zip")))
    _wait(lambda: not list(uploads.iterdir()))


@pytest.mark.parametrize(
    ("wanted", "words"),
    [
        ({}, "`data` must be"),
        ({"data": "--help"}, "`data` must be"),
        ({"data": "no/such/folder"}, "no/such/folder"),
        ({"data": "digitz"}, "Nearest names: digits"),
        ({"data": "digits", "device": "toaster"}, "`device` must be one of arduino-nano-33-ble"),
        ({"data": "digits", "max_time": "soon"}, "`max_time` must be"),
        ({"data": "digits", "max_time": "0s"}, "`max_time` must be"),
        ([], "`data` must be"),
    ],
)
def test_wrong_searches_are_refused_in_words(standing, wanted, words):
    status, found = standing.said("searches", json.dumps(wanted))
    assert status in (400, 404)
    assert words in found["error"]
    assert standing.said("state")[1]["current"] is None


def test_what_is_not_json_or_too_long_is_refused(standing):
    assert standing.said("searches", b"{")[0] == 400
    status, found = standing.said("searches", b" " * 30_000)
    assert status == 400
    assert "at most 20000 bytes" in found["error"]


def test_command_is_that_of_the_options(server, monkeypatch):
    begun = []
    monkeypatch.setattr(server.studio.searches, "start", lambda run, words: begun.append((run, words)))
    wanted = {"data": "digits", "device": "rp2040", "max_time": "5m"}
    assert server.said("searches", json.dumps(wanted)) == (200, {"run": "digits"})
    run = server.runs / "digits"
    options = ["--device", "rp2040", "--max-time", "5m"]
    assert begun == [(run, ["kgrow", "search", "digits", "--out", str(run), *options])]
    run.mkdir(parents=True)
    assert server.said("searches", json.dumps({"data": "digits"}))[1] == {"run": "digits-2"}


def test_second_search_is_refused(server, monkeypatch):
    def busy(run, words):
        raise RuntimeError("One search runs at a time.")

    monkeypatch.setattr(server.studio.searches, "start", busy)
    assert server.said("searches", json.dumps({"data": "digits"})) == (409, {"error": "One search runs at a time."})


def test_run_of_arrays_cannot_go_on_from_here(server):
    run = server.runs / "arrays"
    run.mkdir(parents=True)
    (run / SETTINGS).touch()
    (run / SOURCE).write_text('{"dataset": null}')
    status, found = server.said("runs/arrays/again", b"")
    assert status == 400
    assert "held in memory" in found["error"]


def test_picture_for_a_run_without_a_network_is_refused(server, finished):
    status, found = server.said("runs/digits/answers", b"pixels")
    assert status == 404
    assert "model.tflite" in found["error"]


def _wait(is_so):
    until = time.monotonic() + 10
    while not is_so():
        assert time.monotonic() < until
        time.sleep(0.02)
