"""Every command and every program of README.md and of docs/: each is understood, and each runs.

They run as they are written but for what takes long. That is `QUICK`: options that are added to a command, and `TINY`:
data sets and paths that stand in for others. Programs get the same by `_quick_search` and the names in `DATA`.
"""

import itertools
import re
import shlex
import tempfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import kgrow
from kgrow import cli
from kgrow.arguments import given_fields, parser
from kgrow.config import Config
from kgrow.recorded import DOCUMENT

ROOT = Path(__file__).parents[1]
README = "README.md"
# In this order: what the commands of a page need is made by those of the pages before.
PAGES = [README, *sorted(str(path.relative_to(ROOT)) for path in (ROOT / "docs").rglob("*.md"))]
OTHERS = ["CONTRIBUTING.md", *sorted(str(path.relative_to(ROOT)) for path in (ROOT / "export").rglob("README.md"))]
TEXT = {page: (ROOT / page).read_text("utf-8") for page in [*PAGES, *OTHERS]}
BLOCKS = [
    block for page in PAGES for block in re.findall(r"^```(\w+)\n(.*?)^```$", TEXT[page], re.MULTILINE | re.DOTALL)
]
# What `.ci/run` does; the recipes have tests of their own.
NOT_RUN_HERE = ("pip", "pytest", "ray")

QUICK = {
    "search": ["--trials", "1", "--epochs", "2", "--verbose", "0"],
    "compress": ["--trials", "1", "--epochs", "2", "--verbose", "0", "--overwrite"],
    "export": ["--max-drop", "100"],
    "benchmark": [],
    "cross-validate": ["--overwrite", "--verbose", "0"],
    "show": [],
    "report": ["--overwrite"],
    "compare": [],
    "list": [],
    "completion": [],
    "devices": [],
    "studio": [],
}
TINY = ("path/to/folder", "mnist", "cifar10")
# What the programs that run here are known by.
RUN_HERE = (
    "kgrow.search((images",
    'result = kgrow.search("digits", limits',
    "config=kgrow.Config(growth",
    "LowFidelity",
    "compress(model",
)


def commands():
    """Returns each command of the console blocks as its words, without comments."""
    lines = itertools.chain(*(text.splitlines() for language, text in BLOCKS if language == "console"))
    parts = (part for line in lines for part in re.split(r"&&", line.partition(" # ")[0]))
    return [shlex.split(part, comments=True) for part in parts if part.strip()]


def programs():
    return [text for language, text in BLOCKS if language == "python"]


OF_KGROW = [words for words in commands() if words[0] == "kgrow"]
# Those that end by themselves, without a cluster; tests/studio/test_serve.py runs the other.
OF_ONE_PROCESS = [words for words in OF_KGROW if "--engine" not in words and words[1] != "studio"]


def test_every_command_is_one_of_kgrow_or_run_elsewhere():
    assert len(OF_KGROW) >= 10
    assert {words[0] for words in commands()} <= {"kgrow", *NOT_RUN_HERE}


@pytest.mark.parametrize("words", OF_KGROW, ids=" ".join)
def test_every_command_is_understood(words, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: object())  # Ray need not be installed
    options = parser().parse_args(words[1:])
    assert options.command in QUICK
    if options.command == "search":
        assert Config.of(given_fields(options)).tuning.bounds.given.keys() <= {
            "params",
            "flash_bytes",
            "ram_bytes",
            "macs",
            "latency_ms",
        }


@pytest.mark.parametrize("text", programs(), ids=lambda text: text.strip().splitlines()[-1])
def test_every_program_is_python(text):
    compile(text, "docs", "exec")


@pytest.mark.parametrize("start", RUN_HERE)
def test_every_program_that_runs_here_is_known_by_its_own_words(start):
    assert len([text for text in programs() if start in text]) == 1


def test_readme_is_short_and_its_programs_and_commands_are_found():
    assert len(TEXT[README].splitlines()) <= 130
    assert len(programs()) >= 10


@pytest.mark.parametrize("page", TEXT)
def test_every_program_that_is_named_is_there(page):
    names = set(re.findall(r"`((?:[\w.-]+/)*\w+\.py)\b", TEXT[page])) - {"out/run.py", "utils.py"}
    assert not {name for name in names if not list(ROOT.rglob(name))}


@pytest.mark.parametrize("page", TEXT)
def test_every_file_that_is_linked_is_there(page):
    targets = re.findall(r"\]\((?!https?:|#)([^)#\s]+)", TEXT[page])
    assert not {target for target in targets if not (ROOT / page).parent.joinpath(target).exists()}


@pytest.mark.parametrize("folder", ["decisions", "experiments"])
def test_every_record_is_in_its_list_once_and_has_a_number_of_its_own(folder):
    records = sorted(path.name for path in (ROOT / "docs" / folder).glob("0*.md"))
    assert re.findall(r"^\| \[\d+\]\((0.*?)\)", TEXT[f"docs/{folder}/README.md"], re.MULTILINE) == records
    numbers = [path.name[:4] for path in (ROOT / "docs").glob("*/0*.md")]
    assert len(numbers) == len(set(numbers))


def test_every_record_that_code_refers_to_is_there():
    sources = [path for folder in ("kgrow", "recipes", "export", "tests") for path in (ROOT / folder).rglob("*.py")]
    for path in sources:
        for kind, number in re.findall(r"(decision|experiment)s?[ /](\d{4})\b", path.read_text("utf-8"), re.IGNORECASE):
            assert list((ROOT / "docs" / f"{kind.lower()}s").glob(f"{number}-*.md")), (path, number)


