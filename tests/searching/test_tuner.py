"""Tests of the search itself: every oracle, one trial after the other, with KerasTuner's own files."""

import dataclasses
import json
import time
from types import SimpleNamespace

import pytest

from kgrow.run import Run
from kgrow.searching.estimating import Full
from kgrow.searching.estimating.estimates import Estimates
from kgrow.searching.limits import Limits
from kgrow.searching.objective import NAME, Accuracy
from kgrow.searching.oracles import ORACLES, make_oracle
from kgrow.searching.proposals import ACCURATE_RATIOS, LIMITED_RATIOS, SMALL_RATIOS, Proposals
from kgrow.searching.trials import Trials
from kgrow.searching.tuner import AT_ONCE, FOLDER, Tuner
from kgrow.training import Observer


class Learned(Trials):
    """Knows at once how good a candidate is: its first keep ratio."""

    at_once = 1

    def begin(self, index, proposal, deadline):
        self.begun.append(index)

    def _train(self, index, proposal, deadline, stop=None):
        if proposal.candidate.keep_ratios[0] in self.wrong:
            raise self.wrong[proposal.candidate.keep_ratios[0]]
        self.calls.append(index)
        trial = self._trial(index, proposal, "done", proposal.candidate.keep_ratios[0], self.settings.preset.epochs)
        self.directory(index).write_json("outcome.json", dataclasses.asdict(trial))
        return trial


@pytest.fixture
def search(tmp_path, tiny_task, tiny_space, tiny_settings):
    def run(oracle="random", trials=6, directory="search", wrong=None, limits=None, at_once=1):
        proposals = Proposals(tiny_space, tiny_task, limits=limits or Limits())
        with Run.open(tmp_path / directory, {}) as where:
            known = Learned(tiny_task, tiny_settings, Accuracy(), 1, where, Observer())
            known.calls, known.begun, known.wrong, known.at_once = [], [], wrong or {}, at_once
            tuner = Tuner(make_oracle(oracle, trials, 0), proposals, known, where)
            tuner.search()
        return SimpleNamespace(outcomes=known.outcomes, calls=known.calls, tuner=tuner, path=tmp_path / directory)

    return run


@pytest.mark.parametrize("oracle", ORACLES)
def test_every_oracle_tries_different_candidates_up_to_their_number(search, oracle):
    found = search(oracle)
    assert 1 < len(found.outcomes) <= 6
    assert sorted(found.outcomes) == list(range(len(found.outcomes)))
    values = [(str(trial.values), trial.epochs) for trial in found.outcomes.values() if trial.same_as is None]
    assert len(set(values)) == len(values)


@pytest.mark.parametrize("oracle", ORACLES)
def test_every_oracle_bears_ratios_that_a_limit_lowers(search, oracle):
    found = search(oracle, limits=Limits(params=100))
    assert len(found.outcomes) > 1
    assert all(trial.kept_params <= 100 for trial in found.outcomes.values())


@pytest.mark.parametrize("oracle", ["bayesian", "random"])
def test_the_defaults_come_first(search, oracle):
    assert search(oracle, trials=2).outcomes[0].keep_ratios == (0.125, 0.125)


@pytest.mark.slow
@pytest.mark.parametrize("limits", [Limits(), Limits(params=100)], ids=["free", "tight"])
def test_bayesian_search_goes_where_it_is_good(search, limits):
    found = search("bayesian", trials=14, limits=limits)
    drawn = [trial.objective for index, trial in found.outcomes.items() if 1 <= index <= 3]
    guided = [trial.objective for index, trial in found.outcomes.items() if index >= 8]
    assert sum(guided) / len(guided) > sum(drawn) / len(drawn)


@pytest.mark.slow
@pytest.mark.parametrize("oracle", ORACLES)
def test_search_that_is_started_again_proposes_the_same_and_trains_nothing(search, oracle):
    first, again = search(oracle), search(oracle)
    assert again.outcomes == first.outcomes
    assert again.calls == []


def test_kerastuners_files_tell_what_was_trained(search, capsys):
    found = search("random", limits=Limits(params=100))
    trial = json.loads((found.path / FOLDER / "trial_2" / "trial.json").read_text())
    outcome = found.outcomes[2]
    assert trial["hyperparameters"]["values"]["block_0/keep_ratio"] == outcome.keep_ratios[0]
    assert trial["score"] == outcome.objective
    found.tuner.results_summary()
    assert "block_1/keep_ratio" in capsys.readouterr().out


def test_gaussian_process_sees_the_box_in_which_it_looks(search):
    found = search("bayesian", limits=Limits(params=100))
    oracle = found.tuner.oracle
    points, _ = oracle._vectorize_trials()
    assert points.shape == (6, 2)
    assert points.min() > 0
    assert points.max() < 1
    for index, outcome in found.outcomes.items():
        assert oracle.trials[f"{index}"].hyperparameters.values["block_0/keep_ratio"] == outcome.keep_ratios[0]
    assert min(outcome.keep_ratios[0] for outcome in found.outcomes.values()) < LIMITED_RATIOS["min_value"]


@pytest.mark.parametrize(
    ("limits", "small", "bounds"),
    [(Limits(), True, SMALL_RATIOS), (Limits(), False, ACCURATE_RATIOS), (Limits(params=100), True, LIMITED_RATIOS)],
    ids=["small", "accurate", "tight"],
)
def test_kerastuner_may_propose_every_ratio(tiny_space, tiny_task, limits, small, bounds):
    import keras_tuner

    declared = keras_tuner.HyperParameters()
    Proposals(tiny_space, tiny_task, limits=limits, wants_small=small).declare(declared)
    smallest, largest, step = (bounds[name] for name in ("min_value", "max_value", "step"))
    for choice in declared.space:
        num_ratios = round((largest - smallest) / step) + 1
        ratios = [choice.prob_to_value((index + 0.5) / num_ratios) for index in range(num_ratios)]
        assert ratios == [smallest + index * step for index in range(num_ratios)]
        assert ratios[-1] == largest
        assert [choice.prob_to_value(choice.value_to_prob(ratio)) for ratio in ratios] == ratios


