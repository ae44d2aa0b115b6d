"""What is written beside the model of a run."""

from kgrow.exporting import ExportOptions
from kgrow.exporting.bundle import read_bundle
from kgrow.exporting.companions import write_companions
from kgrow.exporting.export import export_to
from kgrow.run import Run
from kgrow.training import Observer


class Notes(Observer):
    def __init__(self):
        self.told = []

    def note(self, text):
        self.told.append(text)


def test_files_of_a_user_stay_and_what_is_kgrows_is_replaced(tmp_path, tiny_network, tiny_task):
    observer = Notes()
    with Run.open(tmp_path / "run", {}) as run:
        for name in ("labels.txt", "model_data.h", "model_data.cc"):
            run.write_bytes(name, b"of an earlier search")
        (run.path / "run.py").write_text("print('mine')")
        artefact = export_to(tiny_network, tiny_task, run.claim("model.tflite"), ExportOptions(max_drop=1.0))
        model = (run.path / "model.tflite").read_bytes()
        write_companions(run, "model.tflite", artefact, observer)
        assert (run.path / "labels.txt").read_text() == "red\ngreen\nblue\n"
        assert not (run.path / "model_data.h").exists()  # a microcontroller would run another model than this one
        assert not (run.path / "model_data.cc").exists()
        assert (run.path / "run.py").read_text() == "print('mine')"
        (told,) = observer.told
        assert "run.py' is not kgrow's, so it stays" in told
        assert (run.path / "model.tflite").read_bytes() == model
        description, models = read_bundle(run.path)
        assert models == [model]
        assert description["latency_ms"] == artefact.latency_ms
        run.clear()
        assert {path.name for path in run.path.iterdir()} == {"config.json", "kgrow.files", "kgrow.lock", "run.py"}
