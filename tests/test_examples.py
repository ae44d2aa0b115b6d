"""The projects of export/examples: what of them runs without a board runs here, on models that kgrow exports."""

import configparser
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import time
import types
import xml.etree.ElementTree
from pathlib import Path
from unittest.mock import Mock

import numpy as np
import pytest
import yaml
from kgrow_device import run as device

from kgrow.arguments import parser
from kgrow.exporting import EarlyExit, ExportOptions, export
from kgrow.exporting.micro import operations_that_run
from kgrow.graph import Scaling
from kgrow.network import GrowingNetwork
from kgrow.searching import SPACES
from kgrow.task import Split, Task

ROOT = Path(__file__).parents[1]
EXAMPLES, FAKES = ROOT / "export" / "examples", Path(__file__).parent / "examples"
PROJECTS = sorted(path.name for path in EXAMPLES.iterdir() if (path / "README.md").exists())
FLAGS = ["-std=c++17", "-Wall", "-Wextra", "-Werror"]
INTERFACE = [f"-I{EXAMPLES / 'host'}", f"-I{EXAMPLES / 'classifier'}"]
INTERPRETERS = {"tflite_micro": 0.03, "ai_edge_litert": 0.01}  # how far probabilities may be from those of run.py
GRAY, RGB, RGB565 = range(3)
COPIED = ("model_data.h", "model_data.cc", "run.py")  # from a bundle


def compiled(target, sources, *options):
    """Returns a program of C++ sources."""
    compiler = shutil.which("g++") or shutil.which("c++")
    if compiler is None:
        pytest.skip("there is no C++ compiler")
    subprocess.run([compiler, *FLAGS, *options, *sources, "-o", target], check=True)
    return target


def imported(path, name):
    """Returns a program as a module."""
    specification = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


def a_task(name, shape, convert):
    """A task of noise in which each class is brighter than the one before."""
    generator = np.random.default_rng(3)
    labels = (np.arange(48) % 3).astype(np.int32)
    images = generator.integers(0, 150, (48, *shape)) + 50 * labels[:, np.newaxis, np.newaxis, np.newaxis]
    images[0, 0, 0], images[0, 0, 1] = 0, 255
    split = Split(convert(images), labels)
    return Task(name, split, split, split, ("dark", "gray", "bright"))


