"""The report's words in a language, from one catalogue: the file ``words-<language>.toml`` beside this module.

A second language is a second file with the same keys. A phrase has places in braces, filled with figures, with the user's texts
and with the sentences that designs, curves and rules say of themselves.
"""

from __future__ import annotations

import string
import tomllib
from pathlib import Path
from typing import Any

from .._check import one_of
from .content import Run, Text, as_string

__all__ = ["Words", "languages"]

_HERE = Path(__file__).parent


def languages() -> list[str]:
    """Languages that there is a catalogue of."""
    return sorted(path.stem.removeprefix("words-") for path in _HERE.glob("words-*.toml"))


class Words:
    """Phrases by key.

    Parameters
    ----------
    language
        Code of the language, such as "en".

    Examples
    --------
    >>> Words("en").plain("count.patients", n=2)
    '2 patients'
    """

    def __init__(self, language: str = "en") -> None:
        one_of("language", language, languages())
        self.language = language
        self._table = tomllib.loads((_HERE / f"words-{language}.toml").read_text(encoding="utf-8"))

    def __call__(self, key: str, /, **values: Any) -> Text:
        """A phrase with its places filled: a `Run` or a `Text` as it is, anything else as plain text."""
        runs: list[Run] = []
        for literal, name, _, _ in string.Formatter().parse(self._phrase(key, values.get("n"))):
            if literal:
                runs.append(Run(literal))
            if name is not None:
                value = values[name]
                runs += value if isinstance(value, tuple) else [value if isinstance(value, Run) else Run(str(value))]
        return tuple(runs)

    def plain(self, key: str, /, **values: Any) -> str:
        """A phrase with its places filled, as one string."""
        return as_string(self(key, **values))

    def sentence(self, words: str) -> Text:
        """What an object says of itself as a whole sentence: its first letter raised, a full stop at its end."""
        return (Run(f"{words[:1].upper()}{self.stopped(words[1:])}"),)

    def stopped(self, words: str) -> str:
        """The same within a sentence, as its end."""
        return words if words.endswith((".", "!", "?")) else f"{words}."

    def table(self, key: str) -> dict[str, str]:
        """The phrases of a table of the catalogue."""
        return dict(self._at(key))

    def items(self, key: str) -> list[dict[str, Any]]:
        """The items of a table of the catalogue that is a list."""
        return list(self._at(key)["items"])

    def _phrase(self, key: str, n: Any) -> str:
        found = self._at(key)
        # A phrase that counts has a form for one and another for any other number.
        return found if isinstance(found, str) else found["one" if n == 1 else "other"]

    def _at(self, key: str) -> Any:
        found: Any = self._table
        for part in key.split("."):
            found = found[part]
        return found
