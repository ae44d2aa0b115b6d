"""Tests of where candidates are trained: what is refused before anything is read, and what a cluster has room for."""

import subprocess
import sys

import pytest

import kgrow
from kgrow.searching.engine import check_engine, check_environment


def test_this_process_is_an_engine():
    assert check_engine("local", "engine") == kgrow.Tuning().engine == "local"
    assert kgrow.Tuning().cluster is None


def test_ray_that_is_not_installed_is_named_with_its_extra(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    for engine in ("ray", kgrow.Ray()):
        with pytest.raises(ValueError, match=r"`engine` must be 'local' .* pip install 'kgrow\[ray\]'"):
            check_engine(engine, "engine")


def test_ray_by_its_name_is_ray_with_its_defaults(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: object())
    assert kgrow.Tuning(engine="ray").cluster == kgrow.Ray()
    assert kgrow.Tuning(engine="ray", address="box:6379").cluster == kgrow.Ray("box:6379")
    assert kgrow.Tuning(engine=kgrow.Ray("box:6379", cpus=2)).cluster == kgrow.Ray("box:6379", cpus=2)


@pytest.mark.parametrize("engine", ["local", kgrow.Ray("box:1")])
def test_address_without_the_engine_that_has_none_is_refused(engine, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: object())
    with pytest.raises(ValueError, match=r"`tuning.address` \(`--address`\) must come with the engine 'ray'"):
        kgrow.Tuning(engine=engine, address="box:6379")


@pytest.mark.parametrize("engine", [None, 3, "ray://box:10001"])
def test_what_is_no_engine_is_refused(engine):
    with pytest.raises(ValueError, match="`engine` must be one of 'local', 'ray'"):
        check_engine(engine, "engine")


def test_misspelt_engine_is_answered_with_the_nearest():
    with pytest.raises(ValueError, match=r"Did you mean 'ray'\?"):
        check_engine("rya", "engine")


@pytest.mark.parametrize("address", ["box", "box:", "box:0", "box:65536", ":6379", "ray://box:10001", "a b:1", 8123])
def test_what_is_no_address_is_refused(address):
    with pytest.raises(ValueError, match=r"`address` \(`--address`\) must be HOST:PORT"):
        kgrow.Ray(address)


@pytest.mark.parametrize(
    ("engine", "available", "room"),
    [
        (kgrow.Ray(), {"CPU": 4.0}, 4),
        (kgrow.Ray(), {"CPU": 16.0, "GPU": 2.0}, 2),
        (kgrow.Ray(gpus=0.5), {"CPU": 16.0, "GPU": 2.0}, 4),
        (kgrow.Ray(gpus=0), {"CPU": 16.0, "GPU": 2.0}, 16),
        (kgrow.Ray(cpus=3), {"CPU": 16.0}, 5),
    ],
)
def test_as_many_trials_are_trained_at_once_as_there_is_room_for(engine, available, room):
    assert engine.trials_at_once(available) == room


def test_gpus_are_taken_where_there_are_some():
    assert kgrow.Ray().resources({"CPU": 2.0}) == {"num_cpus": 1.0, "num_gpus": 0.0}
    assert kgrow.Ray().resources({"CPU": 2.0, "GPU": 1.0}) == {"num_cpus": 1.0, "num_gpus": 1.0}


def test_cluster_without_room_for_one_trial_is_refused():
    with pytest.raises(ValueError, match="2 processors and 0 GPUs, but a trial takes 1 and 1"):
        kgrow.Ray(gpus=1).trials_at_once({"CPU": 2.0})


@pytest.mark.parametrize("name", ["KERASTUNER_ORACLE_IP", "KERASTUNER_TUNER_ID"])
def test_variables_of_kerastuner_are_answered_with_the_engine(name):
    check_environment({"RAY_ADDRESS": "box:6379"})
    with pytest.raises(ValueError, match=rf"must be 'ray' .* sets {name}"):
        check_environment({name: "chief"})


@pytest.mark.slow
def test_nothing_of_ray_is_loaded_by_a_search_in_this_process(tmp_path):
    program = (
        "import sys, kgrow; told = {'keep_ratio': 0.5}; "
        "kgrow.search('digits', trials=1, epochs=1, pruning=told, verbose=0, directory='runs'); "
        "print('ray' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
