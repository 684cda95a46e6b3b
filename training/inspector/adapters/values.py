"""Numbers as logs write them."""

from __future__ import annotations

import math

_NONFINITE = {
    "nan": math.nan, "-nan": math.nan, "+nan": math.nan,
    "inf": math.inf, "+inf": math.inf, "-inf": -math.inf,
    "infinity": math.inf, "+infinity": math.inf, "-infinity": -math.inf,
}  # fmt: skip


def to_number(text: str) -> float | None:
    """The number that a text stands for, or None: ``0.5``, ``145,534``, ``12 %``, ``nan``.

    A comma is a separator of thousands where it stands before every three digits; else the text is
    no number, since ``0,5`` could be a half or a pair.
    """
    text = text.strip()
    nonfinite = _NONFINITE.get(text.lower())
    if nonfinite is not None:
        return nonfinite
    scale = 1.0
    if text.endswith("%"):
        text, scale = text[:-1].rstrip(), 0.01
    if "," in text or "_" in text or " " in text:
        text = _without_thousands(text)
    try:
        return float(text) * scale
    except ValueError:
        return None


def _without_thousands(text: str) -> str:
    head, *groups = text.replace("_", ",").replace(" ", ",").split(",")
    last = groups[-1].partition(".")[0] if groups else ""
    whole = [*groups[:-1], last]
    if not head.lstrip("+-") or not all(len(group) == 3 and group.isdigit() for group in whole):
        return "no number"
    return head + "".join(groups)
