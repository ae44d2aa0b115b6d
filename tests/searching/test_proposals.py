"""Tests of proposals: whatever is proposed, what is tried fits, and is as near as it can be."""

import dataclasses
import random
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kgrow.pruning import SCOPES, kept_params
from kgrow.pruning.select import kept_count
from kgrow.searching import SPACES, Candidate
from kgrow.searching.footprint import costs
from kgrow.searching.limits import LimitError, Limits
from kgrow.searching.proposals import LIMITED_RATIOS, Proposals

TRAIN = SimpleNamespace(images=None)  # these spaces do not look at images
COLOUR = SimpleNamespace(
    input_shape=(32, 32, 3), num_classes=10, pixel_mean=(0.0,) * 3, pixel_std=(1.0,) * 3, dtype="uint8", train=TRAIN
)
DENSE_SIZE = 169_392


class Drawn:
    """Draws any value that may be proposed, and remembers what was asked for."""

    def __init__(self, seed):
        self.random, self.asked = random.Random(seed), {}

    def Float(self, name, min_value, max_value, step, default):  # noqa: N802
        self.asked[name] = (min_value, max_value)
        return min_value + step * self.random.randrange(round((max_value - min_value) / step) + 1)

    def Choice(self, name, values, default):  # noqa: N802
        self.asked[name] = tuple(values)
        return self.random.choice(values)


class Defaults(Drawn):
    """Answers with the defaults."""

    def Float(self, name, min_value, max_value, step, default):  # noqa: N802
        return default

    def Choice(self, name, values, default):  # noqa: N802
        return default


def proposals(space="seed_dense", task=COLOUR, **options):
    options.setdefault("limits", Limits())
    return Proposals(SPACES[space], task, **options)


# What is searched


def test_without_limits_keep_ratios_of_the_whole_network_are_searched():
    hp = Drawn(0)
    found = proposals("compact").sample(hp)
    assert set(hp.asked) == {f"block_{index}/keep_ratio" for index in range(4)}
    assert found.candidate.architecture == SPACES["compact"].build(
        (32, 32, 3), 10, found.candidate.architecture.scaling
    )
    assert found.values["depth"] == 4


def test_an_objective_that_counts_energy_offers_smaller_networks_without_any_limit():
    hp = Drawn(0)
    offered = proposals("compact", counts_energy=True)
    offered.sample(hp)
    assert set(hp.asked) >= {"network", "block_0/keep_ratio"}
    assert len(offered.variants) == len(proposals("compact", limits=Limits(macs=10**9)).variants) > 1
    assert offered.sample(Defaults(0)).candidate.architecture == offered.full


def test_networks_that_cannot_fit_are_counted():
    everything = proposals("compact", limits=Limits(macs=10**9))
    fewer = proposals("compact", limits=Limits(macs=10**6))
    assert everything.num_infeasible == 0
    assert fewer.num_offered == everything.num_offered == len(everything.variants)
    too_large = [architecture for architecture, _ in everything.variants.values() if architecture.macs() > 10**6]
    assert fewer.num_infeasible == len(too_large) > 0


def test_limits_on_the_file_alone_search_the_architecture_alone():
    hp = Drawn(0)
    found = proposals("compact", limits=Limits(flash_bytes=40_000)).sample(hp)
    assert set(hp.asked) == {"network"}
    assert {name.split(" x ")[0] for name in hp.asked["network"]} == {"1", "2", "3", "4"}
    assert set(found.candidate.keep_ratios) == {1.0}


def test_links_are_searched_where_the_space_offers_them():
    hp = Drawn(0)
    proposals("seed", limits=Limits(macs=30_000_000)).sample(hp)
    assert hp.asked["links"] == ("concat", "add", "none")


@pytest.mark.parametrize(
    ("given", "ratios"),
    [
        (0.4, (0.4,) * 4),
        (1, (1.0,) * 4),
        (np.float32(0.5), (0.5,) * 4),
        ([0.4, 0.3, 0.2, 0.1],) * 2,
        (np.array([0.5, 0.25, 0.5, 1]), (0.5, 0.25, 0.5, 1.0)),
    ],
)
def test_given_ratios_are_taken_as_they_are(given, ratios):
    hp = Drawn(0)
    assert proposals(keep_ratio=given).sample(hp).candidate.keep_ratios == tuple(ratios)
    assert hp.asked == {}


