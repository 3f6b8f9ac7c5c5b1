"""`draftscope wiring` and what it shows."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from app import cli
from app.wiring_page import COLUMNS, SHADES, far_table, heat_map, plot, shade, wiring_page
from app.wiring_svg import far_svg
from engine.errors import CheckpointError
from engine.lab.far import FREQUENT, MTP, NGRAM
from engine.lab.intervals import Interval, paired
from engine.lab.results import FarRow, WiringReport, WiringRow, ranked
from engine.lab.wiring import BASE, TRIED, Order, Position, Wiring
from tests.engine.fake_engine import FakeEngine

if TYPE_CHECKING:
    from collections.abc import Callable

    import pytest

    from engine.surface import LoadSettings

ZERO = Interval(0.0, 0.0, 0.0)
REPORT = WiringReport(
    "",
    "three texts",
    3,
    90,
    ranked(
        [
            WiringRow(BASE, (0.9, 0.5, 0.25, 0.0), 0.25, ZERO, ZERO),
            WiringRow(Wiring(position=Position.NEXT), (0.9, 0.5, 0.25, 0.0), 0.25, ZERO, ZERO),
            WiringRow(
                Wiring(order=Order.HIDDEN),
                (0.04, 0, 0, 0),
                9.5,
                Interval(-1.6, -1.7, -1.5),
                Interval(9, 8, 9.5),
            ),
        ]
    ),
    (FarRow("MTP layer, applied again", (0.9, 0.5)), FarRow("n-gram", (0.2, 0.1))),
    80,
)


class Lab(FakeEngine):
    """A fake engine whose lab finds REPORT."""

    read: str | None = ""

    def wiring(self, text: str | None, progress: Callable[[int, int, str], None]) -> WiringReport | None:
        Lab.read = text
        progress(1, 2, "half of it")
        if self.folder.name == "no-mtp":
            raise CheckpointError("This checkpoint has no MTP layer, so there is no wiring to find out.")
        return None if self.folder.name == "cancelled" else REPORT


def wiring(*arguments: str) -> int:
    def load(path: str, settings: LoadSettings, progress: object) -> Lab:
        return Lab(Path(path), settings)

    return cli.main(["wiring", *arguments], load=load)


def test_it_prints_the_verdict_the_map_and_the_plot(capsys: pytest.CaptureFixture[str]) -> None:
    assert wiring("model") == 0
    out = capsys.readouterr().out
    assert out == f"{wiring_page(REPORT)}\n"
    assert "Embedding first, after the final norm" in out.splitlines()[0]
    assert "hidden state first: 4 %" in out
    assert "cannot tell apart from it: position i + 1." in " ".join(out.split())
    assert Lab.read is None


def test_json_is_one_object_that_names_the_model(capsys: pytest.CaptureFixture[str]) -> None:
    assert wiring("some/model", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["model"] == "model"
    assert [each["verdict"] for each in found["wirings"]] == ["base", "tied", "worse"]


def test_a_text_is_read_and_a_picture_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text, picture = tmp_path / "text", tmp_path / "far.svg"
    text.write_text("A text.")
    assert wiring("model", "--text", str(text), "--svg", str(picture)) == 0
    assert Lab.read == "A text."
    assert "far.svg" in capsys.readouterr().err
    names = [
        each.text or "" for each in ET.fromstring(picture.read_text()).iter() if each.tag.endswith("text")
    ]
    assert "n-gram: 20 10 %" in names
    assert any("80 places (model)" in name for name in names)


def test_mistakes_are_sentences(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert wiring("model", "--text", str(tmp_path / "none")) == 2
    assert "cannot be read" in capsys.readouterr().err
    assert wiring("no-mtp") == 3
    assert "no MTP layer" in capsys.readouterr().err
    assert wiring("model", "--svg", str(tmp_path / "no" / "far.svg")) == 2
    assert "cannot be written" in capsys.readouterr().err
    assert wiring("cancelled") == 130
    assert capsys.readouterr().out == ""


def test_a_name_cannot_break_out_of_the_picture() -> None:
    picture = far_svg(WiringReport("<b>&", "s", 1, 1, REPORT.rows, REPORT.far, 1))
    assert "<b>" not in picture
    ET.fromstring(picture)


def test_the_map_has_a_line_a_wiring_and_shades_by_share() -> None:
    lines = heat_map(REPORT.rows)
    assert [line.strip() for line in lines[1::2]] == [row.wiring.label for row in REPORT.rows]
    assert "█ 90 % ▓ 50 % ▒ 25 %    0 %" in lines[2]
    assert lines[6].endswith("worse")
    assert lines[2].endswith("0.250")


def test_no_line_is_too_long_for_a_page_within_80_columns() -> None:
    loss = Interval(-1.11, -1.72, 1.51)
    rows = [WiringRow(each, (0.97, 0.56, 0.34, 0.16), 209.311, loss, Interval(5, 4, 6)) for each in TRIED]
    far = tuple(FarRow(name, (1.0,) * 8) for name in (MTP, NGRAM, FREQUENT))
    source = "the model's own greedy continuations of 16 prompts"
    said = wiring_page(WiringReport("", source, 16, 123_456, ranked(rows), far, 123_456)).splitlines()
    assert max(map(len, said)) <= COLUMNS < 74
    assert sum(line.endswith("209.311 worse, nats") for line in said) == len(TRIED) - 1
    assert f"■ {FREQUENT}" + "  100" * 8 in said


def test_of_one_text_nothing_is_called_tied_or_worse_and_no_interval_is_shown() -> None:
    rows = [
        replace(row, accepted_difference=paired([each], [9]), cross_entropy_difference=paired([each], [9]))
        for row, each in zip(REPORT.rows, (0.0, 0.0, -9.0), strict=True)
    ]
    page = wiring_page(replace(REPORT, rows=ranked(rows), texts=1, places=1))
    said = " ".join(page.split())
    assert "90 % of first drafts accepted. One text gives no intervals" in said
    assert said.count("interval") == 1
    assert said.count("tied") == said.count("worse") == 1  # in that sentence
    assert "inf " not in said
    assert "-1.00 9.500" in said
    assert "1 place in 1 text." in said


@given(st.floats(0, 1), st.floats(0, 1))
def test_shades_rise_with_the_share(one: float, other: float) -> None:
    low, high = sorted((one, other))
    assert SHADES.index(shade(low)) <= SHADES.index(shade(high))
    assert (shade(low) == SHADES[0]) == (low <= 0)


@given(st.lists(st.lists(st.floats(0, 1), min_size=8, max_size=8), min_size=1, max_size=4))
def test_every_share_is_on_the_plot(shares: list[list[float]]) -> None:
    rows = [FarRow(f"line {number}", tuple(each)) for number, each in enumerate(shares)]
    lines = plot(rows)
    height = next(number for number, line in enumerate(lines) if "└" in line) - 1
    for place, share in enumerate(shares[0]):
        line = lines[height - round(share * height)]
        assert line[8 + place * 7 + 3] == "●"
    assert len(far_table(rows)) == len(rows) + 1
