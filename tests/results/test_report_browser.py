"""A report in Chromium: sort, filter, hover and open a trial; names of other people stay text; nothing is loaded."""

from collections.abc import Iterator
from dataclasses import replace
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cnnsearch.api import notebook
from cnnsearch.results.leaderboard import rows
from cnnsearch.results.report import model_images, page, writer
from cnnsearch.results.report.facts import gather
from cnnsearch.study import listing
from cnnsearch.study.confirmation import Repeat
from tests.browser import CHROMIUM, Browser, browser
from tests.made_studies import complete, end, failed, made

pytestmark = [
    pytest.mark.documents,
    pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium here"),
]

SCRIPT = "</script><script>window.ran = 1</script>"
IMAGE = '"><img src=x onerror="window.ran = 2">{a|b}${window.ran = 3}'
PIXEL = "data:image/gif;base64,R0lGODlhAQABAAAAACwAAAAAAQABAAA="
TRIALS = 20


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report with names that would run a script if they were read as HTML."""
    folder = tmp_path_factory.mktemp("report")
    study = made(folder, [failed(0, "nan", f"{IMAGE} {SCRIPT}"), replace(complete(1, 0.5), state="pruned")])
    for number in range(2, TRIALS):
        origin = f"recipe {IMAGE}" if number == 5 else "sampler"
        # a hyperparameter may have the name of a trial's column; one that excludes it
        more = ("alone",) if number == 6 else ("epochs",)
        end(study, replace(complete(number, 0.5), origin=origin), by="a/y", more=more)
    best = gather(study).complete[0].number
    for seed in range(3):
        study.add_repeat(Repeat(best, seed, 0.8 + seed / 100)._asdict())
    (study.folder / "logs").mkdir(exist_ok=True)
    study.add_to_log(0, f"{SCRIPT} {IMAGE}\n".encode())
    known = gather(study)
    found = writer.study_page(known, writer.extras(known))
    classes = [IMAGE, SCRIPT, "c"]
    told = {"true": 0, "predicted": 1, "confidence": 0.9, "address": PIXEL}
    right = {"confidence": 0.9, "right": 0.8, "n": 10}
    mistakes = {"classes": classes, "images": [told], "calibration": [right]}
    matrix = model_images.confusion_table(np.array([0, 0, 1, 2]), np.array([1, 0, 1, 2]), classes)
    assert matrix is not None
    sections = [
        replace(each, tables=(matrix,), widget="mistakes") if each.key == "mistakes" else each
        for each in found.sections
    ]
    given = {"mistakes": mistakes, "study": IMAGE, "runs": {5: "experiments/1/runs/4da2"}}
    whole = replace(found, sections=tuple(sections), payload={**found.payload, **given})
    (folder / "report.html").write_text(page.html(page.Page(IMAGE, IMAGE, (whole,), SCRIPT)), "utf-8")
    return folder / "report.html"


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with browser(tmp_path_factory.mktemp("profile")) as found:
        yield found


@pytest.fixture
def opened(chromium: Browser, report: Path) -> Iterator[Browser]:
    """The report; after each test no script failed, no name was run, and nothing was loaded."""
    chromium.open(report.as_uri())
    yield chromium
    assert chromium.errors == []
    assert chromium.run("window.ran") is None
    assert {each.partition(":")[0] for each in chromium.requests} <= {"file", "data"}
    assert [each for each in chromium.requests if each.startswith("file:")] == [report.as_uri()]


def column(opened: Browser, place: int) -> list[str]:
    """The texts of one column of the leaderboard."""
    rows = "document.querySelectorAll('.board tbody tr')"
    found: list[str] = opened.run(f"[...{rows}].map((row) => row.cells[{place}].textContent)")
    return found


def headings(opened: Browser) -> list[str]:
    found: list[str] = opened.run(
        "[...document.querySelectorAll('.board th button')].map((one) => one.firstChild.data)"
    )
    return found


def test_the_leaderboard_sorts_by_mouse_and_by_keys(opened: Browser) -> None:
    place = headings(opened).index("score")
    button = f"document.querySelectorAll('.board th button')[{place}]"
    opened.run(f"{button}.click()")
    falling = [float(text.rstrip("%")) for text in column(opened, place) if text]
    assert len(falling) == TRIALS - 1 and falling == sorted(falling, reverse=True)
    assert opened.run(f"{button}.closest('th').getAttribute('aria-sort')") == "descending"
    # the heading keeps the focus, so Enter turns the order
    opened.press("Enter", 13, "\r")
    rising = [float(text.rstrip("%")) for text in column(opened, place) if text]
    assert rising == sorted(falling)
    assert opened.run(f"{button}.closest('th').getAttribute('aria-sort')") == "ascending"


def test_the_leaderboard_filters_by_any_hyperparameter(opened: Browser) -> None:
    assert len(column(opened, 0)) == TRIALS
    fill = """(() => { const form = document.querySelector('.board form');
        const [name, test] = form.querySelectorAll('select');
        [name.value, test.value, form.querySelector('input').value] = ['choice:a/y', '≥', '0.5'];
        form.requestSubmit(); })()"""
    opened.run(fill)
    kept = opened.run("studies[0].choices['a/y'].filter((value) => value >= 0.5).length")
    assert 0 < kept < TRIALS and len(column(opened, 0)) == kept
    assert "a/y" in headings(opened)
    opened.run("document.querySelector('[aria-label^=\"remove the filter\"]').click()")
    assert len(column(opened, 0)) == TRIALS
    assert not {"a/x", "a/y", "a/z"} <= set(headings(opened)[:12])
    opened.run("document.querySelector('.board input[type=checkbox]').click()")
    assert {"a/x", "a/y", "a/z"} <= set(headings(opened))


@pytest.mark.parametrize(("test", "value", "count"), [("=", "0", 0), ("≠", "7", 1), ("contains", "l", 0)])
def test_a_trial_without_a_hyperparameter_meets_no_filter_of_it(
    opened: Browser, test: str, value: str, count: int
) -> None:
    opened.run(f"""(() => {{ const form = document.querySelector('.board form');
        const [name, test] = form.querySelectorAll('select');
        [name.value, test.value, form.querySelector('input').value] = ['choice:alone', '{test}', '{value}'];
        form.requestSubmit(); }})()""")
    assert len(column(opened, 0)) == count


def test_the_chart_has_the_pareto_front_of_the_leaderboard(opened: Browser, report: Path) -> None:
    study = listing.load("made", report.parent / "runs")
    front = {row["trial"] for row in rows(study) if row["pareto"]}
    chart = "chartOption('tradeoff-macs', studies, 0, palette(false), {}).series[1].data"
    found = opened.run(f"{chart}.map((each) => studies[0].trials.number[each.at])")
    assert set(found) == front


def test_a_hyperparameter_may_have_the_name_of_a_column(opened: Browser) -> None:
    opened.run("document.querySelector('.board input[type=checkbox]').click()")
    trained, chosen = (place for place, text in enumerate(headings(opened)) if text == "epochs")
    assert {"3"} == set(column(opened, trained)) - {"", "0"}
    opened.run(f"document.querySelectorAll('.board th button')[{chosen}].click()")
    values = [float(text) for text in column(opened, chosen) if text]
    assert len(values) == TRIALS - 3 and values == sorted(values) and all(value < 1 for value in values)
    opened.run("""(() => { const form = document.querySelector('.board form');
        const [name, test] = form.querySelectorAll('select');
        [name.value, test.value, form.querySelector('input').value] = ['choice:epochs', '≥', '0.5'];
        form.requestSubmit(); })()""")
    kept = [float(text) for text in column(opened, chosen)]
    assert kept == [value for value in values if value >= 0.5]
    assert "epochs ≥ 0.5" in opened.run("document.querySelector('.board form').textContent")


def test_every_chart_is_drawn_when_it_is_seen(opened: Browser) -> None:
    every = opened.run("document.querySelectorAll('figure.chart').length")
    assert every >= 9 and opened.run("drawn.size") < every
    for place in range(every):
        opened.run(f"document.querySelectorAll('figure.chart')[{place}].scrollIntoView()")
        opened.wait(f"drawn.has(document.querySelectorAll('figure.chart')[{place}])")
    # something was painted on each
    blank = "(canvas) => !new Uint32Array(canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height)"
    opened.wait(f"![...document.querySelectorAll('.drawing canvas')].some({blank}.data.buffer).some((pixel) => pixel))")


def test_pointing_at_a_trial_names_it_and_a_click_opens_it(opened: Browser) -> None:
    opened.run("document.querySelector('[data-kind=history]').scrollIntoView()")
    opened.wait("drawn.has(document.querySelector('[data-kind=history]'))")
    at = opened.run("""(() => { const figure = document.querySelector('[data-kind=history]'), chart = drawn.get(figure);
        const box = figure.querySelector('.drawing').getBoundingClientRect();
        const series = chart.getOption().series.findIndex((one) => one.name === 'recipe or prior');
        const value = chart.getOption().series[series].data[0].value;
        const [x, y] = chart.convertToPixel({ seriesIndex: series }, value);
        return [box.left + x, box.top + y]; })()""")
    opened.move(at[0] - 40, at[1])
    opened.move(*at)
    texts = (
        "drawn.get(document.querySelector('[data-kind=history]')).getZr().storage.getDisplayList()"
        ".map((one) => String(one.style.text || ''))"
    )
    opened.wait(f"{texts}.some((text) => text.includes('trial 5'))")
    same: dict[str, Any] = {"x": at[0], "y": at[1], "button": "left", "clickCount": 1}
    opened.call("Input.dispatchMouseEvent", type="mousePressed", **same)
    opened.call("Input.dispatchMouseEvent", type="mouseReleased", **same)
    opened.wait("!document.getElementById('trial').hidden")
    text = opened.run("document.getElementById('trial').textContent")
    assert "Trial 5" in text and IMAGE in text and "cnnsearch reproduce 5 " in text
    assert opened.run("document.activeElement.textContent") == "Trial 5"
    link = opened.run("document.querySelector('#trial a').href")
    assert link == "http://127.0.0.1:5000/#/experiments/1/runs/4da2"


def test_a_failed_trial_shows_its_reason_as_text(opened: Browser) -> None:
    opened.run("location.hash = '#trial-0-0'")
    opened.wait("!document.getElementById('trial').hidden")
    assert f"{IMAGE} {SCRIPT}" in opened.run("document.getElementById('trial').textContent")
    assert opened.run("document.querySelector('#trial .log').textContent") == f"{SCRIPT} {IMAGE}"
    opened.run("document.querySelector('#trial button').click()")
    opened.wait("document.getElementById('trial').hidden")


def test_a_cell_of_the_confusion_matrix_shows_its_images(opened: Browser) -> None:
    opened.run("document.querySelector('.heat td button').click()")
    shown = "[...document.querySelectorAll('#mistakes .images figure')].map((one) => one.textContent)"
    assert opened.run(shown) == [f"{IMAGE}, predicted {SCRIPT} (90%)"]


def test_parallel_coordinates_have_the_hyperparameters_of_all_complete_trials(opened: Browser) -> None:
    found = opened.run("""[studies[0], { ...studies[0], lines: 5 }, { ...studies[0], names: ['alone', 'epochs'] }].map(
        (study) => parallel({ ...study, importance: [] }, palette(false))).map((made) => [
        (made.parallelAxis || []).map((one) => one.name), made.series ? made.series[0].data.length : 0])""")
    names = ["a/x", "a/y", "a/z", opened.run("short(studies[0].metric, 18)")]
    assert found == [[names, TRIALS - 2], [names, 5], [[], 0]]
    caption = opened.run("document.querySelector('[data-kind=parallel] figcaption').textContent")
    assert f"All {TRIALS - 2} complete trials are drawn" in caption


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_axe_finds_nothing_serious(opened: Browser, report: Path, dark: bool) -> None:
    pytest.importorskip("axe_core_python", reason="axe-core is not installed")
    opened.open(f"{report.as_uri()}", dark=dark)
    opened.run("location.hash = '#trial-0-5'")
    opened.run("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
    opened.run("document.querySelectorAll('figure.chart').forEach((one) => draw(one))")
    opened.run((resources.files("axe_core_python") / "axe.min.js").read_text("utf-8") + "\n;0")
    found = opened.run("""axe.run(document, { resultTypes: ['violations'] }).then((all) => all.violations.map(
        (one) => [one.impact, one.id, one.nodes.length, one.nodes[0].html.slice(0, 200)]))""")
    assert [each for each in found if each[0] in ("serious", "critical")] == []


@pytest.mark.parametrize("width", [360, 1200])
def test_nothing_is_wider_than_the_window(opened: Browser, report: Path, width: int) -> None:
    opened.open(report.as_uri(), width, 800)
    opened.run("document.querySelectorAll('figure.chart').forEach((one) => draw(one))")
    assert opened.run("document.documentElement.scrollWidth") <= width


def test_its_links_stay_in_the_frame_of_a_notebook(chromium: Browser, report: Path) -> None:
    frame = notebook.page_html(report.read_text("utf-8"))
    assert frame.startswith("<div><iframe ") and 'sandbox="allow-popups allow-scripts"' in frame
    # without the sandbox this test can see into the frame
    (report.parent / "notebook.html").write_text(
        f"<!doctype html>{frame.replace('sandbox=', 'data-sandbox=')}", "utf-8"
    )
    chromium.open((report.parent / "notebook.html").as_uri())
    inside = "document.querySelector('iframe').contentDocument"
    chromium.wait(f"{inside}.querySelectorAll('.board tbody tr').length === {TRIALS}")
    chromium.run(f"{inside}.querySelector('nav a[href=\"#history\"]').click()")
    chromium.wait(f"Math.abs({inside}.getElementById('history').getBoundingClientRect().top) < 50")
    chromium.run(f"{inside}.querySelector('.board td button').click()")
    chromium.wait(f"!{inside}.getElementById('trial').hidden")
    assert chromium.run(f"{inside}.location.href") == "about:srcdoc" and chromium.errors == []


def test_two_studies_are_side_by_side(chromium: Browser, tmp_path: Path) -> None:
    one = made(tmp_path, [complete(0, 0.7), complete(1, 0.8)], "one")
    other = made(tmp_path, [complete(0, 0.6), complete(1, 0.9), complete(2, 0.5)], "other")
    writer.write(one, tmp_path / "report.html", others=[other])
    chromium.open((tmp_path / "report.html").as_uri())
    assert chromium.errors == []
    assert chromium.run("document.querySelector('h1').textContent") == "one and other side by side"
    rows = "[...document.querySelectorAll('.board')].map((one) => one.querySelectorAll('tbody tr').length)"
    assert chromium.run(rows) == [2, 3]
    lines = "drawn.get(document.querySelector('[data-kind=both]')).getOption().series.map((one) => one.name)"
    chromium.run("document.getElementById('both').scrollIntoView()")
    chromium.wait("drawn.has(document.querySelector('[data-kind=both]'))")
    assert chromium.run(lines) == ["one", "other"]
    chromium.run("document.querySelectorAll('.board')[1].querySelector('td button').click()")
    chromium.wait("!document.getElementById('trial').hidden")
    assert "Trial 1 of other" in chromium.run("document.getElementById('trial').textContent")
