"""``photonic stream``: a record beat by beat through a bundle, with the time that each takes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from photonic.cli.options import config_option, json_option
from photonic.cli.output import print_json, print_table
from photonic.errors import BundleError
from photonic.files import atomic_write_text

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from export.bundle import Bundle
    from export.stream.annotated import AnnotatedBeats
    from export.stream.classifier import BeatClassifier
    from export.stream.quality import SignalRange

_TIMES = {
    "latency_us": "graph",
    "floor_us": "identity graph",
    "preprocess_us": "window and features",
    "total_us": "whole beat",
}


@click.command()
@click.argument("bundle", type=click.Path(path_type=Path))
@click.option("--record", type=click.Path(path_type=Path), required=True, help="WFDB record.")
@click.option(
    "--lead",
    default=None,
    help="Name or index of the lead.  [default: the one that the bundle was trained on]",
)
@click.option("--annotator", default="atr", show_default=True, help="Annotations of the record.")
@click.option(
    "--graph",
    type=click.Choice(["float", "quantized"]),
    default=None,
    help="Graph to run.  [default: quantized where the bundle has one]",
)
@click.option(
    "--chunk",
    type=click.IntRange(min=1),
    default=360,
    show_default=True,
    help="Samples that arrive at a time; it changes no decision.",
)
@click.option(
    "--deadline-us",
    type=click.FloatRange(min=0, min_open=True),
    default=500.0,
    show_default=True,
    help="Time that a beat may take, in microseconds.",
)
@click.option(
    "--out", type=click.Path(path_type=Path), default=None, help="Write one JSON line per beat."
)
@click.option(
    "--annotations",
    type=click.Path(path_type=Path),
    default=None,
    help="Write WFDB annotations RECORD.EXTENSION.",
)
@json_option
@config_option
def stream(
    bundle: Path,
    record: Path,
    lead: str | None,
    annotator: str,
    graph: str | None,
    chunk: int,
    deadline_us: float,
    out: Path | None,
    annotations: Path | None,
    as_json: bool,
) -> None:
    """Classify a record beat by beat with the graph in BUNDLE.

    Times are per beat: the graph alone, beside an identity graph on the same input in the same run
    (the floor), and the whole beat from its window to its class.
    """
    from export.bundle import read_bundle
    from export.stream.annotated import confusion, match
    from export.stream.peaks import AnnotatedPeaks
    from export.stream.pipeline import BeatStream, in_chunks, run_stream
    from export.stream.summary import summarise
    from export.stream.writers import beat_to_line, write_annotations
    from training.data.labels import label_map

    opened = read_bundle(bundle)
    classes = opened.manifest.classes
    symbols = label_map(opened.manifest.label_map).symbols
    source = _read(record, lead or opened.manifest.preprocessing.get("lead", "MLII"), annotator)
    classifier = _classifier(opened, graph, source.signal_range)
    beat_stream = BeatStream(classifier, AnnotatedPeaks(source.beats.samples))
    started = perf_counter()
    beats = list(run_stream(beat_stream, in_chunks(source.signal, chunk)))
    seconds = perf_counter() - started
    matches = match(source.beats, [beat.sample for beat in beats])
    result = {
        "record": record,
        "lead": source.lead,
        "peaks": "annotations",
        **summarise(
            beats,
            classes,
            num_samples=len(source.signal),
            seconds=seconds,
            deadline_us=deadline_us,
        ),
        "detector": {"sensitivity": None, "ppv": None},
        "confusion": confusion(source.beats, matches, beats, classes, symbols),
    }
    if out is not None:
        atomic_write_text(out, "".join(beat_to_line(beat, classes) for beat in beats))
    if annotations is not None:
        write_annotations(annotations, beats, classes, source.fs_hz)
    if as_json:
        print_json(result)
    else:
        _print(result)


class _Source(NamedTuple):
    """What is read of a record."""

    signal: NDArray[np.float64]
    fs_hz: float
    lead: str
    signal_range: SignalRange | None
    beats: AnnotatedBeats


def _read(record: Path, lead: str, annotator: str) -> _Source:
    from export.stream.annotated import annotated_beats
    from export.stream.records import record_range
    from training.data.labels import is_beat
    from training.data.records import (
        LeadChoice,
        read_annotations,
        read_header,
        read_signal,
        to_beat_rate,
    )

    folder, name = record.parent, record.name
    header = read_header(folder, name)
    channel = LeadChoice.parse(lead).channel(name, header.leads)
    annotations = read_annotations(folder, header, annotator)
    is_beat(annotations.symbols, annotations.samples, name)  # refuses unknown symbols
    return _Source(
        signal=to_beat_rate(read_signal(folder, header, channel), header.fs_hz),
        fs_hz=header.fs_hz,
        lead=header.leads[channel],
        signal_range=record_range(record, channel),
        beats=annotated_beats(annotations.samples, annotations.symbols),
    )


def _classifier(
    bundle: Bundle, graph: str | None, signal_range: SignalRange | None
) -> BeatClassifier:
    from export.stream.classifier import BeatClassifier

    if graph == "quantized" and not bundle.has_quantized:
        raise BundleError(
            f"{bundle.path} has no quantised graph (its profile has no bits): use --graph float"
        )
    quantized = bundle.has_quantized if graph is None else graph == "quantized"
    return BeatClassifier(
        bundle.model(quantized=quantized),
        bundle.program.inputs,
        bundle.decision,
        causal=bool(bundle.manifest.preprocessing.get("causal", False)),
        signal_range=signal_range,
    )


def _print(result: Mapping[str, Any]) -> None:
    click.echo(f"{result['record']}, lead {result['lead']}")
    print_table(("class", "beats"), result["decisions"].items())
    print_table(
        ("time per beat (µs)", "p50", "p90", "p99", "max"),
        [(label, *result[key].values()) for key, label in _TIMES.items()],
    )
    columns = list(next(iter(result["confusion"].values())))
    print_table(
        ("annotated \\ decided", *columns),
        [
            (row, *(counts.get(column) for column in columns))
            for row, counts in result["confusion"].items()
        ],
    )
    click.echo(
        f"{result['num_beats']} beats, {result['num_classified']} classified, "
        f"{result['beats_per_second']:.0f} beats/s, {result['times_real_time']:.0f} times real "
        f"time; {result['missed_deadlines']} over {result['deadline_us']:g} µs"
    )
