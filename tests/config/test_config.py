"""One configuration: what is given by keywords, YAML and the command line, in this order of precedence."""

import dataclasses
import importlib.util
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml

import kgrow
from kgrow import arguments, cli
from kgrow.bayes import GaussNewton
from kgrow.config import FLAT, SECTIONS, Config, Pruning, Training, Tuning, flag_of, option_of, sectioned
from kgrow.config.refusing import spelled_now
from kgrow.config.removed import COMMANDS, OF_TASK, OPTIONS
from kgrow.config.yaml_file import read_yaml
from kgrow.graph.genotype import Genotype
from kgrow.lifecycle import Preset
from kgrow.pruning import SNIP, BayesLink, FisherChannel, FisherPruning
from kgrow.registry import (
    CHANNEL_CRITERIA,
    CRITERIA,
    CURVATURES,
    ESTIMATORS,
    EXPERIMENTAL,
    OBJECTIVES,
    POLICIES,
    PRESETS,
    SPACES,
)
from kgrow.searching.cells import Cells
from kgrow.searching.estimating import Halving, LowFidelity
from kgrow.searching.objective import Mixed
from kgrow.task import Augmentation

ROOT = Path(__file__).parents[2]
ALL = [(name, field) for name, kind in SECTIONS.items() for field in dataclasses.fields(kind)]


def written(folder, text):
    path = folder / "run.yaml"
    path.write_text(text, "utf-8")
    return path


def told(line):
    """The configuration of a command line."""
    options = arguments.parser().parse_args(line)
    return Config.of(options.config, arguments.given_fields(options))


def test_command_line_overrides_yaml_and_yaml_overrides_defaults(tmp_path):
    path = written(tmp_path, "training: {epochs: 7, seed: 3}\npruning: snip\ntuning: {limits: {flash_bytes: 64KB}}\n")
    config = told(["search", "digits", "--config", str(path), "--epochs", "5", "--limit", "ram=1KB"])
    assert (config.training.epochs, config.training.seed, config.training.preset) == (5, 3, "default")
    assert config.pruning.criterion == "snip"
    assert config.tuning.bounds == kgrow.Limits(flash_bytes=64_000, ram_bytes=1000)  # each is hard


def test_command_line_says_no_where_yaml_says_yes(tmp_path):
    line = ["search", "digits", "--config", str(written(tmp_path, "tuning: {calibrate: true}"))]
    assert told(line).tuning.calibrate
    assert not told([*line, "--no-calibrate"]).tuning.calibrate


def test_keywords_override_a_section_and_a_section_overrides_yaml(tmp_path):
    path = written(tmp_path, "training: {epochs: 7, batch_size: 8}\n")
    assert Config.of(path, {"training": {"epochs": 2}}).training == Training(epochs=2, batch_size=8)
    whole = Config.of(path, {"training": Training(seed=4)}, sectioned({"epochs": 9}))
    assert whole.training == Training(epochs=9, seed=4)


def test_device_and_limits_bind_together():
    tuning = Tuning(device="rp2040", limits={"ram_bytes": 1000, "params": "10k"})
    assert tuning.bounds.given == {"flash_bytes": 1_048_576, "ram_bytes": 1000, "params": 10_000}


@pytest.mark.parametrize(
    "layer",
    [
        {},
        {"pruning": "snip", "training": {"class_weight": {"a": 2, 1: 0.5}}, "export": "int8"},
        {"tuning": {"objective": "mixed:0.9", "max_time": "10m", "device": "rp2040", "limits": {"latency_ms": "5ms"}}},
        {"pruning": {"keep_ratio": np.array([0.5, 0.25]), "channel_keep_ratio": np.float32(0.5)}},
        {"data": {"image_size": (8, 12), "validation_split": 0.25}},
        {"training": {"augmentation": kgrow.Augmentation(shift=1, flip=True)}, "growth": {"space": {"name": "seed"}}},
    ],
)
def test_what_is_written_gives_the_configuration_again(layer, tmp_path):
    config = Config.of(layer)
    again = Config.of(written(tmp_path, config.to_yaml()))
    assert again == config
    assert again.to_yaml() == config.to_yaml()


