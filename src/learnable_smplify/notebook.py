"""How values show themselves in a notebook."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape


def facts_html(title: str, facts: Mapping[str, str], notes: Sequence[str] = ()) -> str:
    """A small table, and notes below; whatever a file said in them is text and no markup."""
    rows = "".join(f"<tr><th>{escape(name)}</th><td>{escape(value)}</td></tr>" for name, value in facts.items())
    told = "".join(f"<li>{escape(note)}</li>" for note in notes)
    return f"<table><caption>{escape(title)}</caption>{rows}</table>" + (f"<ul>{told}</ul>" if told else "")