@given(seed=st.integers(0, 10**6), ram=st.integers(12_000, 40_000), small=st.booleans())
@settings(max_examples=12)
def test_every_choice_of_a_space_is_searched_and_what_it_gives_fits(seed, ram, small):
    hp, limits = Drawn(seed), Limits(flash_bytes=40_000, ram_bytes=ram)
    chosen = proposals("flexible", limits=limits, wants_small=small)
    found = chosen.sample(hp)
    assert set(hp.asked) == {"network", *chosen.choices}
    assert not limits.exceeded(dataclasses.asdict(found.footprint))
    assert chosen.network(found.values) == found.candidate.architecture
    assert found.footprint.macs <= max(known.macs for _, known in chosen.variants.values())
    depth = found.values["depth"]
    later = {name: value for name, value in found.values.items() if name.startswith("block_") and int(name[6]) >= depth}
    assert later.items() <= chosen.chosen.items()  # a block that is not there has one name


def test_width_is_the_largest_that_fits_with_what_was_chosen():
    limits = Limits(flash_bytes=40_000)
    chosen = proposals("flexible", limits=limits)
    for seed in range(8):
        found = chosen.sample(Drawn(seed))
        wider = [width for width in chosen.space.widths if width > found.values["width"]]
        if {name: found.values[name] for name in chosen.choices} == chosen.chosen or not wider:
            continue
        most = max(known.macs for _, known in chosen.variants.values())
        named = {name: found.values[name] for name in chosen.choices}
        built = chosen.space.build((32, 32, 3), 10, chosen.full.scaling, width=min(wider), **named)
        known = costs(dataclasses.replace(built, blocks=built.blocks[: found.values["depth"]]))
        same = dataclasses.replace(built, blocks=built.blocks[: found.values["depth"]]) == found.candidate.architecture
        assert same or known.flash_bytes > 40_000 or known.macs > most


def test_a_choice_is_made_where_nothing_fits_without_it():
    limits = Limits(ram_bytes=7_000)
    with pytest.raises(LimitError):
        proposals("compact", limits=limits)
    chosen = proposals("flexible", limits=limits)
    assert chosen.chosen["stem_stride"] == 2
    assert chosen.sample(Defaults(0)).values["stem_stride"] == 2


def test_choices_are_their_defaults_where_only_connections_are_limited():
    hp = Drawn(0)
    chosen = proposals("flexible", limits=Limits(params=20_000))
    assert chosen.sample(hp).candidate.architecture == chosen.full
    assert set(hp.asked) == {f"block_{index}/keep_ratio" for index in range(4)}


# What fits


@pytest.mark.parametrize("scope", SCOPES)
@given(params=st.integers(200, 2 * DENSE_SIZE), seed=st.integers(0, 100))
def test_every_candidate_keeps_to_the_connections_and_nearly_uses_them(scope, params, seed):
    found = proposals(limits=Limits(params=params), scope=scope).sample(Drawn(seed))
    kept = kept_params(found.candidate.architecture, found.candidate.keep_ratios, scope)
    assert kept == found.footprint.params <= params
    if scope == "layer":
        architecture, ratios = found.candidate.architecture, found.candidate.keep_ratios
        assert all(kept_count(ratios[op.block_index], op.kernel_params) for op in architecture.kernels())
    was_lowered = any(ratio % LIMITED_RATIOS["step"] for ratio in found.candidate.keep_ratios)
    assert not was_lowered or kept > 0.99 * params - 100


@given(flash=st.integers(12_000, 300_000), ram=st.integers(15_000, 60_000), seed=st.integers(0, 100))
def test_every_candidate_fits_the_predicted_file(flash, ram, seed):
    limits = Limits(flash_bytes=flash, ram_bytes=ram)
    found = proposals("compact", limits=limits).sample(Drawn(seed))
    assert not limits.exceeded(dataclasses.asdict(found.footprint))


def test_widths_that_give_the_same_network_are_offered_once():
    gray = SimpleNamespace(
        input_shape=(8, 8, 1), num_classes=10, pixel_mean=(0.0,), pixel_std=(1.0,), dtype="uint8", train=TRAIN
    )
    chosen = proposals("compact", gray, limits=Limits(flash_bytes=12_988))
    architectures = [architecture for architecture, _ in chosen.variants.values()]
    assert len(set(architectures)) == len(architectures)
    assert (1, 1.0) in chosen.variants
    assert (1, 0.875) not in chosen.variants


def test_networks_are_offered_in_the_order_of_their_cost_and_the_largest_is_the_default():
    chosen = proposals("compact", limits=Limits(flash_bytes=64_000))
    macs = [known.macs for _, known in chosen.variants.values()]
    assert macs == sorted(macs, reverse=True)
    sizes = [architecture.kernel_params() * known.macs for architecture, known in chosen.variants.values()]
    found = chosen.sample(Defaults(0)).candidate.architecture
    assert found.kernel_params() * found.macs() == max(sizes)