def test_objects_are_written_by_the_names_and_fields_of_their_classes(tmp_path):
    config = Config.of(
        {
            "training": PRESETS["base"],
            "growth": SPACES["seed_dense"],
            "pruning": SNIP(reinitialize=True, seed=3),
            "tuning": Tuning(estimator=Halving(factor=2), objective=Mixed(0.5)),
        }
    )
    assert yaml.safe_load(config.to_yaml())["pruning"]["criterion"] == {"name": "snip", "reinitialize": True, "seed": 3}
    assert Config.of(written(tmp_path, config.to_yaml())) == config


NAMED = [
    (section, field, table, name)
    for section, field, tables in (
        ("training", "preset", (PRESETS,)),
        ("growth", "space", (SPACES,)),
        ("growth", "policy", (POLICIES,)),
        ("pruning", "criterion", (CRITERIA,)),
        ("pruning", "channel_criterion", (CHANNEL_CRITERIA,)),
        ("tuning", "estimator", (ESTIMATORS, EXPERIMENTAL)),
    )
    for table in tables
    for name in table.own
]


@pytest.mark.parametrize(("section", "field", "table", "name"), NAMED, ids=lambda it: it if type(it) is str else "")
def test_every_named_object_is_written_and_read_again(section, field, table, name, tmp_path):
    thing = table[name](3) if table in (CRITERIA, CHANNEL_CRITERIA) else table[name]
    assert reread({section: {field: thing}}, tmp_path)[section][field] == thing


@pytest.mark.parametrize("name", CURVATURES.own)
def test_curvature_of_a_criterion_is_written_by_its_name(name, tmp_path):
    curvature = CURVATURES[name](3)
    for field, kind in (("criterion", FisherPruning), ("criterion", BayesLink), ("channel_criterion", FisherChannel)):
        criterion = kind(min_saliency=1e-4, curvature=curvature)
        assert reread({"pruning": {field: criterion}}, tmp_path)["pruning"][field] == criterion


@pytest.mark.parametrize(
    ("section", "field", "thing"),
    [
        ("training", "augmentation", Augmentation(1, True, 2)),
        ("training", "preset", Preset(7, exit_weights=(0.5,), resolutions=((0, 0.5), (1, 1.0)))),
        ("growth", "space", Cells(Genotype.complete(1), ("N",), 8, (1.0,))),
        ("tuning", "estimator", LowFidelity(0.25)),
        *(("tuning", "objective", OBJECTIVES[name](0.25)) for name in OBJECTIVES.own if name != "accuracy"),
        ("tuning", "objective", OBJECTIVES["accuracy"]()),
    ],
)
def test_objects_with_fields_of_their_own_are_written_and_read_again(section, field, thing, tmp_path):
    assert reread({section: {field: thing}}, tmp_path)[section][field] == thing


def reread(layer, folder):
    """The sections of a configuration that was written to a file; what is written gives the same file again."""
    text = Config.of(layer).to_yaml()
    assert "python:" not in text
    again = Config.of(written(folder, text))
    assert again.to_yaml() == text
    return {name: vars(section) for name, section in vars(again).items()}


def test_curvature_may_be_a_name(tmp_path):
    path = written(tmp_path, "pruning: {criterion: {name: fisher, curvature: gauss_newton}}")
    assert Config.of(path).pruning.criterion == FisherPruning(curvature=GaussNewton())


