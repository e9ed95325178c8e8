"""The UI of `taxi dev` in a real browser: a month is materialized by hand, and what a person looks for is there.

With TAXI_SCREENSHOTS=docs the pictures of the README are taken on the way.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import pytest
import requests
from selenium import webdriver
from selenium.common.exceptions import TimeoutException
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.ui import WebDriverWait
from tenacity import retry, retry_if_exception_type, stop_after_delay, wait_fixed

from taxi_assets.local.service import free_port
from taxi_assets_tests.taxi_command import Taxi

CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
pytestmark = [
    pytest.mark.e2e,
    pytest.mark.in_order,
    pytest.mark.skipif(
        not (CHROMIUM and DRIVER), reason="no browser: Debian's packages chromium and chromium-driver are not here"
    ),
]
T = TypeVar("T")
MONTH = "2020-05"
FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--window-size=1600,900",
)


class Browser:
    """A headless Chromium at the UI."""

    def __init__(self, url: str, profile: Path) -> None:
        options = webdriver.ChromeOptions()
        options.binary_location = str(CHROMIUM)
        for flag in (*FLAGS, f"--user-data-dir={profile}"):
            options.add_argument(flag)
        self.url, self.profile = url, profile
        self.driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(str(DRIVER)))

    def open(self, path: str) -> None:
        self.driver.get(f"{self.url}{path}")

    def seen(self, text: str, seconds: float = 60) -> WebElement:
        """The innermost element that shows the text; waits for it."""
        return self.wait(lambda: self.elements(text), seconds)[-1]

    def elements(self, text: str) -> list[WebElement]:
        return self.driver.find_elements(By.XPATH, f"//*[contains(normalize-space(.), {text!r})]")

    def button(self, text: str) -> WebElement:
        """The button that can be pressed and whose text begins so."""

        def found() -> list[WebElement]:
            buttons = self.driver.find_elements(By.TAG_NAME, "button")
            return [button for button in buttons if button.text.startswith(text) and button.is_enabled()]

        return self.wait(found)[0]

    def wait(self, found: Callable[[], T], seconds: float = 60) -> T:
        try:
            return WebDriverWait(self.driver, seconds, 0.3).until(lambda _: found())
        except TimeoutException:
            self.driver.save_screenshot(str(self.profile / "waited_in_vain.png"))
            raise AssertionError(f"waited in vain at {self.driver.current_url}; see {self.profile}") from None

    def picture(self, name: str) -> None:
        if folder := os.environ.get("TAXI_SCREENSHOTS"):
            time.sleep(1)  # What fades in is there then.
            self.driver.save_screenshot(str(Path(folder) / f"{name}.png"))


@pytest.fixture(scope="module")
def taxi(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Taxi]:
    folder = tmp_path_factory.mktemp("browser")
    command = Taxi(folder / "home", folder, {"TAXI_SAMPLE_ROWS": "5000", "TAXI_PUBLICATION_SECONDS": "3600"})
    yield command
    command.well("down")


@pytest.fixture(scope="module")
def browser(taxi: Taxi, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    with taxi.start("dev", "--port", str(port)) as serving:
        try:
            _wait_for(url)
            shown = Browser(url, tmp_path_factory.mktemp("profile"))
            (link,) = re.findall(rf"{url}/\?token=\S+", taxi.well("status").out)
            shown.driver.get(link)
            try:
                yield shown
            finally:
                shown.driver.quit()
        finally:
            serving.send_signal(signal.SIGINT)
            serving.communicate(timeout=60)


@retry(retry=retry_if_exception_type(requests.RequestException), stop=stop_after_delay(90), wait=wait_fixed(0.5))
def _wait_for(url: str) -> None:
    with requests.Session() as session:
        session.trust_env = False
        assert session.get(f"{url}/server_info", timeout=5).status_code == 401


def test_the_link_logs_the_browser_in_and_leaves_no_token_in_it(browser: Browser) -> None:
    browser.seen("Overview")
    assert "token" not in browser.driver.current_url
    (cookie,) = browser.driver.get_cookies()
    assert (cookie["httpOnly"], cookie["sameSite"]) == (True, "Strict")
    assert browser.driver.execute_script("return document.cookie + document.referrer") == ""


@pytest.mark.timeout(400)
def test_a_month_is_materialized_by_hand(browser: Browser) -> None:
    browser.open("/locations/taxi_assets/asset-groups/yellow/lineage")
    for asset in ("raw_taxi", "clean_taxi", "rejected_taxi", "postgres_table", "gcs_parquet", "bigquery_table"):
        browser.seen(asset)
    browser.button("Materialize all").click()
    months = browser.wait(lambda: browser.driver.find_elements(By.CSS_SELECTOR, "input[placeholder^='ex:']"))[0]
    months.send_keys(MONTH, Keys.TAB)
    browser.button("Launch 1 run").click()
    browser.seen("Launched run")
    browser.wait(lambda: browser.driver.find_elements(By.CSS_SELECTOR, "a[href*='/runs/']"))[0].click()
    browser.seen("RUN_SUCCESS", seconds=150)
    browser.open(f"/assets/yellow/bigquery_table?view=partitions&partition={MONTH}")
    browser.seen("load_job")
    browser.open("/locations/taxi_assets/asset-groups/yellow/lineage")
    browser.seen("7 / 7 Passed")
    browser.seen("3 / 3 Passed")
    browser.picture("asset_graph")


@pytest.mark.timeout(200)
def test_its_plot_preview_and_checks_are_shown(browser: Browser) -> None:
    browser.open(f"/assets/yellow/clean_taxi?view=partitions&partition={MONTH}")
    browser.seen("tpep_pickup_datetime")
    browser.seen("2020-05-", seconds=30)
    browser.picture("preview")
    browser.seen("[Show Markdown]").click()
    plot = browser.wait(lambda: browser.driver.find_elements(By.CSS_SELECTOR, "img[src^='data:image/svg+xml']"))[0]
    assert int(plot.get_attribute("naturalWidth") or 0) > 400
    browser.picture("plot")
    browser.open("/assets/yellow/clean_taxi?view=checks&checkDetail=rows_accounted_for")
    browser.seen("no_kept_row_breaks_a_rule")
    browser.seen("5,000 read")
    browser.picture("checks")


@pytest.mark.timeout(200)
def test_a_failed_run_shows_its_clear_error(browser: Browser, taxi: Taxi, tmp_path: Path) -> None:
    (tmp_path / "yellow").mkdir()
    (tmp_path / "yellow" / "yellow_tripdata_2020-06.csv.gz").write_bytes(b"<html>")
    broken = taxi.having(TAXI_SOURCE_URL=tmp_path.as_uri())
    said = broken("run", "yellow", "--months", "2020-06", "--only", "postgres")
    assert said.code == 1
    found = re.search(r"[0-9a-f]{8}-[0-9a-f-]{27}", said.err)
    assert found, said.err
    browser.open(f"/runs/{found[0]}")
    browser.seen("yellow_tripdata_2020-06.csv.gz")
    browser.picture("failed_run")
