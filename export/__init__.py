"""The device's side; installed as `kgrow_device` so that an exported folder gets its copy of `run.py`."""
