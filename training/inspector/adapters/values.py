"""Numbers as logs write them."""

from __future__ import annotations


def to_number(text: str) -> float | None:
    """The number that a text stands for, or None: ``0.5``, ``nan``, ``145,534``, ``12 %``.

    A comma is a separator of thousands where it stands before every three digits; else the text is
    no number, since ``0,5`` could be a half or a pair.
    """
    try:
        return float(text)  # takes blanks around it, nan and inf in any case
    except ValueError:
        pass
    text, scale = text.strip(), 1.0
    if text.endswith("%"):
        text, scale = text[:-1].rstrip(), 0.01
    if "," in text or " " in text:
        text = _without_thousands(text)
    try:
        return float(text) * scale
    except ValueError:
        return None


def _without_thousands(text: str) -> str:
    head, *groups = text.replace(" ", ",").split(",")
    last = groups[-1].partition(".")[0]
    whole = [*groups[:-1], last]
    if not head.lstrip("+-") or not all(len(group) == 3 and group.isdigit() for group in whole):
        return "no number"
    return head + "".join(groups)