def test_networks_that_leave_most_of_the_limit_unused_are_tried_only_where_small_ones_are_wanted():
    hp, limits = Drawn(0), Limits(flash_bytes=48_000)
    accurate, small = proposals("compact", limits=limits), proposals("compact", limits=limits, wants_small=True)
    accurate.sample(hp)
    tried = set(hp.asked["network"])
    small.sample(hp)
    assert tried < set(hp.asked["network"])
    assert len(hp.asked["network"]) == len(small.variants) == len(accurate.variants)
    sizes = {
        f"{depth} x {width:g}": (network.kernel_params(), known.macs)
        for (depth, width), (network, known) in accurate.variants.items()
    }
    for name, (params, macs) in sizes.items():
        larger = any(0.7 * most >= params and 0.7 * more >= macs for most, more in sizes.values())
        assert (name in tried) != larger


def test_given_ratio_that_fits_exactly_is_allowed_and_the_next_one_explained():
    kept = kept_params(SPACES["seed_dense"].build((32, 32, 3), 10), (0.5,) * 4)
    assert proposals(limits=Limits(params=kept), keep_ratio=0.5).sample(Drawn(0)).footprint.params == kept
    with pytest.raises(LimitError) as caught:
        proposals(limits=Limits(params=20_000), keep_ratio=0.5)
    message = str(caught.value)
    assert "the nearest one (4 blocks, width 1) breaks params 84696 > 20000" in message
    nearest = float(message.split("uniform keep ratio of ")[1].split(" ")[0])
    assert 0.99 * 20_000 < kept_params(SPACES["seed_dense"].build((32, 32, 3), 10), (nearest,) * 4) <= 20_000


@pytest.mark.parametrize(
    ("limits", "name", "nearest"),
    [
        (Limits(params=10), "params", "4 blocks, width 1"),
        (Limits(ram_bytes=3_000), "ram_bytes", "4 blocks, width 0.125"),
        (Limits(flash_bytes=2_000), "flash_bytes", "1 block, width 0.125"),
    ],
)
def test_limits_that_nothing_meets_name_the_nearest_point_and_what_binds(limits, name, nearest):
    words = rf"the nearest one \({nearest}\) breaks {name} \d+ > {limits.given[name]}\. Loosen them"
    with pytest.raises(LimitError, match=words):
        proposals("compact", limits=limits)


# Bad ratios


@pytest.mark.parametrize("ratio", [35, 0.0, -0.1, float("nan"), [0.5, 35, 0.5, 0.5]])
def test_ratio_that_is_no_fraction_is_explained(ratio):
    with pytest.raises(ValueError, match=r"must be in \(0, 1\], but got .*It is the fraction of weights kept"):
        proposals(keep_ratio=ratio)


@pytest.mark.parametrize("ratios", [(), (0.5,), (0.5, 0.5, 0.5), (0.5,) * 5])
def test_wrong_number_of_ratios_is_explained(ratios):
    blocks = "of the 4 blocks" if ratios else "block"
    with pytest.raises(ValueError, match=rf"`keep_ratio` must be one number or one for each {blocks}, but got \("):
        proposals(keep_ratio=ratios)


def test_candidate_checks_its_own_ratios():
    dense = SPACES["seed_dense"].build((32, 32, 3), 10)
    with pytest.raises(ValueError, match="must hold one ratio per block, but got 2 ratios for 4 blocks"):
        Candidate(dense, (0.5, 0.5))
    with pytest.raises(ValueError, match=r"`keep_ratio` must be in \(0, 1\], but got 35"):
        Candidate(dense, (0.5, 0.5, 0.5, 35))


@pytest.mark.parametrize("limits", [Limits(params=10_000, flash_bytes=16_000), Limits(params=10_000, macs=1_000_000)])
def test_ratios_of_every_depth_are_declared_before_the_search(limits):
    gray = SimpleNamespace(
        input_shape=(28, 28, 1), num_classes=10, pixel_mean=(0.0,), pixel_std=(1.0,), dtype="uint8", train=TRAIN
    )
    chosen = proposals("compact", gray, limits=limits)
    declared = Defaults(0)
    declared.Float = lambda name, default, **bounds: declared.asked.setdefault(name, default)
    chosen.declare(declared)
    for seed in range(20):
        drawn = Drawn(seed)
        chosen.sample(drawn)
        assert {name for name in drawn.asked if name != "network"} <= set(declared.asked)
