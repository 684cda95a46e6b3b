"""``photonic stream``: beats through a bundle as they come, with the time that each takes."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from photonic.cli.options import (
    ABOVE_ZERO,
    annotator_option,
    config_option,
    given_options,
    json_option,
)
from photonic.cli.output import print_json, print_table
from photonic.cli.param_types import CommaSeparated
from photonic.cli.stream_sources import (
    LiveFormat,
    Source,
    check_one_source,
    record_source,
    socket_source,
    stdin_source,
)
from photonic.errors import BundleError, DataError

if TYPE_CHECKING:
    from export.bundle import Bundle
    from export.stream.classifier import BeatClassifier
    from export.stream.peaks import PeakSource
    from export.stream.quality import SignalRange
    from export.stream.run import StreamLog

_USUAL_LEAD = "MLII"
_TIMES = {
    "latency_us": "graph",
    "floor_us": "identity graph",
    "preprocess_us": "window and features",
    "total_us": "whole beat",
}


@click.command()
@click.argument("bundle", type=click.Path(path_type=Path))
@click.option("--record", type=click.Path(path_type=Path), help="WFDB record, without extension.")
@click.option("--stdin", is_flag=True, help="Samples from standard input.")
@click.option(
    "--listen", metavar="HOST:PORT", help="Samples from whoever connects to this TCP address."
)
@click.option(
    "--peaks",
    type=click.Choice(["detector", "annotations"]),
    default="detector",
    show_default=True,
    help="R peaks found online, or those of the record's annotations.",
)
@click.option(
    "--lead",
    default=None,
    help="Lead of the record, name or index.  [default: the one that the bundle was trained on]",
)
@annotator_option
@click.option(
    "--chunk",
    type=click.IntRange(min=1),
    default=360,
    show_default=True,
    help="Samples of the record that arrive at a time; it changes no decision.",
)
@click.option(
    "--format",
    type=click.Choice(["csv", "int16"]),
    default="csv",
    show_default=True,
    help="Samples as text, one per line, or as little-endian 16-bit integers.",
)
@click.option("--fs", type=ABOVE_ZERO, help="Sampling rate in Hz.")
@click.option(
    "--gain",
    type=ABOVE_ZERO,
    default=1.0,
    show_default=True,
    help="Units of the samples per mV.",
)
@click.option("--baseline", type=float, default=0.0, show_default=True, help="Sample at 0 mV.")
@click.option(
    "--column", type=click.IntRange(min=0), default=0, show_default=True, help="Column of the CSV."
)
@click.option(
    "--range",
    "signal_range",
    type=CommaSeparated(click.FLOAT, 2),
    help="Lowest and highest sample that the converter gives: beats beyond are saturated.",
)
@click.option(
    "--sessions",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="Connections to take, one after the other.",
)
@click.option(
    "--graph",
    type=click.Choice(["float", "quantized"]),
    default=None,
    help="Graph to run.  [default: quantized where the bundle has one]",
)
@click.option(
    "--deadline-us",
    type=ABOVE_ZERO,
    default=500.0,
    show_default=True,
    help="Time that a beat may take, in microseconds.",
)
@click.option("--out", type=click.Path(path_type=Path), help="Write one JSON line per beat.")
@click.option(
    "--annotations",
    type=click.Path(path_type=Path),
    help="Write WFDB annotations of the record to RECORD.ANNOTATOR.",
)
@json_option
@config_option
@click.pass_context
def stream(
    context: click.Context,
    bundle: Path,
    record: Path | None,
    stdin: bool,
    listen: str | None,
    peaks: str,
    lead: str | None,
    annotator: str,
    chunk: int,
    format: str,
    fs: float | None,
    gain: float,
    baseline: float,
    column: int,
    signal_range: tuple[float, float] | None,
    sessions: int,
    graph: str | None,
    deadline_us: float,
    out: Path | None,
    annotations: Path | None,
    as_json: bool,
) -> None:
    """Classify beat by beat with the graph in BUNDLE: a record, standard input or a TCP socket.

    Times are per beat: the graph alone, beside an identity graph on the same input in the same run
    (the floor), and the whole beat from its window to its class. A pipe or a socket is read until
    it ends or Ctrl-C.
    """
    from export.bundle import read_bundle
    from export.stream.summary import summarise
    from export.stream.writers import write_annotations

    check_one_source(given_options(context))
    opened = read_bundle(bundle)
    if record is not None:
        trained_lead = opened.manifest.preprocessing.get("lead", _USUAL_LEAD)
        source = record_source(record, lead or trained_lead, annotator, chunk)
    else:
        how = LiveFormat(
            format=format, fs_hz=fs or 0.0, gain=gain, baseline=baseline, column=column
        )
        limits = _signal_range(signal_range, how)
        source = (
            socket_source(listen, how, limits, sessions) if listen else stdin_source(how, limits)
        )
    classes = opened.manifest.classes
    log, faults = _run(source, opened, _classifier(opened, graph, source), peaks, out)
    result = {
        "source": source.name,
        "lead": source.lead,
        "peaks": peaks,
        **summarise(log, classes, deadline_us=deadline_us),
        "seconds_with": faults,
        "bad_values": sum(decoder.num_bad for decoder in source.decoders),
        **_comparison(source, peaks, log, opened),
    }
    if annotations is not None:
        write_annotations(annotations, log.beats, classes, source.fs_hz)
    if as_json:
        print_json(result)
    else:
        _print(result)


def _classifier(bundle: Bundle, graph: str | None, source: Source) -> BeatClassifier:
    from export.stream.classifier import BeatClassifier

    if graph == "quantized" and not bundle.has_quantized:
        raise BundleError(
            f"{bundle.path} has no quantised graph (its profile has no bits): use --graph float"
        )
    quantized = bundle.has_quantized if graph is None else graph == "quantized"
    trained = bundle.manifest.preprocessing
    return BeatClassifier(
        bundle.model(quantized=quantized),
        bundle.program.inputs,
        bundle.decision,
        causal=bool(trained.get("causal", False)),
        template=trained.get("template", "mean"),
        signal_range=source.signal_range,
    )


def _run(
    source: Source,
    bundle: Bundle,
    classifier: BeatClassifier,
    peaks: str,
    out: Path | None,
) -> tuple[StreamLog, dict[str, int]]:
    """Every session of the source; beats, and seconds with each fault of the signal."""
    from export.stream.centred import as_trained
    from export.stream.monitor import SignalMonitor
    from export.stream.pipeline import BeatStream
    from export.stream.resample import Resampler
    from export.stream.run import StreamLog, run_session
    from export.stream.writers import beat_writer
    from photonic.beats import FS_HZ

    log, monitor = StreamLog(), SignalMonitor(source.signal_range)
    classes = bundle.manifest.classes
    writer = beat_writer(out, classes, live=source.live) if out is not None else nullcontext()
    try:
        with writer as on_beat:
            for chunks in source.sessions:
                beat_stream = BeatStream(
                    classifier,
                    as_trained(_peak_source(peaks, source), bundle.manifest.preprocessing),
                    resampler=Resampler(source.fs_hz) if source.fs_hz != FS_HZ else None,
                    monitor=monitor,
                )
                run_session(beat_stream, chunks, log, on_beat)
    except KeyboardInterrupt:
        if not source.live:  # Ctrl-C is how a stream without an end is ended
            raise
    return log, monitor.faults


def _peak_source(peaks: str, source: Source) -> PeakSource:
    from export.stream.detector import RPeakDetector
    from export.stream.peaks import AnnotatedPeaks

    if peaks == "detector":
        return RPeakDetector()
    if source.annotated is None:
        raise DataError(f"{source.name} has no annotations: use --peaks detector")
    return AnnotatedPeaks(source.annotated.samples)


def _comparison(source: Source, peaks: str, log: StreamLog, bundle: Bundle) -> dict[str, Any]:
    """Agreement with the annotations; R peaks taken from them are no detection."""
    from export.stream.annotated import confusion, match
    from export.stream.summary import detection
    from training.data.labels import label_map

    if source.annotated is None:
        return {"detector": detection(None), "confusion": None}
    symbols = label_map(bundle.manifest.label_map).symbols
    matches = match(source.annotated, [beat.sample for beat in log.beats])
    return {
        "detector": detection(matches.score() if peaks == "detector" else None),
        "confusion": confusion(
            source.annotated, matches, log.beats, bundle.manifest.classes, symbols
        ),
    }


def _signal_range(ends: tuple[float, float] | None, how: LiveFormat) -> SignalRange | None:
    """The range of the converter in mV, from samples as they come."""
    from export.stream.quality import SignalRange

    if ends is None:
        return None
    return SignalRange(
        low=(ends[0] - how.baseline) / how.gain, high=(ends[1] - how.baseline) / how.gain
    )


def _print(result: Mapping[str, Any]) -> None:
    lead = f", lead {result['lead']}" if result["lead"] else ""
    click.echo(f"{result['source']}{lead}, R peaks from {result['peaks']}")
    print_table(("class", "beats"), [*result["decisions"].items(), *result["unclassified"].items()])
    print_table(
        ("time per beat (µs)", "p50", "p90", "p99", "max"),
        [(label, *result[key].values()) for key, label in _TIMES.items()],
    )
    if result["confusion"] is not None:
        columns = list(next(iter(result["confusion"].values())))
        print_table(
            ("annotated \\ decided", *columns),
            [
                (row, *(counts.get(column) for column in columns))
                for row, counts in result["confusion"].items()
            ],
        )
    if result["detector"]["sensitivity"] is not None:
        click.echo(
            f"detector: {result['detector']['num_missed']} beats missed, "
            f"{result['detector']['num_extra']} extra"
        )
    seen = [f"{name} {seconds} s" for name, seconds in result["seconds_with"].items() if seconds]
    if seen:
        click.echo(f"signal: {', '.join(seen)} of {result['seconds_of_signal']:.0f} s")
    click.echo(
        f"{result['num_beats']} beats, {result['num_classified']} classified, "
        f"{result['beats_per_second']:.0f} beats/s, {result['times_real_time']:.0f} times real "
        f"time; {result['missed_deadlines']} over {result['deadline_us']:g} µs"
    )