def test_cluster_is_told_by_a_file_or_by_options_and_is_not_written(tmp_path, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: object())
    path = written(tmp_path, "tuning: {engine: ray, address: 'box:6379'}")
    line = ["search", "digits", "--config", str(path)]
    assert told(line).tuning.cluster == kgrow.Ray("box:6379")
    assert told([*line, "--address", "other:1"]).tuning.cluster == kgrow.Ray("other:1")
    assert Config.of(written(tmp_path, told(line).to_yaml())).tuning.cluster is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "prunning: {}",
            "`config` must have the sections .* but got 'prunning' in '.*run.yaml'. Did you mean 'pruning'?",
        ),
        ("epochs: 3", "but got 'epochs' in .* Write it as a field of the section `training`"),
        ("pruning: {keepratio: 1}", "`pruning.keepratio` is no field. Did you mean 'keep_ratio'?"),
        ("pruning: {epochs: 1}", "`pruning.epochs` is no field. It belongs to the section `training`"),
        ("pruning: {keep_ratio: 35}", "`pruning.keep_ratio` must be in .* but got 35"),
        ("pruning: {keep_ratio: half}", "`pruning.keep_ratio` must be in .* but got 'half'"),
        ("pruning: snop", "`pruning.criterion` must be one of .* Did you mean 'snip'?"),
        (
            "pruning: {criterion: {name: snip, reinitalize: true}}",
            "`pruning.criterion.reinitalize` .*'reinitialize'?",
        ),
        ("pruning: {criterion: {name: snop}}", "`pruning.criterion.name` must be one of .* Did you mean 'snip'?"),
        ("pruning: {criterion: {seed: 3}}", "`pruning.criterion` must be a name, or a mapping with a `name`"),
        (
            "training: {augmentation: {name: cutout, flip: true}}",
            "`training.augmentation` must be a name or a mapping of fields, but got both, 'cutout'",
        ),
        ("training: {preset: {}}", "`training.preset` must have all fields that are needed"),
        ("training: {preset: {epochs: 0}}", "`training.preset`: `epochs` must be a positive integer"),
        (
            "training: {preset: {name: base, learning_rate: -1}}",
            r"`training.preset`: `learning_rate` must be .* but got -1",
        ),
        ("growth: {space: {name: compact, widths: 2}}", "`growth.space`: `widths` must be a sequence, but got 2"),
        ("growth: {space: {name: compact, widths: []}}", r"`growth.space`: `widths` must decrease from 1, .* got \(\)"),
        ("growth: {space: {name: large, widths: [-1]}}", r"`growth.space`: `widths` must be in \(0, 1\], but got -1"),
        (
            "growth: {space: {name: seed, widths: [0.5, 1]}}",
            "`growth.space`: `widths` must decrease from 1, .* got .0.5, 1",
        ),
        ("growth: {space: {name: seed, links: [cat]}}", "`growth.space`: `links` must be one of .* but got 'cat'"),
        ("growth: {space: {name: seed, links: []}}", "`growth.space`: `links` must be one or more of 'concat'"),
        (
            "growth: {space: {name: cells, genotype: 3}}",
            "`growth.space`: `genotype` must be a `Genotype`, .* got 3",
        ),
        ("growth: {space: {name: cells, blocks: 3}}", "`growth.space`: `blocks` must hold a text .* but got 3"),
        ("growth: {space: {name: cells, filters: 0}}", "`growth.space`: `filters` must be a positive integer"),
        ("growth: {policy: {name: fixed, epochs: abc}}", "`growth.policy`: `epochs` must be a sequence, but got 'abc'"),
        ("growth: {policy: {name: plateau, until: a}}", r"`growth.policy`: `until` must be in \(0, 1\), but got 'a'"),
        (
            "pruning: {criterion: {name: fisher, min_saliency: a}}",
            r"`pruning.criterion`: `min_saliency` must be in \[0, inf\), but got 'a'",
        ),
        ("training: {epochs: 3.5}", "`training.epochs` must be a positive integer, but got 3.5"),
        ("training: {seed: null}", "`training.seed` must be 0 or a positive integer, but got None"),
        ("tuning: {calibrate: 'yes'}", "`tuning.calibrate` must be True or False, but got 'yes'"),
        ("tuning: {limits: {flash: 64KB}}", "`tuning.limits` must be one of .* Did you mean 'flash_bytes'?"),
        (
            "tuning: {limits: {flash_bytes: -1}}",
            "`tuning.limits.flash_bytes` must be a positive integer, but got -1",
        ),
        (
            "tuning: {limits: {latency_ms: 5KB}}",
            "`tuning.limits.latency_ms` must be a number, or a text such as .* but got '5KB'",
        ),
        ("tuning: {limits: 64}", "`tuning.limits` must be `Limits`, or a mapping"),
        ("tuning: {objective: mixed}", "`tuning.objective` must be 'accuracy', or a name and a fraction"),
        ("tuning: {engine: rya}", "`tuning.engine` must be one of .* Did you mean 'ray'?"),
        ("tuning: {address: 'box:6379'}", r"`tuning.address` .* must come with the engine 'ray'"),
        ("tuning: hyperband", r"`tuning.oracle` is not 'hyperband' since kgrow 0.2. .* \(`--estimator halving`\)"),
        ("tuning: {estimator: supernet}", "`tuning.estimator` must be one of 'full', 'halving', .* experimental"),
        ("data: 3", "`data` must be a mapping of fields"),
        ("training:\n  seed: 1\n  epochs: 2\n  seed: 3\n", "line 4 the key 'seed' is given twice"),
        ("- training", "`config` must be a file with a mapping of sections, but '.*run.yaml' holds a list"),
        ("training: {", "`config` must be a file of YAML, but in .* line 1"),
        ("training: !!python/name:os.system", "`config` must be a file of YAML, but in .* line 1"),
        ("a\0b", "`config` must be a file of YAML"),
    ],
)
def test_what_is_wrong_in_a_yaml_file_is_said_with_its_path(text, message, tmp_path):
    with pytest.raises((ValueError, TypeError), match=message):
        Config.of(written(tmp_path, text))


