"""What is told of an exported file: as a table at 80 columns, with how certain it is."""

import io
import re

import pytest

from kgrow.reporting.artefacts import print_artefact, print_benchmark

ARTEFACT = {
    "path": "/data/out/model.tflite",
    "quantization": "int8",
    "bytes": 213_070,
    "gzip_bytes": 117_635,
    "test_accuracy": 0.8499,
    "test_accuracy_interval": [0.8428, 0.8568],
    "accuracy_drop": 0.0028,
    "agreement": 0.9871,
    "latency_ms": 0.472,
    "latency_p95_ms": 0.767,
    "ram_bytes": 32_896,
    "macs": 24_839_408,
    "exit_index": 3,
    "early_exit": None,
    "runtime": "ai_edge_litert 2.3.0",
}


def test_exported_file_has_the_interval_of_its_accuracy_in_a_table_of_80_columns(monkeypatch):
    monkeypatch.delenv("COLUMNS", raising=False)
    stream = io.StringIO()
    print_artefact(ARTEFACT, stream)
    assert re.search(r"^test accuracy  84\.99 %, 95 % interval 84\.3 to 85\.7$", stream.getvalue(), re.MULTILINE)
    assert re.search(
        r"^compared       0\.28 points below the Keras network at head 3$", stream.getvalue(), re.MULTILINE
    )


@pytest.mark.parametrize(
    ("columns", "left_out"),
    [("120", None), ("80", "mean, gzip"), ("60", "mean, gzip, 95 %, MACs")],
)
def test_narrow_benchmark_loses_columns_and_says_which(monkeypatch, columns, left_out):
    monkeypatch.setenv("COLUMNS", columns)
    row = {**ARTEFACT, "format": "int8 + exits", "mean_latency_ms": 0.527}
    document = {"runtime": "LiteRT", "num_threads": 1, "task": "cifar10", "is_same_data": True, "rows": [row]}
    stream = io.StringIO()
    print_benchmark(document, stream)
    text = stream.getvalue()
    assert re.search(r"^int8 \+ exits +213 070 .*84\.99 \(84\.3-85\.7\)", text, re.MULTILINE)
    assert re.findall(r"left out at this width: (.*)\.$", text, re.MULTILINE) == ([left_out] if left_out else [])