def sixteenths(images):
    return (images // 15.94).astype(np.uint8)


def unit(images):
    return (images / 255).astype(np.float32)


def confident(task):
    """A network whose answers differ from image to image."""
    images = task.train.images.astype(np.float64)
    scaling = Scaling(*(tuple(map(float, measure(images, axis=(0, 1, 2)))) for measure in (np.mean, np.std)))
    network = GrowingNetwork(SPACES["compact"].build(task.input_shape, 3, scaling, width=0.25), seed=1)
    for block in network.blocks:
        kernel = block.kernels()[-1].weight
        kernel.assign(6 * kernel)
    return network


@pytest.fixture(scope="module")
def bundles(varied_network, tiny_task, tmp_path_factory):
    """Bundles by name: color with and without early exits, gray from 0 to 16, floats from 0 to 1."""
    folder = tmp_path_factory.mktemp("bundles")
    digits = a_task("sixteenths", (8, 8, 1), sixteenths)
    floats = a_task("floats", (8, 8, 3), unit)
    tasks = {
        "exits": (varied_network, tiny_task, {"early_exit": EarlyExit(0.88)}),
        "plain": (varied_network, tiny_task, {"output_dtype": "int8", "single_output": True}),
        "gray": (confident(digits), digits, {}),
        "floats": (confident(floats), floats, {"early_exit": EarlyExit(0.5)}),
    }
    for name, (network, task, options) in tasks.items():
        options = ExportOptions("int8", micro=True, name="kgrow", max_drop=1.0, **options)
        export(network, task, folder / name, options)
    return folder


@pytest.fixture(scope="module", params=["exits", "plain", "gray", "floats"])
def bundle(request, bundles):
    return bundles / request.param


@pytest.fixture(scope="module")
def pixels(tmp_path_factory):
    """The preprocessing of microcontrollers as a function."""
    program = compiled(tmp_path_factory.mktemp("pixels") / "pixels", [FAKES / "pixels.cc"], INTERFACE[1])

    def read(frame, kind, shape, pixel_range, *options):
        numbers = [kind, *frame.shape[:2], *shape, *pixel_range, *options]
        done = subprocess.run([program, *map(str, numbers)], input=frame.tobytes(), capture_output=True, check=True)
        return np.frombuffer(done.stdout, np.float32).reshape(shape)

    return read


def prepared(frame, shape, pixel_range):
    """What run.py makes of a frame, before it becomes bytes."""
    low, high = pixel_range
    image = frame if pixel_range == device.EIGHT_BITS else low + np.float32((high - low) / 255) * frame
    image = image if image.shape[:2] == shape[:2] else device.resized(image, shape[:2])
    return device.with_channels(image.astype(np.float32), shape[2])


def packed(frame):
    """Returns a frame as 16 bits per pixel, and what these are in 24 bits."""
    red, green, blue = (frame[..., channel].astype(np.uint16) >> bits for channel, bits in ((0, 3), (1, 2), (2, 3)))
    colors = np.stack([red << 3 | red >> 2, green << 2 | green >> 4, blue << 3 | blue >> 2], -1).astype(np.uint8)
    return (red << 11 | green << 5 | blue).astype(">u2"), colors


@pytest.mark.parametrize("pixel_range", [(0, 255), (0, 1), (-1, 1), (0, 16)])
@pytest.mark.parametrize(
    ("size", "shape"),
    [
        ((48, 64), (32, 32, 3)),
        ((48, 64), (7, 9, 1)),
        ((8, 8), (8, 8, 3)),
        ((5, 9), (16, 12, 1)),
        ((120, 160), (8, 8, 3)),
    ],
)
def test_microcontrollers_preprocess_as_run_does(size, shape, pixel_range, pixels):
    generator = np.random.default_rng(0)
    color = generator.integers(0, 256, (*size, 3), np.uint8)
    words, colors = packed(color)
    gray = color[..., :1]
    for kind, frame, same in ((RGB, color, color), (GRAY, gray, gray), (RGB565, words, colors)):
        difference = np.abs(pixels(frame, kind, shape, pixel_range) - prepared(same, shape, pixel_range))
        # Bytes that are as far from two whole numbers may be rounded to either.
        is_near = difference <= 1e-4 * np.ptp(pixel_range)
        assert is_near.mean() > 0.98
        assert difference.max() <= np.ptp(pixel_range) / 255 * 1.01


def test_the_middle_of_a_frame_is_cropped(pixels):
    frame = np.arange(6 * 10, dtype=np.uint8).reshape(6, 10, 1)
    assert np.array_equal(pixels(frame, GRAY, (6, 6, 1), (0, 255), "crop"), frame[:, 2:8])
    assert np.array_equal(pixels(frame, GRAY, (2, 5, 1), (0, 255), "crop"), prepared(frame[1:5], (2, 5, 1), (0, 255)))


def pictures(folder, shape):
    """Writes pictures of several sizes; returns their paths."""
    generator = np.random.default_rng(5)
    paths = []
    for number, (height, width) in enumerate([(8, 8), (20, 30), (31, 17), (120, 160)] * 2):
        image = generator.integers(0, 120, (height, width, shape[2])) + generator.integers(0, 135, shape[2])
        paths.append(folder / f"{number}.{'pgm' if shape[2] == 1 else 'ppm'}")
        magic = b"P5" if shape[2] == 1 else b"P6"
        paths[-1].write_bytes(
            magic + b"\n# a comment\n%d %d\n255\n" % (width, height) + image.astype(np.uint8).tobytes()
        )
    return paths


def environment(interpreter):
    pytest.importorskip(interpreter)
    return {**os.environ, "PYTHON": sys.executable, "INTERPRETER": interpreter}


@pytest.mark.parametrize("interpreter", [pytest.param("tflite_micro", marks=pytest.mark.slow), "ai_edge_litert"])
def test_the_program_of_a_computer_answers_as_run_does(interpreter, bundle, tmp_path):
    sources = [EXAMPLES / "host" / "main.cc", bundle / "model_data.cc"]
    program = compiled(tmp_path / "classify", sources, *INTERFACE, f"-I{bundle}")
    classifier = device.Classifier(bundle)
    paths = pictures(tmp_path, classifier.shape)
    done = subprocess.run([program, *paths], env=environment(interpreter), capture_output=True, text=True, check=True)
    lines = done.stdout.splitlines()
    assert len(lines) == len(paths)
    exits = set()
    for path, line in zip(paths, lines, strict=True):
        label, share, exit_index = re.fullmatch(rf"{path}: (\w+) \((.*) %\), exit (-?\d)", line).groups()
        answer = classifier(classifier.read(path))
        assert float(share) / 100 == pytest.approx(answer.probability, abs=INTERPRETERS[interpreter])
        assert label == answer.label
        has_exits = classifier.metadata["early_exit"] is not None
        assert int(exit_index) == (answer.exit_index if has_exits else -1)
        exits.add(int(exit_index))
    assert bundle.name != "exits" or exits == {0, 1, 2}


def test_the_commands_for_a_computer_work(bundles, tmp_path):
    compiled(tmp_path / "any", [FAKES / "esp32" / "board.cc"], "-c")  # or there is no compiler
    shutil.copytree(EXAMPLES, tmp_path / "copy" / "export" / "examples")
    shutil.copytree(bundles / "exits", tmp_path / "copy" / "out")
    shutil.copy(pictures(tmp_path, (8, 8, 3))[0], tmp_path / "copy" / "photo.ppm")
    script = re.search(r"^```sh\n(.*?)^```$", (EXAMPLES / "host" / "README.md").read_text(), re.MULTILINE | re.DOTALL)[
        1
    ]
    script = "".join(line for line in script.splitlines(True) if not line.startswith("pip "))
    variables = environment("ai_edge_litert")
    done = subprocess.run(
        ["sh", "-e", "-c", script], cwd=tmp_path / "copy", env=variables, capture_output=True, text=True, check=True
    )
    assert re.fullmatch(r"\.\./\.\./photo\.ppm: \w+ \(.*%\), exit \d\n", done.stdout)


def test_the_program_of_a_computer_says_what_it_cannot_do(bundles, tmp_path):
    bundle = bundles / "plain"
    sources = [EXAMPLES / "host" / "main.cc", bundle / "model_data.cc"]
    program = compiled(tmp_path / "classify", sources, *INTERFACE, f"-I{bundle}")
    (tmp_path / "no.ppm").write_bytes(b"P6 9 9 255\n1")
    variables = environment("ai_edge_litert")
    done = subprocess.run([program, tmp_path / "no.ppm"], env=variables, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "no.ppm' must be a .pgm or .ppm file" in done.stderr
    done = subprocess.run(
        [program], env={**variables, "INTERPRETER": "none"}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "An interpreter must be installed" in done.stderr


@pytest.mark.slow
def test_an_arena_that_is_too_small_is_an_error(bundles, tmp_path):
    shutil.copytree(bundles / "exits", tmp_path / "out")
    header = tmp_path / "out" / "model_data.h"
    header.write_text(re.sub(r"(arena_size = )\d+", r"\g<1>4096", header.read_text()))
    sources = [EXAMPLES / "host" / "main.cc", tmp_path / "out" / "model_data.cc"]
    program = compiled(tmp_path / "classify", sources, *INTERFACE, f"-I{tmp_path / 'out'}")
    done = subprocess.run([program], env=environment("tflite_micro"), capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "the arena is too small" in done.stderr


def test_the_stub_has_a_function_for_every_operation():
    stub = (EXAMPLES / "host/tensorflow/lite/micro/micro_mutable_op_resolver.h").read_text()
    known = set(re.findall(r"TfLiteStatus Add(\w+)\(\)", stub))
    assert {kind.split()[0].title().replace("_", "") for kind in operations_that_run()} <= known


class Pipe:
    """A sketch at the other end of a pipe, as a port."""

    def __init__(self, program, variables):
        self.process = subprocess.Popen([program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=variables)

    def write(self, content):
        self.process.stdin.write(content)
        self.process.stdin.flush()

    def readline(self):
        return self.process.stdout.readline()

    def close(self):
        self.process.communicate(timeout=30)
        return self.process.returncode


@pytest.mark.parametrize("name", ["exits", "gray"])
def test_a_sketch_answers_what_is_sent(name, bundles, tmp_path):
    bundle = bundles / name
    options = [*INTERFACE, f"-I{FAKES / 'arduino'}", f"-I{EXAMPLES / 'arduino' / 'classify'}", f"-I{bundle}"]
    program = compiled(tmp_path / "sketch", [FAKES / "arduino" / "sketch.cc", bundle / "model_data.cc"], *options)
    send = imported(EXAMPLES / "arduino" / "send.py", "send")
    classifier = device.Classifier(bundle)
    port = Pipe(program, environment("ai_edge_litert"))
    board = send.Board(port)
    assert board.shape == classifier.shape
    for path in pictures(tmp_path, classifier.shape):
        image = device.read_image(path)
        label, probability, exit_index, milliseconds = board.classify(send.as_bytes(image, board.shape, device)).split()
        answer = classifier(classifier.scaled(device.resized(image, classifier.shape[:2])))
        assert label == answer.label
        assert float(probability) == pytest.approx(answer.probability, abs=0.02)
        assert int(exit_index) == (answer.exit_index if name == "exits" else -1)
        assert int(milliseconds) >= 0
    assert port.close() == 0


def test_a_board_that_says_nothing_is_an_error():
    send = imported(EXAMPLES / "arduino" / "send.py", "send")
    for line, message in ((b"", "says nothing"), (b"the arena is too small\r\n", "must be ready, but says 'the arena")):
        with pytest.raises(ValueError, match=message):
            send.Board(types.SimpleNamespace(write=lambda content: None, readline=lambda line=line: line))


def test_the_code_of_microcontrollers_is_c14(bundles, tmp_path):
    source = tmp_path / "main.cc"
    source.write_text('#include "classifier.h"\n#include "model_data.h"\n')
    compiled("/dev/null", [source], *INTERFACE, f"-I{bundles / 'plain'}", "-std=c++14", "-fsyntax-only")


@pytest.mark.parametrize("name", ["exits", "gray"])
def test_an_esp32_logs_what_its_camera_sees(name, bundles, tmp_path):
    bundle, main = bundles / name, EXAMPLES / "esp32" / "main"
    options = [*INTERFACE, f"-I{FAKES / 'esp32'}", f"-I{main}", f"-I{bundle}"]
    sources = [main / "main.cc", main / "camera.cc", FAKES / "esp32" / "board.cc", bundle / "model_data.cc"]
    program = compiled(tmp_path / "esp32", sources, *options)
    classifier = device.Classifier(bundle)
    generator = np.random.default_rng(2)
    colors = [generator.integers(0, 120, (120, 160, 3)) + generator.integers(0, 135, 3) for _ in range(4)]
    if name == "gray":
        sent = seen = [frame[..., :1].astype(np.uint8) for frame in colors]
    else:
        sent, seen = zip(*(packed(frame.astype(np.uint8)) for frame in colors), strict=True)
    content = b"".join(frame.tobytes() for frame in sent)
    done = subprocess.run([program], input=content, env=environment("ai_edge_litert"), capture_output=True, check=True)
    lines = done.stdout.decode().splitlines()
    assert len(lines) == len(seen)
    for line, frame in zip(lines, seen, strict=True):
        answer = classifier(classifier.scaled(frame))
        exit_index = answer.exit_index if name == "exits" else -1
        told = re.fullmatch(rf"I classifier: {answer.label} (\d\.\d\d) exit {exit_index} \d+ ms", line)
        assert float(told[1]) == pytest.approx(answer.probability, abs=0.02)


def test_files_of_the_esp32_belong_together():
    main = EXAMPLES / "esp32" / "main"
    build = (main / "CMakeLists.txt").read_text()
    sources = set(re.search(r"SRCS (.*)", build)[1].split())
    assert sources == {path.name for path in main.glob("*.cc")} | {"model_data.cc"}
    assert (main / re.search(r"CMAKE_CURRENT_LIST_DIR}/(\.\./\S+)\)", build)[1] / "classifier.h").is_file()
    components = yaml.safe_load((main / "idf_component.yml").read_text())["dependencies"]
    assert components.keys() == {"idf", "espressif/esp-tflite-micro", "espressif/esp32-camera"}
    choices = set(re.findall(r"config (KGROW_\w+)", (main / "Kconfig.projbuild").read_text()))
    assert set(re.findall(r"CONFIG_(KGROW_\w+)", (main / "camera.cc").read_text())) <= choices


def test_the_build_of_the_esp32_needs_a_model(tmp_path):
    if shutil.which("cmake") is None:
        pytest.skip("there is no CMake")
    shutil.copytree(EXAMPLES / "esp32", tmp_path / "esp32", ignore=shutil.ignore_patterns("model_data.*"))
    main = tmp_path / "esp32" / "main"
    script = tmp_path / "build.cmake"
    register = 'macro(idf_component_register)\n  message("registered ${ARGV}")\nendmacro()\n'
    script.write_text(f"{register}include({main}/CMakeLists.txt)\n")
    done = subprocess.run(["cmake", "-P", script], capture_output=True, text=True, check=False)
    assert done.returncode
    assert "main/model_data.h must be copied from a bundle" in " ".join(done.stderr.split())
    for name in ("model_data.h", "model_data.cc"):
        (main / name).touch()
    done = subprocess.run(["cmake", "-P", script], capture_output=True, text=True, check=True)
    assert "registered SRCS;main.cc;camera.cc;model_data.cc;INCLUDE_DIRS;.;" in done.stderr


ANDROID = EXAMPLES / "android"
MODULE = ANDROID / "app" / "src" / "main"
NAMESPACE = "{http://schemas.android.com/apk/res/android}"


def kotlin():
    return {path.stem: path.read_text() for path in MODULE.rglob("*.kt")}


def test_files_of_the_android_app_belong_together():
    trees = {path.name: xml.etree.ElementTree.parse(path).getroot() for path in MODULE.rglob("*.xml")}
    build = (ANDROID / "app" / "build.gradle.kts").read_text()
    package = re.search(r'namespace = "(.*)"', build)[1]
    for path in MODULE.rglob("*.kt"):
        assert path.read_text().startswith(f"package {package}\n")
        assert path.parent == MODULE / "java" / Path(*package.split("."))
    activities = {node.get(f"{NAMESPACE}name") for node in trees["AndroidManifest.xml"].iter("activity")}
    assert activities == {".MainActivity"}
    strings = {node.get("name") for node in trees["strings.xml"]}
    ids = {node.get(f"{NAMESPACE}id", "").removeprefix("@+id/") for node in trees["activity_main.xml"].iter()}
    known = {"string": strings, "id": ids, "layout": {path.stem for path in (MODULE / "res" / "layout").iterdir()}}
    for kind, name in re.findall(r"\bR\.(\w+)\.(\w+)", kotlin()["MainActivity"]):
        assert name in known[kind]
    used = re.findall(r"@string/(\w+)", (MODULE / "AndroidManifest.xml").read_text())
    assert set(used) <= strings
    assert (ANDROID / re.search(r'include\(":(\w+)"\)', (ANDROID / "settings.gradle.kts").read_text())[1]).is_dir()


def test_versions_of_the_android_app_are_stated():
    build, readme = (ANDROID / "app" / "build.gradle.kts").read_text(), (ANDROID / "README.md").read_text()
    versions = dict(re.findall(r'implementation\("([^:"]+:[^:"]+):([\d.]+)"\)', build))
    assert len(versions) == build.count("implementation(")
    assert f"LiteRT {versions['com.google.ai.edge.litert:litert']}" in readme
    assert f"CameraX {versions['androidx.camera:camera-camera2']}" in readme
    assert len({version for name, version in versions.items() if name.startswith("androidx.camera:")}) == 1
    gradle = (ANDROID / "gradle" / "wrapper" / "gradle-wrapper.properties").read_text()
    assert re.search(r"gradle-([\d.]+)-bin", gradle)[1] in readme
    assert f"API {re.search(r'minSdk = (.*)', build)[1]}" in readme


def test_the_android_app_reads_what_a_bundle_holds(bundles):
    classifier = kotlin()["Classifier"]
    names = {path.name for path in (bundles / "exits").iterdir()}
    assert set(re.findall(r'assets\.open\("(.*?)"\)', classifier)) <= names
    spoken = set(re.findall(r'"(\w+)"', classifier))
    assert {device.IMAGE, device.PROBABILITIES, device.EXIT_INDEX, device.SIGNATURE} <= spoken


@pytest.mark.slow
def test_android_preprocesses_as_run_does(tmp_path):
    if shutil.which("kotlinc") is None:
        pytest.skip("there is no Kotlin compiler")
    (source,) = MODULE.rglob("Preprocessor.kt")
    program = tmp_path / "pixels.jar"
    subprocess.run(["kotlinc", source, FAKES / "Main.kt", "-include-runtime", "-d", program], check=True)
    generator = np.random.default_rng(0)
    for size, shape, pixel_range in (((48, 64), (32, 32, 3), (0, 255)), ((17, 23), (8, 24, 1), (0, 16))):
        frame = generator.integers(0, 256, (*size, 3), np.uint8)
        command = ["java", "-jar", program, *map(str, (*size, *shape, *pixel_range))]
        done = subprocess.run(command, input=frame.tobytes(), capture_output=True, check=True)
        difference = np.abs(np.frombuffer(done.stdout, ">f4").reshape(shape) - prepared(frame, shape, pixel_range))
        assert (difference <= 1e-4 * np.ptp(pixel_range)).mean() > 0.98
        assert difference.max() <= np.ptp(pixel_range) / 255 * 1.01


@pytest.fixture(scope="module")
def camera():
    return imported(EXAMPLES / "raspberry_pi" / "camera.py", "camera")


@pytest.mark.parametrize("name", ["exits", "gray", "floats"])
def test_the_camera_program_says_what_it_sees(name, bundles, tmp_path):
    classifier = device.Classifier(bundles / name)
    paths = pictures(tmp_path, classifier.shape)
    program = EXAMPLES / "raspberry_pi" / "camera.py"
    command = [
        sys.executable,
        program,
        "--model",
        bundles / name,
        "--source",
        tmp_path,
        "--sure",
        "0.4",
        "--frames",
        "6",
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    frames = [line for line in done.stdout.splitlines() if not line.startswith("now: ")]
    assert len(frames) == 6
    for line, path in zip(frames, paths, strict=False):
        answer = classifier(classifier.read(path))
        assert re.fullmatch(rf"{answer.label} {answer.probability:.2f} exit {answer.exit_index} \d+\.\d ms", line)
    assert "now: " in done.stdout


def test_the_camera_program_names_what_is_wrong(bundles, tmp_path):
    program = [sys.executable, EXAMPLES / "raspberry_pi" / "camera.py", "--model"]
    done = subprocess.run([*program, tmp_path], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert "must be a folder that `kgrow export` wrote" in done.stderr
    command = [*program, bundles / "exits", "--source", tmp_path / "none.ppm"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "none.ppm" in done.stderr
    assert "Traceback" not in done.stderr


def test_an_answer_is_said_when_it_is_sure_and_does_not_flicker(camera):
    steady = camera.Steady(weight=0.5, sure=0.6)
    cat, dog, neither = np.array([0.9, 0.1]), np.array([0.1, 0.9]), np.array([0.5, 0.5])
    assert [steady.update(each) for each in (neither, cat, cat)] == [None, 0, 0]
    assert steady.update(dog) == 0  # one frame changes nothing
    assert [steady.update(dog) for _ in range(2)][-1] == 1


def test_a_line_is_one_frame_and_a_change_is_said_once(camera):
    shares = iter([(0.9, 0.1), (0.9, 0.1), (0.0, 1.0), (0.0, 1.0)])

    def classify(frame):
        share = np.array(next(shares))
        return device.Answer("ab"[share.argmax()], share.max(), 0, share)

    classifier = Mock(side_effect=classify, labels=["a", "b"])
    lines = list(camera.watch(classifier, [None] * 4, camera.Steady(0.5, 0.6), clock=iter(np.arange(8) / 1e3).__next__))
    assert lines[:2] == ["a 0.90 exit 0 1.0 ms", "now: a 0.90"]
    assert sum(line.startswith("now: ") for line in lines) == 2


SLOW_CAMERA = """
import time

class VideoCapture:
    def __init__(self, number):
        print("open", flush=True)

    def read(self):
        time.sleep(60)

    def release(self):
        print("closed", flush=True)
"""


def test_frames_of_cameras_are_rgb_and_cameras_are_closed(camera, monkeypatch):
    red = np.zeros((2, 2, 3), np.uint8)
    red[..., 0] = 255
    usb = Mock(**{"read.side_effect": [(True, red[..., ::-1]), (False, None)]})
    pi = Mock(**{"capture_array.return_value": red, "create_video_configuration": lambda main: main})
    monkeypatch.setitem(sys.modules, "cv2", Mock(VideoCapture=lambda number: usb))
    monkeypatch.setitem(sys.modules, "picamera2", None)
    frames = camera.frames_of("auto", device)  # without picamera2
    assert np.array_equal(next(frames), red)
    with pytest.raises(OSError, match="must give frames"):
        next(frames)
    monkeypatch.setitem(sys.modules, "picamera2", Mock(Picamera2=lambda: pi))
    frames = camera.frames_of("auto", device)
    assert np.array_equal(next(frames), red)
    frames.close()
    assert pi.configure.call_args[0][0]["format"] == "BGR888"
    usb.release.assert_called_once()
    pi.stop.assert_called_once()


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such signal")
def test_the_service_starts_and_ends_the_program(bundles, tmp_path):
    service = configparser.ConfigParser()
    service.optionxform = str
    service.read(EXAMPLES / "raspberry_pi" / "kgrow-camera.service")
    python, *words = service["Service"]["ExecStart"].split()
    assert python.endswith(".venv/bin/python")
    assert (EXAMPLES / "raspberry_pi" / words[0]).is_file()
    shutil.copy(EXAMPLES / "raspberry_pi" / words[0], tmp_path)
    shutil.copytree(bundles / "exits", tmp_path / "out")
    (tmp_path / "cv2.py").write_text(SLOW_CAMERA)
    process = subprocess.Popen(
        [sys.executable, *words, "--source", "opencv"],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
    )
    assert process.stdout.readline() == "open\n"
    time.sleep(0.1)
    process.terminate()
    rest, _ = process.communicate(timeout=30)
    assert (process.returncode, rest) == (0, "closed\n")


@pytest.mark.parametrize("project", PROJECTS)
def test_files_that_a_readme_names_are_there(project):
    text = (EXAMPLES / project / "README.md").read_text()
    places = (EXAMPLES, EXAMPLES / project, EXAMPLES / project / "app/src/main/java/dev/kgrow/camera")
    for name in re.findall(r"`((?:[\w-]+/)*[\w-]+\.(?:py|cc|kt|ino|service|h))`", text):
        assert any((place / name).exists() for place in places) or name in COPIED, name


def test_options_that_a_readme_names_are_those_of_export():
    (commands,) = (action for action in parser()._actions if isinstance(action.choices, dict))
    known = set(commands.choices["export"]._option_string_actions)
    for project in PROJECTS:
        text = (EXAMPLES / project / "README.md").read_text()
        for options in re.findall(r"`(--quantize [^`]*)`", text):
            assert set(re.findall(r"--[\w-]+", options)) <= known
