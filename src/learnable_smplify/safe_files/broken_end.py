"""What is said of a recording that ends too early, or too late: a program that was stopped leaves such files behind."""

from __future__ import annotations


def broken_line_note(line: int) -> str:
    """That the last line of a file, whose number is `line`, is only a part of one."""
    return f"line {line}, the last, breaks off and is left out"


def frame_count_notes(promised: float, found: int) -> tuple[str, ...]:
    """That a file has another number of whole frames than its header says; () where it has as many."""
    if promised == found:
        return ()
    how = "they are read (is it truncated?)" if found < promised else "all are read"
    return (f"the header promises {promised:.0f} frames, the file has {found}: {how}",)
