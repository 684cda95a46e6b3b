from __future__ import annotations

import pytest


@pytest.fixture(scope="module")
def records(tmp_path_factory):
    """Three synthetic records of half a minute."""
    from training.data.synthetic import write_records

    folder = tmp_path_factory.mktemp("data") / "records"
    write_records(folder, num_records=3, minutes=0.5)
    return folder


@pytest.fixture
def one_record(records, tmp_path):
    """A copy of the first record that a test may spoil."""
    for suffix in ("hea", "dat", "atr"):
        (tmp_path / f"syn01.{suffix}").write_bytes((records / f"syn01.{suffix}").read_bytes())
    return tmp_path


def test_synth_writes_records_that_info_describes(photonic, tmp_path):
    folder = tmp_path / "new"
    made = photonic("data", "synth", folder, "--records", 2, "--minutes", 0.5, "--json").json()
    assert made["records"] == ["syn01", "syn02"]
    found = photonic("data", "info", folder, "--json").json()
    assert [record["name"] for record in found["records"]] == made["records"]
    assert found["totals"]["num_faulty"] == 0
    assert set(found["totals"]["classes"]) == {"N", "S", "V", "O"}
    assert found["records"][0]["leads"] == ["MLII", "V5"]


def test_info_is_a_table_with_totals(photonic, records):
    outcome = photonic("data", "info", records, "--labels", "aami-5")
    assert outcome.status == 0
    assert "syn03" in outcome.out
    assert "total 3" in outcome.out
    assert "0 of 3 records have faults" in outcome.out


def test_info_lists_faults_and_says_no(photonic, one_record):
    (one_record / "syn01.dat").unlink()
    outcome = photonic("data", "info", one_record)
    assert outcome.status == 1
    assert "syn01: fault: " in outcome.out
    assert "syn01.dat does not exist" in outcome.out
    assert photonic("data", "info", one_record, "--json").json()["totals"]["num_faulty"] == 1


def test_synth_is_decided_by_its_seed(photonic, records, tmp_path):
    for seed in (0, 1):
        options = ("--records", 1, "--minutes", 0.5, "--seed", seed)
        assert photonic("data", "synth", tmp_path / str(seed), *options).status == 0
    signals = [(folder / "syn01.dat").read_bytes() for folder in (tmp_path / "0", tmp_path / "1")]
    assert signals[0] == (records / "syn01.dat").read_bytes() != signals[1]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("info", "{empty}"), "holds no WFDB record"),
        (("info", "{empty}/nowhere"), "is not a folder"),
        (("synth", "{records}"), "is not empty"),
        (("synth", "{empty}/new", "--records", "0"), "0 is not in the range"),
        (("fetch", "no such thing", "{empty}/new"), "is not a PhysioNet database"),
    ],
)
def test_bad_input_is_one_line_and_status_2(photonic, records, tmp_path, words, message):
    places = {"empty": tmp_path, "records": records}
    outcome = photonic("data", *(word.format(**places) for word in words))
    assert outcome.status == 2
    assert outcome.out == ""
    assert outcome.err.count("\n") == 1
    assert message in outcome.err
    assert not list(tmp_path.iterdir())


def test_no_network_is_one_line_and_leaves_nothing(photonic, tmp_path, monkeypatch):
    import wfdb

    def unreachable(*_: object, **__: object) -> None:
        raise ConnectionError("physionet.org")

    monkeypatch.setattr(wfdb, "dl_database", unreachable)
    outcome = photonic("data", "fetch", "mitdb", tmp_path / "mitdb")
    assert outcome.status == 2
    assert outcome.err.count("\n") == 1
    assert "check the network" in outcome.err
    assert not list(tmp_path.iterdir())
