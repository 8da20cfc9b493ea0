"""The documentation site and what builds it: `python -m docs.build`."""
