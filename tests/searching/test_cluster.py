"""Tests of what a process is told about its part."""

import subprocess
import sys

import pytest

from kgrow.searching.cluster import Address, Chief, Worker, from_environment


@pytest.mark.parametrize(
    ("text", "host", "port"), [("8123", "127.0.0.1", 8123), ("box:1", "box", 1), ("[::1]:65535", "[::1]", 65535)]
)
def test_an_address_is_a_port_of_this_machine_or_of_another(text, host, port):
    assert Address.parse(text) == Address(host, port)


@pytest.mark.parametrize("text", ["", "box", "box:", "0", "box:65536", "box:-1", "box:1.5"])
@pytest.mark.parametrize("part", [Chief, Worker])
def test_what_is_no_address_is_refused(text, part):
    with pytest.raises(ValueError, match=r"`address` \(`--chief`\) must be HOST:PORT or PORT, .* but got"):
        part(text)


def test_a_lease_is_longer_than_a_worker_is_silent():
    with pytest.raises(ValueError, match="`lease_s` must be at least 4, but got 1"):
        Chief("8123", lease_s=1)


def test_a_chief_is_waited_for():
    with pytest.raises(ValueError, match="`wait_s` must be a positive number of seconds"):
        Worker("8123", wait_s=0)


def test_workers_have_names_of_their_own_that_can_be_folders():
    assert Worker("8123").name == Worker("8123").name
    assert Worker("8123", name="../über all").name == "__ber_all"


KERASTUNER = {"KERASTUNER_ORACLE_IP": "10.0.0.1", "KERASTUNER_ORACLE_PORT": "9000"}


def test_kerastuners_variables_give_the_part():
    assert from_environment({}) is None
    assert from_environment({**KERASTUNER, "KERASTUNER_TUNER_ID": "chief"}) == Chief("10.0.0.1:9000")
    worker = from_environment({**KERASTUNER, "KERASTUNER_TUNER_ID": "tuner7"})
    assert worker == Worker("10.0.0.1:9000", name="tuner7")


def test_half_of_kerastuners_variables_are_refused():
    with pytest.raises(ValueError, match="`KERASTUNER_TUNER_ID` must be too"):
        from_environment(KERASTUNER)


def test_the_parts_are_public_and_load_no_tensorflow():
    code = "import kgrow, sys; kgrow.Chief('1'), kgrow.Worker('1'); print('tensorflow' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False"]
