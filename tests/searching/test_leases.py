"""Tests of the leases, by a clock that only goes when it is told to."""

import pytest

from kgrow.searching.leases import Leases


class Clock:
    now = 100.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def leases(clock):
    return Leases(10.0, clock)


def test_who_is_heard_of_keeps_the_lease(leases, clock):
    leases.renew("first")
    for _ in range(5):
        clock.now += 9.9
        assert leases.take_expired() == []
        leases.renew("first")


def test_who_is_silent_loses_it_once(leases, clock):
    leases.renew("first")
    clock.now += 5
    leases.renew("second")
    clock.now += 5
    assert leases.take_expired() == ["first"]
    assert leases.take_expired() == []
    clock.now += 5
    assert leases.take_expired() == ["second"]
    assert not leases


def test_who_comes_back_has_a_new_one(leases, clock):
    leases.renew("first")
    clock.now += 11
    leases.take_expired()
    leases.renew("first")
    clock.now += 9
    assert leases.take_expired() == []