# Several at once


@pytest.mark.parametrize("oracle", ORACLES)
def test_oracle_is_told_of_trials_in_their_order_however_many_are_under_way(search, oracle, monkeypatch):
    told = []
    monkeypatch.setattr(
        Tuner,
        "_end",
        lambda self, trial, outcome, end=Tuner._end: (told.append(outcome.trial), end(self, trial, outcome)),
    )
    found = search(oracle, at_once=3)
    assert told == [f"{index:04d}" for index in range(len(found.outcomes))]
    assert len(found.outcomes) > 3


@pytest.mark.slow
def test_what_is_proposed_depends_on_how_many_are_under_way_and_not_on_who_trains_them(search):
    one, three = search("bayesian", 6, "one"), search("bayesian", 6, "three", at_once=3)
    values = [[outcome.values for outcome in found.outcomes.values()] for found in (one, three)]
    assert values[0][:3] == values[1][:3]  # what is drawn first
    assert values[0] != values[1]
    assert search("bayesian", 6, "three again", at_once=3).outcomes == three.outcomes


@pytest.mark.slow
@pytest.mark.parametrize(("before", "after"), [(1, 3), (3, 2)])
def test_run_goes_on_with_another_number_of_trials_at_once(search, before, after):
    few = search("bayesian", trials=4, at_once=before)
    more = search("bayesian", trials=6, at_once=after)
    assert {index: more.outcomes[index] for index in few.outcomes} == few.outcomes
    assert more.calls == [index for index in more.outcomes if index not in few.outcomes]
    again = search("bayesian", trials=6, at_once=after)
    assert (again.outcomes, again.calls) == (more.outcomes, [])


def test_run_of_one_trial_at_a_time_remembers_nothing_of_it(search):
    assert not (search().path / AT_ONCE).exists()
    assert json.loads((search(trials=9, at_once=2).path / AT_ONCE).read_text()) == [[0, 1], [6, 2]]


# What goes wrong


def test_programming_error_ends_the_search_as_it_was_raised(search):
    with pytest.raises(NameError, match="no such thing"):
        search(wrong={0.125: NameError("no such thing")})


@pytest.mark.parametrize("name", ["bayessian", "rand"])
def test_unknown_oracle_is_answered_with_the_nearest(name):
    with pytest.raises(ValueError, match="Did you mean"):
        make_oracle(name, 3, 0)


def test_what_is_no_oracle_is_refused():
    with pytest.raises(ValueError, match=r"must be one of .*'bayesian'.* or a keras_tuner.Oracle, but got 3"):
        make_oracle(3, 3, 0)


def test_oracle_that_has_searched_is_refused(search):
    used = search("random").tuner.oracle
    with pytest.raises(ValueError, match="must be one that has not searched yet, but has 6 trials"):
        make_oracle(used, 3, 0)


def test_oracle_with_another_objective_is_refused():
    import keras_tuner

    oracle = keras_tuner.oracles.RandomSearchOracle(
        objective=keras_tuner.Objective("loss", "min"), max_trials=2, seed=1
    )
    with pytest.raises(ValueError, match=r"must have the objective .*, but has 'loss', 'min'"):
        make_oracle(oracle, 3, 0)


def test_oracle_that_ends_trials_early_is_refused_with_the_estimator_that_does():
    import keras_tuner

    objective = keras_tuner.Objective(NAME, "max")
    oracle = keras_tuner.oracles.HyperbandOracle(objective=objective, max_epochs=9)
    with pytest.raises(ValueError, match=r"must not end trials early.* is the estimator 'halving'"):
        make_oracle(oracle, 3, 0)


def test_given_oracle_is_used(search):
    import keras_tuner

    oracle = keras_tuner.oracles.RandomSearchOracle(objective=keras_tuner.Objective(NAME, "max"), max_trials=2, seed=1)
    assert len(search(oracle).outcomes) == 2


# The time allowed


def test_time_that_is_over_ends_the_search_and_keeps_the_trial(tmp_path, tiny_task, tiny_space, tiny_settings):
    with Run.open(tmp_path / "search", {}) as run:
        trials = Trials(tiny_task, tiny_settings, Accuracy(), 1, run, Observer())
        proposals = Proposals(tiny_space, tiny_task, limits=Limits())
        estimates = Estimates(Full(), trials, proposals, Observer())
        Tuner(make_oracle("random", 3, 0), proposals, estimates, run, deadline=time.monotonic()).search()
        assert [trial.status for trial in trials.outcomes.values()] == ["stopped"]
        assert trials.num_finished() == 0


def test_what_links_in_kerastuners_folder_lead_to_stays(search, tmp_path):
    folder = search(trials=1).path / FOLDER
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter.txt").write_text("mine")
    (folder / "link").symlink_to(tmp_path / "mine")
    search(trials=1)
    assert not (folder / "link").exists()
    assert (tmp_path / "mine" / "letter.txt").read_text() == "mine"


@pytest.mark.slow
@pytest.mark.parametrize("oracle", ORACLES)
def test_trials_are_added_as_if_all_had_been_asked_for_at_first(search, oracle):
    few = search(oracle, trials=4, directory="more")
    more, whole = search(oracle, trials=18, directory="more"), search(oracle, trials=18, directory="whole")
    assert more.outcomes == whole.outcomes
    assert more.calls == whole.calls[len(few.calls) :]
