"""The page by its real controls, in headless Chromium."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from .serving import Served, serving

webdriver: Any = pytest.importorskip("selenium.webdriver", reason="selenium is not installed")
pytest.importorskip("uvicorn", reason="the extra 'serve' is not installed")
pytestmark = pytest.mark.slow
_BROWSERS = ("chromium", "google-chrome", "chrome")


@pytest.fixture(scope="module")
def start_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serving(tmp_path_factory.mktemp("serve"), "--lang", "en") as served:
        yield served


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    found = next(filter(None, map(shutil.which, _BROWSERS)), None)
    driver = shutil.which("chromedriver")
    if found is None or driver is None:
        pytest.skip("Chromium with its driver is not on this machine (chromium, chromedriver)")
    options = webdriver.ChromeOptions()
    options.binary_location = found
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    profile = tmp_path_factory.mktemp("profile")
    for argument in ("--headless", "--disable-gpu", f"--user-data-dir={profile}", "--lang=en"):
        options.add_argument(argument)
    options.add_argument("--window-size=1300,1000")
    if os.name == "posix" and os.geteuid() == 0:
        options.add_argument("--no-sandbox")  # which root cannot have; the page is ours
    service = webdriver.ChromeService(driver)
    with webdriver.Chrome(options, service) as opened:
        opened.set_page_load_timeout(120)
        yield opened


class Page:
    """The page as a person sees and uses it."""

    def __init__(self, browser: Any):
        self.browser = browser

    def find(self, css: str) -> Any:
        return self.browser.find_element("css selector", css)

    def all(self, css: str) -> list[Any]:
        return list(self.browser.find_elements("css selector", css))

    def wait(self, what: Any, seconds: float = 90) -> Any:
        from selenium.webdriver.support.ui import WebDriverWait

        return WebDriverWait(self.browser, seconds, 0.2).until(lambda _: what())

    def settled(self) -> None:
        """Wait until no answer is on its way."""
        self.wait(lambda: not self.find("#stop").is_enabled() and self.find("#ask").is_enabled())

    def width(self, css: str) -> float:
        return float(self.find(css).rect["width"])


def test_a_consultation(
    start_server: Served, browser: Any, sample: Path, photographs: Path, tmp_path: Path
) -> None:
    from selenium.webdriver.common.keys import Keys
    from selenium.webdriver.support.ui import Select

    page = Page(browser)
    browser.get(start_server.address)
    page.wait(lambda: "Decision support" in page.find("#notice").text)
    assert browser.page_source.count("not a diagnosis") == 1

    # A photograph, its findings as bars, its heat map.
    photograph = tmp_path / "retina left.jpg"
    photograph.write_bytes(sample.read_bytes())
    page.find("#open").send_keys(str(photograph))
    page.wait(lambda: page.all("#findings tr.reached"))
    page.settled()
    assert page.find(".name").text == "retina left.jpg"
    assert Select(page.find(".eye")).first_selected_option.get_attribute("value") == "left"
    dr = "#findings tr[data-label=dr]"
    shown = float(page.find(f"{dr} td.number").text.rstrip("%")) / 100
    assert abs(page.width(f"{dr} .bar") / page.width(f"{dr} .track") - shown) < 0.02
    assert page.all(f"{dr} .mark")
    loaded = "return arguments[0].complete && arguments[0].naturalWidth"
    page.wait(lambda: browser.execute_script(loaded, page.find(".photograph")) == 640)
    Select(page.find("#condition")).select_by_value("glaucoma")
    page.wait(lambda: browser.execute_script(loaded, page.find(".map")) == 640)
    assert page.find(".map").get_attribute("src").endswith("/heat/glaucoma")
    assert float(page.find(".map").value_of_css_property("opacity")) == pytest.approx(0.55)
    page.find("#opacity").send_keys(Keys.HOME)
    assert float(page.find(".map").value_of_css_property("opacity")) == 0
    page.find("#opacity").send_keys(Keys.END)
    assert float(page.find(".map").value_of_css_property("opacity")) == 1

    # A conversation that streams; Enter asks, and a tag that is typed is text.
    page.find("#question").send_keys("What is <i>glaucoma</i>?", Keys.ENTER)
    page.wait(lambda: "Known in general" in page.find("#turns").text)
    page.settled()
    turn = page.find("#turns article")
    assert turn.find_element("css selector", "blockquote").text == "What is <i>glaucoma</i>?"
    assert "[1]" in turn.text
    assert page.find(".sources li").text.startswith("[1] ")
    # An answer that is stopped.
    page.find("#question").send_keys("What is the treatment of diabetic retinopathy?")
    page.find("#ask").click()
    page.wait(lambda: len(page.all("#turns article")) == 2)
    page.find("#stop").click()
    page.settled()
    assert len(page.all("#turns article")) == 2
    # Chinese: all that is the page's, and the proposals ask in it.
    Select(page.find("#language")).select_by_value("zh")
    page.wait(lambda: "不构成诊断" in page.find("#notice").text)
    assert "糖尿病视网膜病变" in page.find(dr).text
    page.find("#proposals button").click()
    page.wait(lambda: "照片所见" in page.find("#turns").text)
    page.settled()

    # A reload keeps the conversation, another tab has its own.
    browser.refresh()
    page.wait(lambda: "照片所见" in page.find("#turns").text)
    first = browser.current_window_handle
    browser.switch_to.new_window("tab")
    browser.get(start_server.address)
    page.wait(lambda: page.find("#notice").text)
    assert page.all("#turns article") == []
    # What cannot be read is said there; three photographs are not taken.
    page.find("#open").send_keys(str(photographs / "notes.jpg"))
    page.wait(lambda: "notes.jpg is not a picture" in page.find("#trouble").text)
    page.settled()
    page.find("#open").send_keys(
        "\n".join(str(photographs / name) for name in ("one_left.jpg", "two.png", "notes.jpg"))
    )
    page.wait(lambda: "one photograph or two" in page.find("#trouble").text)
    browser.close()
    browser.switch_to.window(first)

    # The report, as it is printed.
    page.find("#show-report").click()
    page.wait(lambda: page.find("#report").is_displayed())
    browser.switch_to.frame(page.find("#sheet"))
    page.wait(lambda: "不构成诊断" in page.find("body").text)
    assert "What is <i>glaucoma</i>?" in page.find("body").text
    assert browser.execute_script(loaded, page.find("figure img")) == 360
    browser.switch_to.default_content()
    assert page.find("#report a").get_attribute("href").endswith("/report.html?lang=zh&save=1")
    page.find("#close-report").click()

    # A new patient: nothing is left.
    page.find("#over").click()
    page.wait(lambda: not page.all("#viewers figure") and not page.all("#turns article"))
    # Nothing broke, and the page's own policy kept nothing of it out.
    said = [line["message"] for line in browser.get_log("browser")]
    assert [m for m in said if "422" not in m and "404" not in m and "favicon" not in m] == []
