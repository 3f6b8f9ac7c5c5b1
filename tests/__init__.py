"""The tests: `tests/engine` needs torch, `tests/app` does not, `tests/bench` is run by hand."""
