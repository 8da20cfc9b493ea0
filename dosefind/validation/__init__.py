"""Validation of an installation: reference cases computed on the user's own machine and compared with published values and peers.

A case is a function in `cases` that returns what was computed beside its reference; to add one, write the function with its
`case` line and put the reference, with its source, in ``references``.
"""

from .running import Checked, SelfCheck, selfcheck

__all__ = ["Checked", "SelfCheck", "selfcheck"]
