"""A student is a program whose layers are still being learned."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from photonic.errors import ConfigError
from photonic.execute import execute, grids
from photonic.layers import CodedLayer, ConstrainedLinear, Core, ExactCore, TensorShape, activate
from photonic.program import Activation, Input, Linear, Mean, Program, Step, sources
from photonic.students.coded import can_be_coded, coded_patches
from photonic.students.fused import AffineMaps, find_chains, find_squashed
from photonic.students.injection import Injection, Injections
from photonic.students.pooled import pooled_patches
from photonic.students.rows import RowsLinear
from photonic.students.tape import Tape, TapePass, record, tape_kernel
from photonic.students.tiles import lay_out, tiled_logits


class Student(nn.Module):
    """A program of constrained layers, run on torch tensors by the common interpreter.

    Swapping :attr:`core` swaps what the hardware does to every product (nothing, bits, noise) and
    leaves the parameters alone. On the exact core, :attr:`injection` disturbs training. A training
    pass on a core with an ADC leaves in :attr:`overflow` how far the products that no tanh bounds
    left its range, summed over their layers.

    Args:
        inputs: inputs of the program.
        steps: its steps.
        output: name of the logits.
        features: name of the value that distillation compares, one token (``h_pool``).
        layers: the learned layers by name.
        dropout: probability, applied to the input of each layer in ``dropout_before``.
        dropout_before: names of those layers.
    """

    def __init__(
        self,
        *,
        inputs: tuple[Input, ...],
        steps: tuple[Step, ...],
        output: str,
        features: str,
        layers: Mapping[str, ConstrainedLinear],
        dropout: float = 0.0,
        dropout_before: frozenset[str] = frozenset(),
    ) -> None:
        super().__init__()
        self.inputs, self.steps, self.output, self.features = inputs, steps, output, features
        self.grids = grids(inputs, steps)
        self.layers = nn.ModuleDict(layers)
        self.chains, self.rest = find_chains(steps)
        self.squashed = find_squashed(steps)
        self.affine = AffineMaps(layers)
        self.core: Core = ExactCore()
        self.generator: torch.Generator | None = None
        self.generators: tuple[torch.Generator, ...] = ()
        self.injection: Injection | Injections | None = None
        self.overflow: Tensor | None = None
        squashed = {s.source for s in steps if isinstance(s, Activation) and s.kind == "tanh"}
        self.unsquashed = {s.out for s in steps if isinstance(s, Linear)} - squashed
        self.dropout = dropout
        self.dropout_before = dropout_before
        program = self.program()  # refuses a malformed one before the first batch
        self.tiled, self.tape = lay_out(program), self._recorded(program)

    def forward(
        self, inputs: Mapping[str, Tensor] | Tensor, raw: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Logits ``(batch, classes)`` and pooled features ``(batch, channels)``.

        Args:
            inputs: each input by name, ``(batch, tokens, channels)``; or, where there is but one,
                a tensor ``(batch, channels, tokens)``.
            raw: the learned parameters as one vector, in the order of ``named_parameters``, if
                they are at hand; only the exact core looks at it. A matrix holds one student in
                each row: inputs, logits and features then have a leading axis.

        Raises:
            ConfigError: noise is to be injected on a core that brings its own.
        """
        if isinstance(inputs, Tensor):
            named = {self.inputs[0].name: inputs.transpose(1, 2)}
        else:
            named = dict(inputs)
        if type(self.core) is ExactCore:  # a subclass may do more
            raw = self.raw() if raw is None else raw
            learning_inputs = any(x.requires_grad for x in named.values())
            taped = None if raw.dim() == 1 or learning_inputs else self._taped(named, raw)
            if taped is not None:
                return taped
            affine = self.affine(raw, self._disturbing_weights)
            if learning_inputs:
                values = execute(named, self.steps, _ExactArithmetic(self, affine))
            else:
                given = named | self._chained(named, affine)
                values = execute(given, self.rest, _ExactArithmetic(self, affine))
        elif self.disturbing is not None:
            raise ConfigError("injected noise is for the exact core: give the core its own noise")
        else:
            values = self._values_on_core(named)
        return values[self.output][..., 0, :], values[self.features][..., 0, :]

    @torch.no_grad()
    def tiled_logits(self, inputs: Mapping[str, Tensor], index: Tensor) -> Tensor | None:
        """Logits of chosen samples without dropout and noise, faster than :meth:`forward`.

        Args:
            inputs: every sample by input, ``(n, tokens, channels)``.
            index: numbers of the samples, int64 on the CPU.

        Returns:
            ``(len(index), classes)``; None for a student or inputs that this cannot do.
        """
        if self.tiled is None or type(self.core) is not ExactCore:
            return None
        logits = tiled_logits(self.tiled, inputs, index, self.affine.in_a_row(self.raw()[None]))
        return None if logits is None else logits[0]

    def raw(self) -> Tensor:
        """The learned parameters as one vector."""
        return torch.cat([p.reshape(-1) for p in self.layers.parameters() if p.requires_grad])

    def _chained(
        self, named: Mapping[str, Tensor], affine: Mapping[str, tuple[Tensor, Tensor]]
    ) -> dict[str, Tensor]:
        """What chains put out, in few operations (see ``students.fused``)."""
        injection = self.disturbing
        chained: dict[str, Tensor] = {}
        for chains in self.chains:
            chained |= pooled_patches(chains, named[chains[0].source], affine)
            for chain in chains:
                if injection is not None and chain.kind != "relu":
                    means = chained[chain.out]
                    chained[chain.out] = injection.activation(means, chain.mean_size)
        return chained

    def _recorded(self, program: Program) -> Tape | None:
        """The program for several students at once."""
        sizes = {n: x.matrix.size + x.bias.size for n, x in program.layers.items()}
        return record(
            [given.name for given in self.inputs],
            [chain for chains in self.chains for chain in chains],
            self.rest,
            program.shapes(),
            sizes,
            output=self.output,
            features=self.features,
            dropout_before=self.dropout_before if self.dropout else frozenset(),
        )

    def _taped(self, named: Mapping[str, Tensor], raw: Tensor) -> tuple[Tensor, Tensor] | None:
        """Logits and features of the rows of a matrix; None where the kernel cannot do them."""
        tape = self.tape
        if tape is None:
            return None
        inputs = [named[name] for name in tape.inputs]
        kernel = tape_kernel(tape, raw, *inputs)
        if kernel is None:
            return None
        maps = self.affine.in_a_row(raw, self._disturbing_weights)
        members, batch = inputs[0].shape[:2]
        noise = masks = maps.new_empty((0, 0))
        if isinstance(self.disturbing, Injections):
            sizes = [batch * numbers for numbers in tape.noisy]
            noise = maps.new_empty((members, sum(sizes)))
            self.disturbing.fill_activations(noise, sizes, tape.mean_of)
        if self.dropout and self.training:
            sizes = [batch * numbers for numbers in tape.masked]
            masks = maps.new_empty((members, sum(sizes)))
            for part in masks.split(sizes, dim=1):
                self._keep(part)
        return TapePass.apply(tape, kernel, noise, masks, 1.0 - self.dropout, maps, *inputs)

    def _keep(self, kept: Tensor) -> None:
        """Draw what dropout keeps, for the rows of a matrix."""
        for row, generator in zip(kept, self.generators, strict=True):
            row.bernoulli_(1.0 - self.dropout, generator=generator)

    def _values_on_core(self, named: dict[str, Tensor]) -> dict[str, Tensor]:
        """Every value on another core; those inside chains not, where they are done in one pass."""
        arithmetic = _StudentArithmetic(self)
        chained = self._coded_chains(named)
        steps = self.rest if chained else self.steps
        read = {name for step in steps for name in sources(step)}
        needed = {name: x for name, x in (named | chained).items() if name in read}
        values = execute(needed, steps, arithmetic)
        self.overflow = arithmetic.overflow
        return values

    def _coded_chains(self, named: dict[str, Tensor]) -> dict[str, Tensor]:
        """Tokens of the chains (see ``students.coded``); none where one of them cannot be coded."""
        if not all(can_be_coded(chains, named[chains[0].source]) for chains in self.chains):
            return {}
        layers: dict[str, CodedLayer] = {}
        for chain in (chain for chains in self.chains for chain in chains):
            layer = self.core.coded(*self.used(chain.layer))
            if layer is None:
                return {}
            layers[chain.layer] = layer
        parts = [coded_patches(c, named[c[0].source], layers) for c in self.chains]
        return {name: tokens for part in parts for name, tokens in part.items()}

    @property
    def disturbing(self) -> Injection | Injections | None:
        """The injected noise, while training."""
        return self.injection if self.training else None

    @property
    def _disturbing_weights(self) -> Callable[[Tensor], Tensor] | None:
        """What it does to weights."""
        return self.disturbing.weight if self.disturbing else None

    def drop(self, layer: str, x: Tensor) -> Tensor:
        """Dropout in front of a layer, while training."""
        if self.dropout and self.training and layer in self.dropout_before:
            kept = torch.empty_like(x)
            if self.generators:
                self._keep(kept)
            else:
                kept.bernoulli_(1.0 - self.dropout, generator=self.generator)
            return x * kept / (1.0 - self.dropout)
        return x

    def rows(
        self, generators: Sequence[torch.Generator], injections: Sequence[Injection] = ()
    ) -> Student:
        """This student as the program of several, for ``forward`` with a matrix.

        Args:
            generators: of the dropout of each row.
            injections: noise of each row, if there is any.
        """
        several = copy.copy(self)
        several.generators = tuple(generators)
        several.injection = Injections(injections) if injections else None
        return several

    def used(self, layer: str) -> tuple[Tensor, Tensor, Tensor]:
        """Weight, bias and gain of a layer, as a chip holds them."""
        module = self.layers[layer]
        assert isinstance(module, ConstrainedLinear)
        return module.values()

    def named_layers(self) -> Iterator[tuple[str, ConstrainedLinear]]:
        """The learned layers by name."""
        for name, layer in self.layers.items():
            assert isinstance(layer, ConstrainedLinear)
            yield name, layer

    @torch.no_grad()
    def program(self) -> Program:
        """The student as it is now, as a program of NumPy arrays."""
        layers = {name: layer.to_layer(name) for name, layer in self.named_layers()}
        return Program(inputs=self.inputs, steps=self.steps, output=self.output, layers=layers)


