"""Everything that can be done on the page, done in the real browser with a model."""

from __future__ import annotations

import base64
import re
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from chatterbox_cached.demo.rehearsal import reference_clip
from tests.support.browser import PHONE, until
from tests.support.served import Served
from tests.support.shelves import Open, Shelf

_DROP = """([name, content]) => {
  const bytes = Uint8Array.from(atob(content), (sign) => sign.charCodeAt(0));
  const dataTransfer = new DataTransfer();
  dataTransfer.items.add(new File([bytes], name));
  for (const kind of ["dragenter", "dragover", "drop"]) {
    const event = new DragEvent(kind, { bubbles: true, cancelable: true, dataTransfer });
    document.querySelector("main").dispatchEvent(event);
  }
}"""


def _drop(page: Page, name: str, content: bytes) -> None:
    """Let go of a file over the page, once it listens."""
    page.wait_for_load_state()
    page.evaluate(_DROP, [name, base64.b64encode(content).decode()])


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    return reference_clip(tmp_path / "narrator.wav", seconds=2)


@pytest.fixture
def with_model(open_page: Open, hub_environment: dict[str, str]) -> Served:
    """A page that may be edited, with the English model."""
    return open_page("--edit", "--model", "english", "--device", "cpu", **hub_environment)


def test_a_voice_is_dropped_prepared_and_speaks(with_model: Served, shelf: Shelf, clip: Path, visit: Any) -> None:
    page = visit(with_model).page
    expect(page.locator("#model")).to_have_text(re.compile("english is (being loaded|ready)"))
    _drop(page, "narrator.wav", clip.read_bytes())
    expect(page.get_by_role("status").first).to_have_text("narrator was added, prepared for english.", timeout=180_000)
    assert shelf.voices.models("narrator")[0].startswith("english")
    assert shelf.voices["narrator"].audio is None  # nobody asked for that
    page.get_by_role("link", name="narrator").click()
    page.get_by_label("Text").fill("Good evening.")
    page.get_by_role("button", name="Say it").click()
    expect(page.get_by_text("Done.")).to_be_visible(timeout=180_000)
    until(page, "document.querySelector('.say audio').duration > 0")


def test_what_is_no_audio_is_refused_before_it_is_prepared(with_model: Served, shelf: Shelf, visit: Any) -> None:
    visited = visit(with_model)
    page = visited.page
    _drop(page, "letter.wav", b"Dear Sir or Madam")
    expect(page.get_by_role("alert")).to_contain_text("letter.wav", timeout=180_000)
    assert list(shelf.voices) == []
    visited.complaints.clear()  # the browser says what status it got


def test_a_voice_is_added_by_the_form_and_heard(open_page: Open, shelf: Shelf, clip: Path, visit: Any) -> None:
    page = visit(open_page("--edit"), PHONE, "dark").page
    page.get_by_label("Recordings to add").set_input_files(clip)
    page.get_by_text("Name and more").click()
    page.get_by_label("Name, where it is not the file's").fill("Erzähler")
    page.get_by_label("Who allowed what").fill("The speaker, in 2026.")
    page.get_by_role("button", name="Add", exact=True).click()
    page.get_by_role("link", name="Erzähler").click()
    expect(page.get_by_text("The speaker, in 2026.").first).to_be_visible()
    page.evaluate("document.querySelector('audio').play()")
    until(page, "document.querySelector('audio').duration > 1.9")
    assert shelf.voices["erzähler"].consent == "The speaker, in 2026."


def test_a_voice_is_renamed_described_chosen_and_forgotten(
    open_page: Open, shelf: Shelf, clip: Path, visit: Any
) -> None:
    shelf.voices.add("narrator", clip, keep_audio=True)
    page = visit(open_page("--edit")).go("/named/narrator")
    page.get_by_label("Name", exact=True).fill("Erzähler")
    page.get_by_role("button", name="Rename").click()
    expect(page.get_by_role("heading", name="Erzähler")).to_be_visible()
    page.get_by_label("Description").fill("Calm, and old.")
    page.get_by_label("Other names").fill("old man, grandpa")
    page.get_by_role("button", name="Keep this").click()
    expect(page.get_by_text("grandpa, old man")).to_be_visible()
    page.get_by_role("button", name="Make it the default").click()
    expect(page.locator(".tag")).to_have_text("default")
    assert (shelf.voices.default, shelf.voices["Grandpa"].description) == ("Erzähler", "Calm, and old.")
    page.get_by_role("link", name="Forget").click()
    page.get_by_role("link", name="Keep").click()
    assert list(shelf.voices) == ["Erzähler"]
    page.get_by_role("link", name="Forget").click()
    page.get_by_label("Also forget what the cache keeps").check()
    page.get_by_role("button", name="Forget").click()
    expect(page.get_by_text("It is forgotten.")).to_be_visible()
    assert list(shelf.voices) == []