@pytest.mark.parametrize("page", PAGES)
def test_every_option_that_is_named_is_one(page):
    known = {option for action in _actions(parser()) for option in action.option_strings}
    elsewhere = {"--only", "--quick", "--json"}  # of the recipes
    assert set(re.findall(r"`(--[a-z][a-z-]+)", TEXT[page])) <= known | elsewhere


def test_tree_names_every_module_and_package():
    tree = TEXT["docs/tree.md"]
    names = {f"{path.name}/" if path.is_dir() else path.name for path in (ROOT / "kgrow").iterdir()}
    public = {name for name in names if not name.startswith("_") and name != "py.typed"}
    assert not {name for name in public if not re.search(rf"\b{re.escape(name)}", tree)}


def test_every_field_of_a_result_is_named():
    section = TEXT["docs/results.md"].partition("\n## `result.json`")[2].partition("\n## ")[0]
    inside = {"task", "config", "preset", "source"}  # told of as a whole
    assert not {name for name in _fields(DOCUMENT, inside) if not re.search(rf"[`.]{name}(\[\])?`", section)}


def _fields(kind, closed):
    """Yields the names of fields, also of those in lists, in optional parts and in parts that are not closed."""
    if isinstance(kind, list | tuple):
        for part in kind:
            yield from _fields(part, closed)
    elif isinstance(kind, dict):
        for name, part in kind.items():
            yield name
            if name not in closed:
                yield from _fields(part, closed)


def _actions(top):
    (commands,) = (action for action in top._actions if hasattr(action, "choices") and isinstance(action.choices, dict))
    return [action for command in commands.choices.values() for action in command._actions]


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A working directory with a folder of 200 photographs of two sizes in three classes, and a model of them."""
    from kgrow._keras import keras

    place = tmp_path_factory.mktemp("readme")
    generator = np.random.default_rng(0)
    for number in range(201):
        pixels = generator.integers(0, 150, (120, 100 if number % 2 else 96, 3), np.uint8)
        pixels[..., number % 3] += 100
        folder = place / "photos" / ("red", "green", "blue")[number % 3]
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(folder / f"{number}.png")
    layers = keras.layers
    stages = [layers.Conv2D(filters, 3, strides=2, activation="relu") for filters in (8, 16, 16)]
    scaling, ends = layers.Rescaling(1 / 255), [layers.GlobalAveragePooling2D(), layers.Dense(3, "softmax")]
    keras.Sequential([keras.Input((None, None, 3)), scaling, *stages, *ends]).save(place / "my_model.keras")
    return place


def shortened(words, place):
    """Returns a command's words as they run here."""
    folder = str(place / "photos")
    words = [folder if word in TINY else word.replace("/shared/", f"{place}/shared/") for word in words]
    out = ["--image-size", "32", "--out", tempfile.mkdtemp(dir=place)]
    is_quick_alone = words[1] != "search" or "--limit" in words or "--out" in words or "digits" in words
    # Four blocks are those of images above 16 pixels; each search has a directory of its own.
    return [*words[1:], *QUICK[words[1]], *([] if is_quick_alone else out), *(["--overwrite"] * (words[1] == "search"))]


@pytest.mark.slow
def test_every_command_runs(place, monkeypatch, capsys):
    monkeypatch.chdir(place)
    for words in OF_ONE_PROCESS:
        code = cli.main(shortened(words, place))
        assert code == cli.DONE, (words, capsys.readouterr().err)
    assert (place / "out" / "run.py").exists()
    assert (place / "model.tflite").exists()


@pytest.mark.slow
@pytest.mark.parametrize("start", RUN_HERE)
def test_programs_run(start, place, monkeypatch):
    """Those that search and compress; the others are those of the tests of `density`, `bayes` and `cells`."""
    monkeypatch.chdir(place)
    names = _data(place) | {"kgrow": kgrow}
    _quick_search(place, monkeypatch)
    (text,) = [text for text in programs() if start in text]
    exec(compile(text.replace("epochs=30", "epochs=10"), "docs", "exec"), names)
    if "result" in names:
        given = names | {"images": names["result"].task.test.images}
        for start in ("predict_early", "plot_history"):
            (text,) = [text for text in programs() if start in text]
            exec(compile(text, "docs", "exec"), given)


def _quick_search(place, monkeypatch):
    search, compress = kgrow.search, kgrow.compress

    def quick(dataset, **options):
        dataset = place / "photos" if isinstance(dataset, str) and dataset in TINY else dataset
        options |= {"trials": 1, "epochs": 2, "verbose": 0, "directory": tempfile.mkdtemp(dir=place)}
        options |= {"config": {"data": {"image_size": 32}}} if isinstance(dataset, Path) else {}
        return search(dataset, **options)

    monkeypatch.setattr(kgrow, "search", quick)
    monkeypatch.setattr(
        kgrow, "compress", lambda *args, **options: compress(*args, **options, epochs=2, steps=1, verbose=0)
    )


def _data(place):
    from kgrow._keras import keras, tf

    generator = np.random.default_rng(0)
    images, labels = generator.integers(0, 256, (120, 12, 12), np.uint8), np.arange(120) % 3

    class Pairs(keras.utils.Sequence):
        def __len__(self):
            return 6

        def __getitem__(self, index):
            return images[20 * index : 20 * index + 20], labels[20 * index : 20 * index + 20]

    return {
        "images": images,
        "labels": labels,
        "tf_data_dataset": tf.data.Dataset.from_tensor_slices((images, labels)).batch(8),
        "keras_sequence": Pairs(),
        "x_val": images[:30],
        "y_val": labels[:30],
        "x_test": images[30:60],
        "y_test": labels[30:60],
    }