class _StudentArithmetic(TensorShape):
    def __init__(self, student: Student) -> None:
        self.student = student
        self.overflow: Tensor | None = None

    def encode(self, x: Tensor) -> Tensor:
        return self.student.core.encode(x)

    def linear(self, step: Linear, x: Tensor) -> Tensor:
        student = self.student
        x = student.drop(step.layer, x)
        weight, bias, gain = student.used(step.layer)
        if student.training and step.out in student.unsquashed:
            self._add(student.core.overflow(x, weight, gain))
        return student.core.product(x, weight, bias, gain)

    def _add(self, overflow: Tensor | None) -> None:
        if overflow is not None:
            self.overflow = overflow if self.overflow is None else self.overflow + overflow

    def activation(self, step: Activation, x: Tensor) -> Tensor:
        y = activate(step.kind, x)
        return y if step.kind == "relu" else self.student.core.encode(y)

    def unit(self, x: Tensor) -> Tensor:
        return self.student.core.encode(super().unit(x))

    def mean(self, step: Mean, total: Tensor, count: int) -> Tensor:
        core = self.student.core
        mean = total / count
        return core.encode(mean) if self.student.grids[step.source] == "dac" else core.regrid(mean)


class _ExactArithmetic(TensorShape):
    """Plain floats, with the affine map of every layer worked out beforehand."""

    def __init__(self, student: Student, affine: dict[str, tuple[Tensor, Tensor]]) -> None:
        self.student, self.affine = student, affine
        self.rows = next(iter(affine.values()))[0].dim() > 2

    def encode(self, x: Tensor) -> Tensor:
        return x

    def linear(self, step: Linear, x: Tensor) -> Tensor:
        weight, bias = self.affine[step.layer]
        x = self.student.drop(step.layer, x)
        if not self.rows:
            return functional.linear(x, weight, bias)
        return RowsLinear.apply(x, weight, bias, step.out in self.student.squashed)

    def activation(self, step: Activation, x: Tensor) -> Tensor:
        done = self.rows and step.source in self.student.squashed
        y = x if done else activate(step.kind, x)
        return y if step.kind == "relu" else self._disturbed(y)

    def unit(self, x: Tensor) -> Tensor:
        return self._disturbed(super().unit(x))

    def mean(self, step: Mean, total: Tensor, count: int) -> Tensor:
        return total / count

    def _disturbed(self, y: Tensor) -> Tensor:
        injection = self.student.disturbing
        return y if injection is None else injection.activation(y)
