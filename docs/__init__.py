"""The documentation site and its build: `python -m docs.build`."""
