"""C source that a firmware can hold twice: names, operations, arena and classes."""

import re
import shutil
import subprocess

import pytest

from kgrow.exporting import ExportOptions, c_source, cut
from kgrow.exporting.assembly import operation_names, parse
from kgrow.exporting.bundle import check_target
from kgrow.exporting.c_source import c_files, identifier
from kgrow.exporting.micro_arena import arena_bound

CLASSES = ("red", 'a "quoted" \\ one', "grün", "what??/")
PROGRAM = """
#include "first/model_data.h"
#include "second/model_data.h"
#include <cstdio>
struct Counter {
  int count = 0;
%s
};
int main() {
  Counter counter;
  first_add_operations(counter);
  if (counter.count != first_num_operations) return 1;
  if (first_model_data_size != second_model_data_size || first_arena_size <= 0) return 2;
  for (const char* name : first_class_names) std::puts(name);
  return first_model_data[4] == 'T' && second_model_data[5] == 'F' ? 0 : 3;
}
"""


@pytest.fixture(scope="module")
def model(int8_model):
    return cut.one_head(int8_model, 2)


@pytest.fixture(autouse=True)
def _without_asking(monkeypatch):
    monkeypatch.setattr(c_source, "arena_size", arena_bound)


def test_two_models_are_linked_into_one_program(model, tmp_path):
    compiler = shutil.which("c++")
    if compiler is None:
        pytest.skip("there is no C++ compiler")
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        for file, content in c_files(model, name, CLASSES).items():
            (tmp_path / name / file).write_bytes(content)
    added = "\n".join(f"  void {call}() {{ ++count; }}" for call in operations_in(tmp_path / "first" / "model_data.h"))
    (tmp_path / "main.cc").write_text(PROGRAM % added)
    sources = ["main.cc", "first/model_data.cc", "second/model_data.cc"]
    subprocess.run([compiler, "-Wall", "-Wextra", "-Werror", *sources, "-o", "main"], cwd=tmp_path, check=True)
    done = subprocess.run([tmp_path / "main"], capture_output=True, check=True)
    assert done.stdout.decode().splitlines() == list(CLASSES)


def test_names_that_differ_in_case_alone_have_guards_of_their_own(model):
    guards = {c_files(model, name, CLASSES)["model_data.h"].split(b"#ifndef ")[1].split()[0] for name in ("cat", "Cat")}
    assert len(guards) == 2


def operations_in(header):
    return re.findall(r"resolver\.(Add\w+)\(\)", header.read_text())


def test_header_lists_exactly_the_operations_of_the_model(model):
    header = c_files(model, "digits", CLASSES)["model_data.h"].decode()
    named = {call.lower() for call in re.findall(r"resolver\.Add(\w+)\(\)", header)}
    assert named == {name.replace("_", "").lower() for name in operation_names(parse(model))}
    assert "AddFullyConnected" in header
    assert "AddAveragePool2D" in header
    assert f"constexpr int digits_arena_size = {arena_bound(model)};" in header


def test_header_names_the_range_of_pixels(model):
    header = c_files(model, "digits", CLASSES, (0, 16.5))["model_data.h"].decode()
    assert "constexpr float digits_lowest_pixel = 0.0f;" in header
    assert "constexpr float digits_highest_pixel = 16.5f;" in header
    assert "digits_highest_pixel = 255.0f;" in c_files(model, "digits", CLASSES)["model_data.h"].decode()


@pytest.mark.parametrize(
    ("text", "name"),
    [("out", "out"), ("my flowers-2", "my_flowers_2"), ("2nd", "model_2nd"), ("花", "model"), ("__a__b", "a_b")],
)
def test_name_of_a_folder_becomes_one_that_c_allows(text, name):
    assert identifier(text) == name


def test_name_that_c_does_not_allow_or_that_nothing_uses_is_an_error(tmp_path):
    with pytest.raises(ValueError, match=r"`name` must be a name in C, but got 'a b'. A near one is 'a_b'"):
        ExportOptions(name="a b")
    with pytest.raises(ValueError, match="`path` must be a folder, where `name` is used"):
        check_target(tmp_path / "model.tflite", ExportOptions(name="flowers"))