def test_empty_file_tells_nothing_and_a_missing_one_is_an_error(tmp_path):
    assert Config.of(written(tmp_path, "")) == Config()
    with pytest.raises(FileNotFoundError, match="`config` must be the path of a YAML file, but there is no file"):
        Config.of(tmp_path / "other.yaml")
    (tmp_path / "latin.yaml").write_bytes(b"pruning: \xff")
    with pytest.raises(ValueError, match="`config` must be a file of YAML"):
        Config.of(tmp_path / "latin.yaml")


def test_every_field_has_a_help_text_a_rule_and_an_option_of_its_own():
    flags = [flag_of(field) for _, field in ALL if flag_of(field)]
    assert len(flags) == len(set(flags)) == len(ALL)
    for _, field in ALL:
        option = option_of(field)
        assert option.help[0].islower()
        assert option.rule(field.default, field.name) == field.default


def test_arguments_that_are_given_by_themselves_are_fields():
    assert all(name in SECTIONS[section].__dataclass_fields__ for name, section in FLAT.items())


def test_help_fits_one_screen_and_names_the_help_for_all(capsys):
    with pytest.raises(SystemExit):
        cli.main(["search", "--help"])
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) <= 23  # of 24 rows the prompt takes one
    assert max(map(len, lines)) <= 80
    assert any("--help-all" in line for line in lines)
    assert any("--device NAME " in line for line in lines)


def test_help_for_all_has_every_option_in_its_section(capsys):
    with pytest.raises(SystemExit) as ended:
        cli.main(["search", "--help-all"])
    assert ended.value.code == 0
    text = capsys.readouterr().out
    titles = [text.index(f"\n{name}: ") for name in SECTIONS]
    assert titles == sorted(titles)
    for name, begin, end in zip(SECTIONS, titles, [*titles[1:], len(text)], strict=True):
        own = [flag_of(field) for section, field in ALL if section == name and flag_of(field)]
        assert all(f"\n  {flag}" in text[begin:end] for flag in own)
    assert "snip_reinit" in text


