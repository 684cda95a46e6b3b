"""One name for one thing, however a log spells it: ``val/auroc``, ``train/loss``, ``grad/head``.

A canonical name is ``<subset>/<quantity>`` where the log says which subset, ``grad/<module>`` for a
gradient norm, ``term/<name>`` for a term of the loss, and the plain quantity otherwise.
"""

from __future__ import annotations

import re
from functools import lru_cache

SUBSETS = {
    "train": ("train", "training", "tr"),
    "val": ("val", "valid", "validation", "dev"),
    "test": ("test", "testing", "generalisation", "generalization", "heldout", "unseen"),
}
QUANTITIES = {
    "auroc": ("auc", "roc_auc", "rocauc", "auc_roc"),
    "auprc": ("aupr", "pr_auc", "prauc", "average_precision", "avg_precision", "ap"),
    "accuracy": ("acc",),
    "f1": ("f1_score", "f1score"),
    "macro_f1": ("f1_macro",),
    "sensitivity": ("recall", "tpr"),
    "ppv": ("precision",),
    "lr": ("learning_rate",),
    "num_parameters": ("parameters", "num_params", "n_parameters", "total_parameters"),
    "num_train": ("samples", "num_samples", "n_samples", "train_samples", "num_train_samples"),
}
TRACE_KEYS = ("fold", "cell", "stage", "phase", "run", "version")
"""Names that tell one series of epochs from another."""
RUN_FACTS = ("num_parameters", "num_train")
"""Names that belong to the run, wherever in a log they stand."""
GRADIENTS = ("grad_norms", "grad_norm", "gradient_norms", "gradient_norm", "grad", "grads")
TERMS = ("loss_terms", "losses", "terms", "term")

_SUBSET_OF_WORD = {word: subset for subset, words in SUBSETS.items() for word in words}
_QUANTITY_OF_WORD = {word: name for name, words in QUANTITIES.items() for word in words}


@lru_cache(maxsize=16_384)
def canonical(name: str) -> str:
    """The canonical form of a column, key or group name; ``/`` separates levels.

    >>> canonical("Validation AUC"), canonical("train_loss_epoch"), canonical("loss")
    ('val/auroc', 'train/loss', 'train/loss')
    >>> canonical("grad_norms/encoder.0"), canonical("f1")
    ('grad/encoder.0', 'f1')
    """
    head, *rest = name.strip().split("/")
    group = _slug(head)
    if rest and group in GRADIENTS:
        return "/".join(("grad", *rest))
    if rest and group in TERMS:
        return "/".join(("term", *rest))
    for prefix in GRADIENTS[:-2]:
        if not rest and group.startswith(f"{prefix}_"):
            return f"grad/{group.removeprefix(prefix + '_')}"
    if not rest and group.startswith("num_"):
        return _QUANTITY_OF_WORD.get(group, group)
    subset, words = _subset([_slug(part) for part in (head, *rest)])
    quantity = "/".join(words)
    quantity = _QUANTITY_OF_WORD.get(quantity, quantity)
    if subset is None and quantity == "loss":
        subset = "train"
    if subset is None or quantity in RUN_FACTS:
        return quantity
    return f"{subset}/{quantity}" if quantity else subset


def put(values: dict[str, float], name: str, value: float) -> None:
    """Keep a value under its canonical name, or under its own where that one is taken.

    The first of two equal names counts: ``train_loss`` before the loss in ``train``.
    """
    known = canonical(name)
    values.setdefault(name if known in values else known, value)


def quantity_of(name: str) -> str:
    """The part of a canonical name after the subset."""
    subset, _, quantity = name.partition("/")
    return quantity if subset in SUBSETS and quantity else name


def _slug(text: str) -> str:
    """Lower case, words joined by ``_``, without the suffix that Lightning adds to epoch means."""
    slug = re.sub(r"[^a-z0-9]+", "_", text.lower()).strip("_")
    return slug.removesuffix("_epoch") or slug


def _subset(parts: list[str]) -> tuple[str | None, list[str]]:
    """The subset that the first or last word of some level names, and the levels without it."""
    for place, part in enumerate(parts):
        words = part.split("_")
        for position in (0, -1):
            subset = _SUBSET_OF_WORD.get(words[position])
            if subset is None:
                continue
            left = "_".join(words[1:] if position == 0 else words[:-1])
            kept = [*parts[:place], *([left] if left else []), *parts[place + 1 :]]
            return subset, kept
    return None, parts
