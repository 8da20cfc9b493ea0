"""How much a quick run tries of what has many cases."""

import os


def examples(number: int) -> int:
    """Examples of a property: all of them, or a fifth in the run that leaves out what takes long."""
    return max(5, number // 5) if os.environ.get("DOSEFIND_TESTS") == "quick" else number
