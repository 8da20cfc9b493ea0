"""A report as files and in a notebook: the content of a document, rendered as HTML, PDF, Word and Markdown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from importlib import import_module
from pathlib import Path

from .._check import InputError, Problem, one_of
from ..provenance import refuse_to_overwrite, write_whole
from ..threads import one_thread
from .content import Document

__all__ = ["FORMATS", "Report", "can_save_as", "can_write"]

FORMATS = {"html": ("jinja2", "jinja2"), "pdf": ("typst", "typst"), "docx": ("python-docx", "docx")}
"""Formats of a report, with the package that makes each and the name under which it is imported."""


@dataclass(frozen=True, repr=False)
class Report(Document):
    """A report that a committee reads: its content, and the files made of it."""

    @classmethod
    def of(cls, document: Document) -> Report:
        """Return a report with the content of a document."""
        return cls(**{field.name: getattr(document, field.name) for field in fields(document)})

    @one_thread
    def save(self, folder: str | Path, formats: Sequence[str] = tuple(FORMATS), *, force: bool = False) -> list[str]:
        """Write the report as files, all or none.

        Parameters
        ----------
        folder
            Folder of the files; made if it does not exist.
        formats
            Any of "html", "pdf" and "docx".
        force
            Whether to overwrite existing files.

        Returns
        -------
        list of str
            Names of the files: ``report.html`` and so on.

        Raises
        ------
        InputError
            If a file exists, a format is unknown, or a package is missing; nothing is written then.
        """
        folder, names = Path(folder), can_write(formats)
        refuse_to_overwrite(folder, names, force)
        made = {name: getattr(self, one)() for name, one in zip(names, dict.fromkeys(formats), strict=True)}
        write_whole(folder, {name: one.encode() if isinstance(one, str) else one for name, one in made.items()}, force=force)
        return names

    @one_thread
    def save_as(self, path: str | Path, *, force: bool = False) -> list[str]:
        """Write the report as one file; its pictures stand beside a Markdown file.

        Parameters
        ----------
        path
            Name of the file, which ends in .docx, .md, .html or .pdf.
        force
            Whether to overwrite existing files.

        Returns
        -------
        list of str
            Names of the files written.

        Raises
        ------
        InputError
            If the name ends in something else, a file exists, or a package is missing; nothing is written then.
        """
        folder, name, kind = can_save_as(path, force=force)
        if kind == "md":
            made = {each: words.encode() for each, words in self.markdown(Path(name).stem).items()}
            refuse_to_overwrite(folder, list(made), force)
        else:
            content = getattr(self, kind)()
            made = {name: content.encode() if isinstance(content, str) else content}
        write_whole(folder, made, force=force)
        return list(made)

    @one_thread
    def markdown(self, stem: str = "report") -> dict[str, str]:
        """Return the report as Markdown, with its pictures as SVG, by the names of their files."""
        from .markdown import as_markdown

        return as_markdown(self, stem)

    @one_thread
    def html(self) -> str:
        """Return the report as one HTML file, which loads nothing from outside."""
        _need("html")
        from .html import as_html

        return as_html(self)

    @one_thread
    def pdf(self) -> bytes:
        """Return the report as a PDF file, tagged and with bookmarks; a character that no font has is named in a warning."""
        _need("pdf")
        from .pdf import as_pdf

        return as_pdf(self)

    @one_thread
    def docx(self) -> bytes:
        """Return the report as a Word file, with Word's own styles, tables and numbered captions."""
        _need("docx")
        from .docx import as_docx

        return as_docx(self)

    def __repr__(self) -> str:
        return f"{super().__repr__()}; html(), pdf(), docx(), save(folder)"

    def _repr_html_(self) -> str:
        from .html import in_frame

        return in_frame(self)


def can_write(formats: Sequence[str]) -> list[str]:
    """Return the names of the files of these formats, once it is known that they can be made."""
    if isinstance(formats, str) or not formats:
        raise InputError(Problem("formats", formats, f"must be a list of {' or '.join(FORMATS)}"))
    for one in formats:
        one_of("formats", one, FORMATS)
        _need(one)
    return [f"report.{one}" for one in dict.fromkeys(formats)]


def can_save_as(path: str | Path, *, force: bool = False) -> tuple[Path, str, str]:
    """Return folder, name and format of a file, once it is known that it can be made."""
    path = Path(path)
    kind = path.suffix[1:].lower()
    if kind not in (*FORMATS, "md") or not path.stem:
        raise InputError(
            Problem("out", str(path), f"must be the name of a file that ends in {', '.join(_ENDS[:-1])} or {_ENDS[-1]}")
        )
    if kind != "md":
        _need(kind)
    refuse_to_overwrite(path.parent, [path.name], force)
    return path.parent, path.name, kind


_ENDS = (".docx", ".md", ".html", ".pdf")


def _need(one: str) -> None:
    """Check that the package that makes a format is installed."""
    package, module = FORMATS[one]
    try:
        import_module(module)
    except ModuleNotFoundError as error:
        if error.name != module:
            raise
        raise InputError(f"a report needs {package}, which is not installed: pip install 'dosefind[report]'") from None
