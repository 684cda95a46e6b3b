"""One training epoch: tensors in memory against a plain DataLoader loop, same model, one run.

Two plain loops are timed. In the first the model is written the usual way (conv1d, avg_pool1d,
linear, one parameter at a time) and read through a ``DataLoader``; the second reads our student
through the same ``DataLoader``, so the difference between the two ratios is the model's part. Both
models hold the same weights, and the benchmark stops if their logits differ.

    python benchmarks/bench_epoch.py --samples 42232 --rounds 3
"""

from __future__ import annotations

import argparse
import platform
import time
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader, TensorDataset

from photonic.beats import SEGMENTS
from photonic.layers import ConstrainedLinear
from photonic.students import SegmentConfig, Student, segment_student
from photonic.students.segment import POOLING
from photonic.threads import torch_threads
from training.config import OptimOptions
from training.loop import EpochPlan, Learner, Samples


class PlainStudent(nn.Module):
    """The segment-aware student as one would write it in torch, on the layers of ``student``."""

    def __init__(self, student: Student) -> None:
        super().__init__()
        self.layers = student.layers

    def values(self, name: str) -> tuple[Tensor, Tensor, Tensor]:
        layer = self.layers[name]
        assert isinstance(layer, ConstrainedLinear)
        return layer.values()

    def forward(self, beats: Tensor) -> Tensor:
        """Logits of ``beats (batch, 1, 360)``."""
        tokens = []
        for segment, (start, stop) in SEGMENTS.items():
            weight, bias, gain = self.values(f"{segment.lower()}_encoder")
            x = functional.conv1d(beats[..., start:stop], weight[:, None, :], bias)
            x = torch.tanh(gain * x)
            size = POOLING.get(segment, (1, x.shape[-1]))[1]
            tokens.append(functional.avg_pool1d(x, size))
        x = torch.cat(tokens, dim=-1).transpose(1, 2)
        for name in ("mlp0", "mlp1", "mlp2"):
            weight, bias, gain = self.values(name)
            x = torch.tanh(gain * functional.linear(x, weight, bias))
        weight, bias, gain = self.values("head")
        return gain * functional.linear(x.mean(1), weight, bias)


def plain_epoch(
    model: nn.Module, forward: Callable[[Tensor], Tensor], loader: DataLoader
) -> Callable[[], None]:
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3, weight_decay=1e-4)
    loss_of = nn.CrossEntropyLoss()

    def epoch() -> None:
        model.train()
        for beats, label in loader:
            optimizer.zero_grad()
            loss = loss_of(forward(beats), label)
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()

    return epoch


def our_epoch(
    student: Student, beats: Tensor, label: Tensor, batch_size: int
) -> Callable[[], None]:
    samples = Samples(inputs={"beat": beats.transpose(1, 2).contiguous()}, label=label)

    def objective(
        logits: Tensor, features: Tensor, batch: Tensor, weights: Tensor, plan: EpochPlan
    ) -> Tensor:
        return functional.cross_entropy(logits, label[batch], weights)

    learner = Learner(
        student,
        samples,
        np.arange(len(label)),
        objective,
        OptimOptions(batch_size=batch_size),
        torch.Generator().manual_seed(0),
    )
    plan = EpochPlan(
        epoch=0,
        num_epochs=1,
        schedule="constant",
        lr=1e-3,
        class_weights=(1.0, 1.0),
        multipliers=(1.0, 1.0),
    )
    return lambda: learner.train_epoch(plan)


def student_of(seed: int) -> Student:
    return segment_student(SegmentConfig(num_classes=2), torch.Generator().manual_seed(seed))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--samples", type=int, default=42_232, help="beats of the seed split")
    parser.add_argument("--batch-size", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=3, help="rounds; the best one counts")
    parser.add_argument("--threads", type=int, default=OptimOptions().threads)
    args = parser.parse_args()
    generator = torch.Generator().manual_seed(0)
    beats = torch.randn(args.samples, 1, 360, generator=generator).cumsum(-1)
    beats /= beats.abs().amax(-1, keepdim=True)
    label = (torch.rand(args.samples, generator=generator) < 0.06).long()
    loader = DataLoader(TensorDataset(beats, label), batch_size=args.batch_size, shuffle=True)
    written, read, ours = student_of(0), student_of(0), student_of(0)
    plain = PlainStudent(written)
    with torch.no_grad():
        difference = (plain(beats[:256]) - ours(beats[:256])[0]).abs().max()
    if difference > 1e-5:
        raise SystemExit(f"not the same model: logits differ by {float(difference):.2g}")
    epochs = {
        "DataLoader, plain torch model": plain_epoch(plain, plain, loader),
        "DataLoader, our student": plain_epoch(read, lambda x: read(x)[0], loader),
        "ours": our_epoch(ours, beats, label, args.batch_size),
    }
    with torch_threads(args.threads):
        best = dict.fromkeys(epochs, float("inf"))
        for _ in range(args.rounds):
            for name, epoch in epochs.items():
                started = time.perf_counter()
                epoch()
                best[name] = min(best[name], time.perf_counter() - started)
    print(f"{platform.machine()}, torch {torch.__version__}, {args.threads} thread(s)")
    print(f"{args.samples} beats, batch {args.batch_size}, best of {args.rounds} rounds")
    for name, seconds in best.items():
        print(f"{name:32s} {seconds:7.2f} s   {seconds / best['ours']:5.2f} × ours")


if __name__ == "__main__":
    main()