def test_help_and_names_need_no_tensorflow(tmp_path):
    code = (
        "import sys, contextlib\nfrom kgrow.cli import main\n"
        "for line in (['search', '--help-all'], ['search', 'digits', '--criterion', 'snop', '--config', 'run.yaml']):\n"
        "    with contextlib.suppress(SystemExit): main(line)\n"
        "print(*sys.modules.keys() & {'tensorflow', 'tf_keras', 'keras_tuner', 'scipy'}, file=sys.stderr)"
    )
    written(tmp_path, "tuning: {oracle: grid, estimator: halving, objective: 'mixed:0.5'}")
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stderr.endswith("Did you mean 'snip'?\n\n")


def test_options_page_is_what_its_recipe_writes():
    spec = importlib.util.spec_from_file_location("write_options", ROOT / "recipes" / "write_options.py")
    recipe = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(recipe)
    assert recipe.TARGET.read_text("utf-8") == recipe.page(), "run `python recipes/write_options.py`"


# What kgrow 0.1 took, but for what is an argument still.
REMOVED = (
    *("oracle", "estimator", "calibrate", "objective", "prefer", "quantize", "preset", "batch_size", "keep_ratio"),
    *("criterion", "strategy", "scope", "channel_keep_ratio", "channel_criterion", "channel_multiple", "augmentation"),
    *("validation_data", "validation_split", "test_data", "data_dir", "image_size", "class_names", "class_weight"),
    "distribute",
)


@pytest.mark.parametrize("name", REMOVED)
def test_removed_argument_is_an_error_that_says_how_it_is_given_now(name):
    with pytest.raises(
        TypeError, match=rf"`{name}` is no argument of `search`. Since kgrow 0.2 it is `.*{name}="
    ) as error:
        kgrow.search("digits", **{name: None})
    assert ("kgrow.Task.of" in str(error.value)) == (name in OF_TASK)


def test_unknown_argument_is_answered_with_the_nearest():
    assert spelled_now("epoch") == ""
    with pytest.raises(TypeError, match=r"`epoch` is no argument of `search`. Did you mean 'epochs'?"):
        kgrow.search("digits", epoch=3)


@pytest.mark.parametrize("flag", OPTIONS)
@pytest.mark.parametrize("value", [["3"], []])
def test_removed_option_is_an_error_that_names_the_new_one(flag, value, capsys):
    with pytest.raises(SystemExit) as ended:
        cli.main(["search", "digits", flag, *value])
    assert ended.value.code == cli.BAD_USAGE
    assert f"`{flag}` is no option since kgrow 0.2. {OPTIONS[flag]}" in capsys.readouterr().err


@pytest.mark.parametrize("command", COMMANDS)
def test_removed_command_is_an_error_that_names_the_new_one(command, capsys):
    assert cli.main([command, "digits", "--chief", "box:8123"]) == cli.BAD_USAGE
    assert f"`{command}` is no command since kgrow 0.2. {COMMANDS[command]}" in capsys.readouterr().err


def test_what_took_part_in_a_search_on_several_machines_is_an_error_that_names_the_engine():
    with pytest.raises(TypeError, match=r"`cluster` is no argument of `search`. .* `tuning=kgrow.Tuning\(engine='ray'"):
        kgrow.search("digits", cluster=None)
    for name in ("Chief", "Worker"):
        with pytest.raises(AttributeError, match=rf"`kgrow.{name}` is no more .* `tuning=kgrow.Tuning\(engine='ray'"):
            getattr(kgrow, name)


def test_task_that_was_read_otherwise_than_the_configuration_says_is_refused(tmp_path):
    task = kgrow.Task.of("digits", image_size=6)
    with pytest.raises(ValueError, match=r"`data.image_size` must be how the `Task` was read, 6, but got 7"):
        kgrow.search(task, config={"data": {"image_size": 7}}, directory=tmp_path, verbose=0)
    assert not any(tmp_path.iterdir())


