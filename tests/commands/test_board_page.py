"""The board's page in headless Chromium: views, controls, keyboard, themes, widths, and how soon it is there."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from boards import CAPS, FLOORS, conflicting, fractional, get, market, served, source
from browsers import center, chromium, opened, show, until

import oasis_alloc as oa
from oasis_alloc.commands.board.outlook import Flight
from oasis_alloc.commands.board.server import BoardServer
from oasis_alloc.commands.board.state import Board

pytestmark = pytest.mark.browser

VIEWS = ("overview", "group", "frontier", "compare", "explain", "conflicts")
WIDTHS, THEMES = (390, 1280, 1920), ("light", "dark")
SHOTS = Path(__file__).parents[2] / "docs" / "plots"
FIRST_VIEW, SLIDER = 1_000.0, 150.0  # milliseconds


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as found:
        yield found


@pytest.fixture(scope="module")
def server() -> Iterator[BoardServer]:
    problem = market(users=2_000, degree=40, campaigns=24)
    other = source(problem.replace(maximize=oa.total("relevance") + 0.8 * oa.total("promotion")), "more promotion")
    with served(Board([source(problem), other])) as running:
        yield running


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize("width", WIDTHS)
def test_every_view_loads(browser: Any, server: BoardServer, width: int, theme: str) -> None:
    with opened(browser, width, theme) as page:
        for view in VIEWS:
            show(page, server.url, view)
            assert page.locator("main .failure:not(:empty)").count() == 0
            assert page.evaluate("document.documentElement.scrollWidth") <= width, f"{view} is wider than the page"
            assert page.locator("nav a[aria-current]").count() == 1
            dark = page.evaluate("getComputedStyle(document.body).backgroundColor")
            assert (dark == "rgb(18, 21, 24)") == (theme == "dark")


def test_everything_that_can_be_used_has_a_name(browser: Any, server: BoardServer) -> None:
    unnamed = """[...document.querySelectorAll("button, a, input, select, [role=slider], [role=region], table")].filter(
        (one) => !(one.getAttribute("aria-label") || one.innerText?.trim() || one.textContent.trim()
            || (one.labels && one.labels.length) || one.caption)).map((one) => one.outerHTML)"""
    with opened(browser) as page:
        for view in VIEWS:
            show(page, server.url, view)
            assert page.evaluate(unnamed) == []
            assert page.evaluate("document.querySelectorAll('table:not(:has(caption))').length") == 0
            headings = page.locator("h1, h2, h3").all_inner_texts()
            assert all(text.strip() for text in headings)
            ids = page.evaluate("[...document.querySelectorAll('[id]')].map((one) => one.id)")
            assert len(set(ids)) == len(ids)


def test_tables_are_sorted_filtered_and_copied(browser: Any, server: BoardServer) -> None:
    rows = "section:has(input) tbody tr"
    with opened(browser) as page:
        show(page, server.url, "overview")
        head = page.locator("th", has_text="delivered").first
        delivered = f"{rows} td:nth-child(3)"

        def shown() -> list[float]:
            return [
                float(one) for one in page.eval_on_selector_all(delivered, "all => all.map((x) => x.dataset.exact)")
            ]

        head.locator("button").click()
        assert head.get_attribute("aria-sort") == "descending"
        assert shown() == sorted(shown(), reverse=True)
        head.locator("button").press("Enter")
        assert head.get_attribute("aria-sort") == "ascending"
        assert shown() == sorted(shown())
        exact = page.locator(delivered).first.get_attribute("data-exact")
        page.locator(delivered).first.click()
        page.wait_for_selector("#said.shown")
        assert page.evaluate("navigator.clipboard.readText()") == exact
        page.locator("section:has(input)").first.locator(".copy").click()
        text = page.evaluate("navigator.clipboard.readText()")
        assert text.splitlines()[0].split("\t")[:3] == ["campaign", "floor", "delivered"]
        assert len(text.splitlines()) == 1 + len(shown())
        assert text.splitlines()[1].split("\t")[2] == exact
        page.locator("input[type=search]").first.fill("-00")
        assert page.locator(rows).count() == 9
        page.locator(".facts button").first.click()
        assert (
            float(page.evaluate("navigator.clipboard.readText()"))
            == get(server.board, "overview")["certificate"]["value"]
        )


def test_the_theme_is_kept(browser: Any, server: BoardServer) -> None:
    with opened(browser) as page:
        show(page, server.url, "overview")
        for theme in ("light", "dark"):
            page.click("#theme")
            assert page.locator("#theme").get_attribute("aria-label") == f"Theme: {theme}"
        page.reload()
        page.wait_for_selector("html[data-theme=dark][data-ready]")
        page.click("#theme")
        assert page.evaluate("document.documentElement.dataset.theme") is None


def test_a_group_stays_in_focus_in_every_view(browser: Any, server: BoardServer) -> None:
    label = server.board.solution.problem.labels(CAPS)[3]
    with opened(browser) as page:
        show(page, server.url, "overview")
        page.locator("tbody a", has_text=label).first.click()
        page.wait_for_selector("html[data-ready=group]")
        assert page.locator("#focus").inner_text().startswith(label)
        page.locator("nav a", has_text="Overview").click()
        page.wait_for_selector("html[data-ready=overview]")
        assert label in page.locator("tr.marked").first.inner_text()
        page.locator("nav a", has_text="Compare").click()
        page.wait_for_selector("html[data-ready=compare]")
        assert page.locator("tr.marked").count() >= 1
        page.locator("#focus button").click()
        assert page.locator("tr.marked").count() == 0
        page.go_back()
        page.wait_for_selector("html[data-ready=overview]")


def test_the_group_page_leads_through_the_groups(browser: Any, server: BoardServer) -> None:
    labels = server.board.solution.problem.labels(CAPS)
    with opened(browser) as page:
        show(page, server.url, f"group/campaign/{labels[1]}")
        page.get_by_role("button", name="Next").click()
        page.wait_for_selector(f"section[aria-label={labels[2]}]")
        page.get_by_role("button", name="Previous").click()
        page.wait_for_selector(f"section[aria-label={labels[1]}]")
        page.get_by_label("Campaign", exact=True).select_option(labels[5])
        page.wait_for_selector(f"section[aria-label={labels[5]}]")
        assert labels[5] in page.title() or labels[5] in page.locator("#focus").inner_text()
        page.get_by_label("Key", exact=True).select_option("licensor")
        page.wait_for_selector('section[aria-label^="licensor-"]')
        page.locator("section[aria-label='Decisions to look at'] a").first.click()
        page.wait_for_selector("html[data-ready=explain]")


def test_a_quote_follows_the_slider(browser: Any) -> None:
    board = Board([source(market(users=600, degree=30, campaigns=8))], editable=True)
    labels = board.solution.problem.labels(CAPS)
    label = max(labels, key=lambda one: oa.quote(board.solution, of={"campaign": one}).max_units.high)
    exact = """!document.querySelector('[aria-busy]') && document.querySelector('.figures') !== null
        && !document.querySelector('.figures').innerText.includes('…')"""
    with served(board) as running, opened(browser) as page:
        show(page, running.url, f"group/campaign/{label}")
        slider = page.locator("input[type=range]")
        slider.wait_for()
        until(page, exact)
        before = get(board, "group", key="campaign", label=label)["shown"]
        slider.focus()
        page.keyboard.press("End")
        page.keyboard.press("Home")
        page.keyboard.press("ArrowRight")
        page.keyboard.press("ArrowRight")
        assert page.get_by_label("More impressions, as a number").input_value() == "2"
        until(page, exact)
        cost = get(board, "quote", key="campaign", label=label, units="2")["cost"]["low"]
        shown = page.locator(".figures dt:text-is('cost, at least') + dd button")
        assert float(shown.get_attribute("title").removeprefix("Copy ")) == cost
        page.locator(".handle").focus()
        page.keyboard.press("ArrowRight")
        assert page.get_by_label("More impressions, as a number").input_value() == "3"
        until(page, exact)
        x, y = center(page, ".handle .knob")
        page.mouse.move(x, y)
        page.mouse.down()
        page.mouse.move(x + 80, y - 20, steps=3)
        page.mouse.up()
        assert int(page.get_by_label("More impressions, as a number").input_value()) > 3
        by = page.get_by_label("Key of those who give way")
        by.select_option("artist")
        assert page.locator("table:has(caption:text-is('Who gives way, by artist')) tbody tr").count() >= 1
        page.get_by_label("More impressions, as a number").fill("2")
        page.keyboard.press("Tab")
        page.get_by_role("button", name="Prove the cost").click()
        page.wait_for_selector("text=Proven on both sides")
        page.get_by_label("Where", exact=True).select_option(index=1)
        until(page, "!document.querySelector('[aria-busy]')")
        page.get_by_label("Where", exact=True).select_option("")
        until(page, exact)
        page.get_by_label("More impressions, as a number").fill("1")
        page.keyboard.press("Tab")
        page.get_by_role("button", name="Accept").click()
        page.wait_for_selector("text=1 change ")
        assert get(board, "group", key="campaign", label=label)["shown"] >= (before + 1) * (1 - 1e-6)


def test_the_outlook_is_on_the_overview_and_on_the_page_of_a_group(browser: Any, tmp_path: Path) -> None:
    found = source()
    assert found.solution is not None
    labels, store = found.solution.problem.labels(CAPS), str(tmp_path / "ledger.db")
    with oa.Ledger(store, clock=lambda: 1_000_000.0) as ledger:
        ledger.record_columns([f"imp-{k}" for k in range(9)], [labels[0]] * 9, 990_000.0)
    flight = Flight(store, ("campaign",), 980_000.0, 1_020_000.0, 1_000_000.0)
    with served(Board([found], extras={"flight": flight})) as running, opened(browser, 390) as page:
        show(page, running.url, "overview")
        assert page.locator("section[aria-label=Outlook] tbody tr").count() == len(labels)
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
        page.locator("section[aria-label=Outlook] tbody a", has_text=labels[0]).click()
        page.wait_for_selector("html[data-ready=group]")
        outlook = page.locator("section[aria-label=Outlook]").inner_text()
        assert "50 % of its time is over" in outlook
        assert "delivered so far\n9" in outlook
        page.wait_for_selector("section[aria-label=Outlook] polygon.band", state="attached")
        assert "in the end" in page.locator("section[aria-label=Outlook]").inner_text()


def test_what_is_served_is_compared_with_the_plan(browser: Any) -> None:
    board = Board([source(fractional())])
    panel = "section[aria-label='Served against planned']"
    with served(board) as running, opened(browser, 390) as page:
        show(page, running.url, "group/campaign/b")
        page.get_by_role("button", name="Serve the plan's users").click()
        row = page.locator(f"{panel} tbody tr")
        row.first.wait_for()
        (miss,) = (one["miss"] for one in get(board, "served")["groups"] if one["miss"])
        assert float(row.locator("td.n").last.get_attribute("data-exact")) == miss
        page.locator("nav a", has_text="Overview").click()
        page.wait_for_selector("html[data-ready=overview]")
        row.first.wait_for()  # it is known by now
        assert "floors, b" in row.first.inner_text()
        assert "1 of 2" in page.locator(panel).inner_text()
        page.get_by_role("button", name="What closes the difference").click()
        closers = page.locator("table:has(caption:text-is('What closes the difference, each tried by serving again'))")
        closers.wait_for()
        assert closers.locator("tbody th").all_inner_texts() == ["rounding", "a smaller gap", "margins"]
        margins = page.locator("table:has(caption:text-is('Limits with margins, at which all limits are met'))")
        limit = get(board, "served")["margins"][0]["limit"]
        assert float(margins.locator("tbody td").first.get_attribute("data-exact")) == limit > 120.5
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
        page.locator(f"{panel} tbody a", has_text="b").first.click()
        page.wait_for_selector("html[data-ready=group]")
        row.first.wait_for()


def test_a_decision_is_explained(browser: Any, server: BoardServer) -> None:
    with opened(browser) as page:
        show(page, server.url, "explain/11")
        assert "User 11: 10 of 40" in page.inner_text("main")
        first = page.locator("tbody tr.pick").first.locator("th").inner_text()
        page.get_by_role("button", name=f"Explain item {first}").click()
        page.get_by_role("button", name="Exclude").click()
        until(page, "location.hash.includes('exclude=')")
        until(page, f"!document.querySelector('tbody tr.pick th').innerText.startsWith('{first}')")
        page.get_by_role("button", name=f"Explain item {first}").click()
        assert page.get_by_role("button", name="Include").get_attribute("aria-pressed") == "true"
        page.get_by_role("button", name="Pin", exact=True).click()
        until(page, "location.hash.includes('pinned=')")
        until(page, f"document.querySelector('tbody tr.pick th').innerText.startsWith('{first}')")
        page.get_by_label("Slots").fill("4")
        page.get_by_label("User", exact=True).fill("12")
        page.get_by_role("button", name="Explain", exact=True).click()
        page.wait_for_selector("text=User 12: 4 of 40")
        page.get_by_label("User", exact=True).fill("12345")
        page.get_by_role("button", name="Explain", exact=True).click()
        page.wait_for_selector("main .failure >> text=there is no user")
        assert all("400" in one for one in page.expected)
        page.expected.clear()  # the browser logs the status of the answer


def test_a_point_of_the_frontier_is_dragged_and_solved(browser: Any, server: BoardServer) -> None:
    with opened(browser) as page:
        show(page, server.url, "frontier")
        page.get_by_label("What to vary", exact=True).first.wait_for()
        page.locator("select[aria-label='What to vary']").select_option(label='weight of total("promotion")')
        page.get_by_label("Points", exact=True).first.fill("5")
        page.get_by_role("button", name="Compute").click()
        page.wait_for_selector("text=Drag the point")
        assert page.locator("circle.dot").count() == 5
        page.get_by_label("Horizontal axis").select_option("point")
        page.get_by_label("Vertical axis").select_option("value")
        handle = page.locator(".handle")
        x, y = center(page, ".handle .knob")
        page.mouse.move(x, y)
        page.mouse.down()
        page.mouse.move(x + 30, y - 10, steps=4)
        assert page.get_by_role("region", name="Between").or_(page.locator("section[aria-label^=Between]")).count() == 1
        page.mouse.up()
        until(page, "document.querySelectorAll('circle.dot').length === 6")
        now = float(handle.get_attribute("aria-valuenow"))
        assert 0.4 < now < 0.6
        handle.focus()
        page.keyboard.press("Home")
        assert float(page.locator(".handle").get_attribute("aria-valuenow")) == 0.0
        page.keyboard.press("ArrowRight")
        until(page, "document.querySelectorAll('circle.dot').length === 7")
        assert float(page.locator(".handle").get_attribute("aria-valuenow")) == pytest.approx(0.02)
        assert page.evaluate("document.activeElement.classList.contains('handle')")
        page.locator("tbody tr.pick button", has_text="0.8").first.click()
        assert float(page.locator(".handle").get_attribute("aria-valuenow")) == pytest.approx(0.8)
        show(page, server.url, "overview")
        show(page, server.url, "frontier")
        page.wait_for_selector("circle.dot")  # it is still there
        page.get_by_label("To", exact=True).first.fill("3")
        page.get_by_label("Points", exact=True).first.fill("60")
        page.get_by_role("button", name="Compute").click()
        page.get_by_role("button", name="Stop").click()
        page.wait_for_selector("text=Drag the point")
        assert page.locator("circle.dot").count() < 60
        label = server.board.solution.problem.labels(CAPS)[0]
        show(page, server.url, f"group/campaign/{label}")
        show(page, server.url, "frontier")
        page.locator("select[aria-label='What to vary']").select_option(label=f"limit of {FLOORS}, {label}")
        page.get_by_label("Points", exact=True).first.fill("4")
        page.get_by_role("button", name="Compute").click()
        page.wait_for_selector("path.refused", state="attached")  # a floor above the cap
        page.wait_for_selector("text=Drag the point")
        page.get_by_label("From", exact=True).first.fill("2")
        page.get_by_label("To", exact=True).first.fill("1")
        page.get_by_role("button", name="Compute").click()
        page.wait_for_selector("text=ascending")
        page.expected.clear()


def test_two_solutions_are_compared(browser: Any, server: BoardServer) -> None:
    with opened(browser) as page:
        show(page, server.url, "compare")
        before = page.locator("section[aria-label=Summary]").inner_text()
        assert "slots changed" in before
        page.get_by_role("button", name="Swap").click()
        until(page, "document.querySelector('section[aria-label=Summary] dt').innerText.endsWith('month')")
        page.get_by_label("After").select_option("0")
        page.wait_for_selector("text=0.0 %")


def test_conflicts_are_resolved_on_a_board_that_may_edit(browser: Any, tmp_path: Path) -> None:
    board = Board([source(conflicting())], editable=True, out=tmp_path)
    with served(board) as running, opened(browser) as page:
        show(page, running.url, "conflicts")
        assert "What conflicts" in page.inner_text("main")
        page.get_by_role("button", name="Apply").first.click()
        page.wait_for_selector("text=No conflict")
        show(page, running.url, "overview")
        kept = page.locator("section[aria-label^='Relevance kept']")
        kept.get_by_label("Key of the users").select_option("hour")
        assert kept.locator("tbody th").all_inner_texts() == ["19", "18"], "least kept first"
        show(page, running.url, "group/campaign/a")
        page.locator("section[aria-label=Slots]").get_by_label("Key of the users").select_option("hour")
        assert page.locator("section[aria-label=Slots] tbody tr").count() == 2
        page.locator("summary", has_text="Why it gets").click()
        page.wait_for_selector("details[open] li")
        page.get_by_label("New limit").fill("0.5")
        page.get_by_role("button", name="Solve again").click()
        page.wait_for_selector("text=2 changes")
        assert board.solution.problem.bound[0].band()[0][0] == 0.5
        page.get_by_role("button", name="Save").click()
        page.wait_for_selector("text=Saved to")
        assert oa.load_solution(tmp_path / "month.board.solution").x.size > 0
        page.get_by_role("button", name="Undo").click()
        page.wait_for_selector("text=1 change ")
        page.get_by_label("New limit").fill("99")
        page.get_by_role("button", name="Solve again").click()
        page.wait_for_selector("text=2 changes")  # it conflicts, and is relaxed


def test_labels_are_never_read_as_markup(browser: Any) -> None:
    nasty = "<img src=x onerror=alert(1)>"
    cands = oa.Candidates.from_arrays(
        [0, 2, 4], [0, 1, 0, 1], {"relevance": [0.9, 0.5, 0.8, 0.7]}, users={"market": ["DE", "U&S"]},
        items={"campaign": [nasty, "b/c?d#e"]},
    )  # fmt: skip
    cap = (oa.exposure(by="campaign") <= {nasty: 1.5}).named("<b>caps</b>")
    board = Board([source(oa.Problem(cands, oa.total("relevance"), cap, oa.Slate(1)), "<i>")])
    with served(board) as running, opened(browser) as page:
        for view in VIEWS:
            show(page, running.url, view)
            assert page.locator("main img, main b, h1 i").count() == 0
        show(page, running.url, "overview")
        page.locator("tbody a", has_text=nasty).first.click()
        page.wait_for_selector("html[data-ready=group]")
        assert page.locator("#focus").inner_text().startswith(nasty)


def test_the_page_is_used_with_the_keyboard_alone(browser: Any, server: BoardServer) -> None:
    with opened(browser) as page:
        show(page, server.url, "overview")
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.className") == "skip"
        for _ in range(2):
            page.keyboard.press("Tab")
        page.keyboard.press("Enter")
        page.wait_for_selector("html[data-ready=group]")
        assert page.evaluate("document.activeElement.id") == "main", "the focus is where the new view begins"


def test_a_board_that_ended_says_so(browser: Any) -> None:
    with served(Board([source(conflicting())])) as running, opened(browser) as page:
        show(page, running.url, "overview")
        page.route("**/api/**", lambda route: route.abort())
        page.locator("nav a", has_text="Conflicts").click()
        page.wait_for_selector("text=still running")
        page.expected.clear()


def test_the_first_view_of_1000_campaigns_is_there_in_a_second(browser: Any) -> None:
    rng, users, each, campaigns = np.random.default_rng(0), 3_000, 20, 1_000
    item = np.concatenate([rng.choice(2 * campaigns, each, replace=False) for _ in range(users)])
    cands = oa.Candidates.from_arrays(
        np.arange(users + 1) * each, item, {"relevance": rng.random(item.size)},
        users={"market": rng.choice(["DE", "JP", "US"], users)},
        items={"campaign": [f"campaign {k % campaigns:04d}" for k in range(2 * campaigns)]},
    )  # fmt: skip
    reach = np.bincount(item % campaigns, minlength=campaigns)
    caps = (oa.exposure(by="campaign") <= np.maximum(np.round(0.3 * reach), 1.0)).named("caps")
    floors = (oa.exposure(by="campaign") >= np.floor(0.05 * reach)).named("floors")
    with served(Board([source(oa.Problem(cands, oa.total("relevance"), [caps, floors], oa.Slate(5)))])) as running:
        times: list[float] = []
        with opened(browser) as page:
            while len(times) < 3 or (min(times) >= FIRST_VIEW and len(times) < 30):
                page.goto("about:blank")
                show(page, running.url, "overview")
                times.append(page.evaluate("performance.getEntriesByName('shown')[0].startTime"))
            until(page, "document.querySelectorAll('tbody')[0].rows.length === 1000")
        print(f"first view of 1,000 campaigns: {sorted(times)} ms")
        assert min(times) < FIRST_VIEW  # the others measure what else the machine does


def test_the_slider_responds_in_150_ms_at_a_million_pairs(browser: Any) -> None:
    problem = market(users=50_000, degree=20, campaigns=40)
    assert problem.candidates.n_pairs == 1_000_000
    board = Board([source(problem)])
    labels = problem.labels(CAPS)[:6]
    label = max(labels, key=lambda one: oa.quote(board.solution, of={"campaign": one}).max_units.high)
    move = """units => {
        const slider = document.querySelector("input[type=range]");
        const begun = performance.now();
        slider.value = units;
        slider.dispatchEvent(new Event("input"));
        document.querySelector(".figures").getBoundingClientRect();  // laid out
        return performance.now() - begun;
    }"""
    with served(board) as running, opened(browser) as page:
        show(page, running.url, f"group/campaign/{label}")
        page.locator("input[type=range]").wait_for()
        most = int(page.locator("input[type=range]").get_attribute("max"))
        shown, exact = [], []
        for k in range(1, 6):
            until(page, "!document.querySelector('.figures').innerText.includes('…')")
            page.evaluate("performance.clearMeasures('quote')")
            shown.append(page.evaluate(move, k * most // 6))
            assert page.get_by_label("More impressions, as a number").input_value() == str(k * most // 6)
            until(page, "performance.getEntriesByName('quote').length > 0")
            exact.append(page.evaluate("performance.getEntriesByName('quote')[0].duration"))
    answered = []
    for k in range(1, 6):  # of the processor: what else the machine does is not the board's
        begun = time.thread_time()
        get(board, "quote", key="campaign", label=label, units=str(k * most // 6))
        answered.append(1000.0 * (time.thread_time() - begun))
    print(
        f"slider: shown after {sorted(shown)} ms, exact after {sorted(exact)} ms, {sorted(answered)} of the processor"
    )
    assert sorted(shown)[2] < SLIDER
    assert min(answered) < SLIDER


PICTURES = {
    "board-overview": ("overview", 1280, "light"),
    "board-campaign": ("group/campaign/campaign-010", 1280, "dark"),
    "board-frontier": ("frontier", 1280, "light"),
    "board-narrow": ("overview", 390, "light"),
}


def test_the_docs_show_this_page(browser: Any, server: BoardServer, tmp_path: Path) -> None:
    """With OASIS_ALLOC_SCREENSHOTS=1 the pictures of the docs are taken again."""
    folder = SHOTS if os.environ.get("OASIS_ALLOC_SCREENSHOTS") else tmp_path
    for name, (view, width, theme) in PICTURES.items():
        with opened(browser, width, theme, 860 if width > 700 else 780) as page:
            show(page, server.url, view)
            if view == "frontier":
                page.get_by_role("button", name="Compute").click()
                page.wait_for_selector("text=Drag the point")
            page.wait_for_timeout(150)
            page.screenshot(path=folder / f"{name}.png")
        taken, kept = (folder / f"{name}.png").read_bytes(), (SHOTS / f"{name}.png").read_bytes()
        assert taken[16:24] == kept[16:24], "the width and height in the header of a PNG"
        assert (Path(__file__).parents[2] / "docs" / "board.md").read_text("utf-8").count(f"plots/{name}.png") == 1
    assert {path.stem for path in SHOTS.glob("board-*.png")} == set(PICTURES)
    assert FLOORS in server.board.solution.problem.names