def test_voices_are_exported_and_imported(open_page: Open, shelf: Shelf, tmp_path: Path, visit: Any) -> None:
    (digest,) = shelf.cached("anna.wav")
    page = visit(open_page("--edit")).go(f"/cached/{digest}")
    with page.expect_download() as downloading:
        page.get_by_role("link", name="Export").click()
    downloading.value.save_as(tmp_path / "voices.cbv")
    page.get_by_role("link", name="Forget").click()
    page.get_by_role("button", name="Forget").click()
    expect(page.get_by_text("No voices yet.")).to_be_visible()
    _drop(page, "voices.cbv", (tmp_path / "voices.cbv").read_bytes())
    expect(page.get_by_text("what was prepared of 1 voice, of which 1 entry is new here.")).to_be_visible()
    assert page.locator(".voices tbody tr").count() == 1


def test_all_of_it_can_be_done_by_keyboard(open_page: Open, shelf: Shelf, clip: Path, visit: Any) -> None:
    shelf.voices.add("anna", clip, keep_audio=True)
    shelf.voices.add("ben", reference_clip(clip.with_name("ben.wav"), seconds=1, seed=1), keep_audio=True)
    page = visit(open_page("--edit")).page
    press = page.keyboard.press
    press("/")
    page.keyboard.type("be")
    expect(page.get_by_text("1 of 2 voices")).to_be_visible()
    _tab_to(page, "ben")
    press("Enter")
    expect(page.get_by_role("heading", name="ben")).to_be_visible()
    _tab_to(page, "Make it the default")
    press("Space")
    expect(page.locator(".tag")).to_have_text("default")
    _tab_to(page, "name")
    press("Control+a")
    page.keyboard.type("Benjamin")
    press("Enter")
    expect(page.get_by_role("heading", name="Benjamin")).to_be_visible()
    _tab_to(page, "Forget…")
    press("Enter")
    expect(page.get_by_role("heading", name="Forget Benjamin?")).to_be_visible()
    _tab_to(page, "Forget")
    press("Enter")
    expect(page.get_by_text("It is forgotten.")).to_be_visible()
    assert list(shelf.voices) == ["anna"]


def _tab_to(page: Page, wanted: str) -> None:
    """Press Tab until what has the focus says this, or is a field of this name; and see that the focus is shown."""
    page.wait_for_load_state()  # with its style sheet
    focused = "document.activeElement"
    for _ in range(60):
        page.keyboard.press("Tab")
        said = page.evaluate(f"[{focused}.textContent.trim(), {focused}.name]")
        if wanted in said:
            assert page.evaluate(f"parseFloat(getComputedStyle({focused}).outlineWidth)") >= 2
            return
    raise AssertionError(f"{wanted} can't be reached by keyboard")


def test_the_figures_are_shown(open_page: Open, shelf: Shelf, visit: Any) -> None:
    shelf.cached("anna.wav")
    page = visit(open_page(), PHONE).page
    page.get_by_role("link", name="Savings").click()
    expect(page.get_by_role("row", name=re.compile("anna.wav"))).to_contain_text("3.0 s")
    page.get_by_role("link", name="Tiers").click()
    expect(page.get_by_text(str(shelf.cache_dir))).to_be_visible()
    page.get_by_role("link", name="Settings").click()
    expect(page.get_by_text("CHATTERBOX_CACHED_SIZE_LIMIT")).to_be_visible()


def test_it_works_without_scripts(open_page: Open, shelf: Shelf, clip: Path, browser: Any) -> None:
    shelf.voices.add("narrator", clip)
    served = open_page("--edit")
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(served.address)
    page.wait_for_url(f"{served.origin}/")
    page.get_by_label("Search voices").fill("narr")
    page.get_by_role("button", name="Search").click()
    page.get_by_role("link", name="narrator").click()
    page.get_by_label("Name", exact=True).fill("other")
    page.get_by_role("button", name="Rename").click()
    expect(page.get_by_role("heading", name="other")).to_be_visible()
    context.close()
