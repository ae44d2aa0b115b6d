"""Tests of limits: what they bound, how they are written, which devices are listed."""

import re

import pytest

from kgrow.searching.limits import Limits, devices


def test_only_given_limits_are_judged_and_an_exact_one_is_met():
    limits = Limits(params=10, latency_ms=0.5)
    assert limits.exceeded({"params": 10, "macs": 10**9, "latency_ms": 0.5}) == ()
    assert limits.exceeded({"params": 11, "latency_ms": 0.51}) == ("params", "latency_ms")
    assert limits.exceeded({}) == ()
    assert Limits().exceeded({"params": 10**9}) == ()


@pytest.mark.parametrize(
    ("limits", "concern"),
    [(Limits(), False), (Limits(params=1), False), (Limits(macs=1), True), (Limits(ram_bytes=1), True)],
)
def test_limits_that_concern_the_architecture(limits, concern):
    assert limits.concern_the_architecture == concern


def test_tightened_limits_satisfy_both():
    both = Limits(params=5, flash_bytes=100).tightened(Limits(flash_bytes=50, ram_bytes=7))
    assert both == Limits(params=5, flash_bytes=50, ram_bytes=7)


@pytest.mark.parametrize("name", ["params", "macs", "flash_bytes", "ram_bytes"])
@pytest.mark.parametrize("value", [0, -5, 2.5])
def test_limit_that_is_no_count_is_refused(name, value):
    with pytest.raises(ValueError, match=f"`{name}` must be a positive integer, but got"):
        Limits(**{name: value})


@pytest.mark.parametrize("value", [0, -0.5, float("nan"), float("inf"), "0ms"])
def test_latency_that_is_no_time_is_refused(value):
    with pytest.raises(ValueError, match="`latency_ms` must be positive and finite, but got"):
        Limits(latency_ms=value)


# Texts


def test_texts_have_units():
    texts = ["flash=64KB", "ram=32 KiB", "latency=0.5s", "params=10k", "macs=2.5M"]
    assert Limits.parse(texts) == Limits(10_000, 2_500_000, 64_000, 32_768, 500.0)
    assert Limits.parse(["flash=100"]) == Limits(flash_bytes=100)
    assert Limits.parse([]) == Limits()


@pytest.mark.parametrize("text", ["flash=64X", "flash=", "flash", "flash=-4KB", "latency=3KB", "params=1KB"])
def test_unknown_unit_or_no_number_is_explained(text):
    with pytest.raises(ValueError, match=f"must be a number and a unit, such as .*, but got '{re.escape(text)}'"):
        Limits.parse([text])


def test_unknown_name_is_answered_with_the_nearest():
    with pytest.raises(ValueError, match="Did you mean 'flash'"):
        Limits.parse(["flsh=64KB"])


def test_contradictory_limits_are_refused():
    assert Limits.parse(["ram=1KB", "ram=1000"]) == Limits(ram_bytes=1000)
    with pytest.raises(ValueError, match="must be given once per name, but ram_bytes is both 1000 and 1024"):
        Limits.parse(["ram=1KB", "ram=1KiB"])


# Devices


def test_every_device_has_plausible_figures_and_a_source():
    for name, device in devices().items():
        assert re.fullmatch(r"[a-z0-9-]+", name)
        assert set(device) == {"what", "flash_bytes", "ram_bytes", "source"}
        assert 0 < device["ram_bytes"] <= device["flash_bytes"]
        assert device["source"].startswith("https://")


def test_half_of_a_device_is_the_models():
    assert Limits.of_device("rp2040") == Limits(flash_bytes=1024 * 1024, ram_bytes=132 * 1024)


def test_unlisted_device_is_answered_with_the_nearest():
    with pytest.raises(ValueError, match="Did you mean 'rp2040'"):
        Limits.of_device("rp2O40")