@pytest.mark.slow
def test_configuration_of_a_run_gives_the_run_again(tmp_path):
    first = ["search", "digits", "--image-size", "6", "--trials", "1", "--epochs", "1", "--keep-ratio", "0.5"]
    assert cli.main([*first, "--out", str(tmp_path / "one"), "--verbose", "0"]) == cli.DONE
    again = ["search", "digits", "--config", str(tmp_path / "one/config.yaml"), "--out", str(tmp_path / "two")]
    assert cli.main([*again, "--verbose", "0"]) == cli.DONE
    for name in ("config.yaml", "config.json"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes(), name
    assert Config.of(tmp_path / "two/config.yaml").pruning == Pruning(keep_ratio=0.5)


def test_an_objective_in_fields_needs_its_number():
    given = {"tuning": {"objective": {"name": "mixed", "alpha": 0.7}}}
    assert Config.of(given).tuning.objective.alpha == 0.7
    with pytest.raises(ValueError, match=r"`tuning.objective` must have all fields that are needed"):
        Config.of({"tuning": {"objective": {"name": "mixed"}}})


def test_limits_of_several_layers_all_hold():
    layers = ({"tuning": {"limits": {"flash_bytes": "9KB", "macs": 5}}}, {"tuning": {"limits": {"macs": "2M"}}})
    assert Config.of(*layers).tuning.limits.given == {"flash_bytes": 9000, "macs": 2_000_000}


def test_a_key_that_is_a_list_is_named_with_its_line(tmp_path):
    (tmp_path / "a.yaml").write_text("? [a, b]\n: c\n")
    with pytest.raises(ValueError, match=r"line 1 found unhashable key"):
        Config.of(tmp_path / "a.yaml")


@pytest.mark.parametrize("criterion", [{"name": "random", "seed": "x"}, {"name": "snip", "reinitialize": "no"}])
def test_fields_of_a_criterion_are_held_against_their_types(criterion):
    with pytest.raises(ValueError, match=r"`pruning.criterion"):
        Config.of({"pruning": {"criterion": criterion}})


class Halved(Halving):
    """An estimator of a user, which has no name."""


class Averaged(GaussNewton):
    """A curvature of a user, which has no name."""


def test_file_says_what_it_cannot_give_again(tmp_path):
    whole, partly = Config.of({"pruning": "snip"}), Config.of({"pruning": Pruning(SNIP())})
    assert whole.to_yaml().startswith("# `kgrow search DATA --config FILE` with this file gives the run again.")
    assert "python:" not in partly.to_yaml()
    own = Config.of({"tuning": {"estimator": Halved()}})
    assert own.to_yaml().startswith("# What stands under `python` is the text of an object")
    with pytest.raises(ValueError, match=r"`tuning.estimator` must be given in Python, but is only the text"):
        Config.of(written(tmp_path, own.to_yaml()))
    nested = Config.of({"pruning": FisherPruning(curvature=Averaged())})
    with pytest.raises(ValueError, match=r"`pruning.criterion.curvature` must be given in Python, but is only"):
        Config.of(written(tmp_path, nested.to_yaml()))


@pytest.mark.parametrize(("text", "number"), [("1e-2", 0.01), ("5E3", 5000.0), ("-1.5e1", -15.0), (".5e+1", 5.0)])
def test_numbers_with_an_exponent_are_numbers(text, number, tmp_path):
    given = read_yaml(written(tmp_path, f"training: {{preset: {{name: base, learning_rate: {text}}}}}"))
    assert given["training"]["preset"]["learning_rate"] == number
    assert read_yaml(written(tmp_path, f"data: {{data_dir: '{text}', other: 1e-2x}}"))["data"]["data_dir"] == text


def test_texts_that_look_like_numbers_with_an_exponent_are_written_as_texts(tmp_path):
    config = Config.of(
        {"data": {"data_dir": "1e3"}, "training": {"class_weight": {"2e1": 3.0}, "preset": PRESETS["base"]}}
    )
    assert Config.of(written(tmp_path, config.to_yaml())) == config
