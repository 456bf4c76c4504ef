"""The page in a browser, against a real server that tracks a drive over a small town."""

from __future__ import annotations

import json
import re
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from math import hypot
from pathlib import Path

import cv2
import pytest

from cvlnet.imagery.georef import open_overhead
from cvlnet.map.build import build_map
from driving import FRAME, MIDDLE, PIXEL_M, Seeing, circle, ground, model, write_video

sync_api = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")
uvicorn = pytest.importorskip("uvicorn", reason="the extra serve is not installed")
expect = sync_api.expect
expect.set_options(timeout=30_000)  # of a machine that is busy

CHROMIUM = shutil.which("chromium")
AXE = Path(__file__).parents[2] / "page/node_modules/axe-core/axe.min.js"
ARGUMENTS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--enable-unsafe-swiftshader",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
DRIVE = circle(130.0, step_m=1.6)
DURATION_S = (len(DRIVE) - 1) / 5

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium on the path")


@pytest.fixture(scope="module")
def drive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A video folder of a drive through the town, with its true positions."""
    return write_video(tmp_path_factory.mktemp("drive") / "round", DRIVE)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, drive: Path) -> Iterator[str]:
    """The address of a server of the town, whose example is the drive."""
    from cvlnet.serve import service as service_module
    from cvlnet.serve.app import create_app
    from cvlnet.serve.drives import Drives
    from cvlnet.serve.served_map import ServedMap

    root = tmp_path_factory.mktemp("town")
    cv2.imwrite(str(root / "ground.png"), ground().pixels[..., ::-1])
    entry = {"center": [MIDDLE.latitude_deg, MIDDLE.longitude_deg], "m_per_px": PIXEL_M}
    (root / "georef.json").write_text(json.dumps(entry))
    (root / "manifest.json").write_text(json.dumps({"credit": "Town of Blotches"}))
    build_map(model(), open_overhead(root / "ground.png"), root / "blotches")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(service_module, "camera_doubt", lambda *_: None)  # the frames show no road
        served = ServedMap.opened(root / "blotches", Seeing(), None, root)
        service = service_module.Service(served, Drives.named((), (drive,)), root / "state")
        running = uvicorn.Server(uvicorn.Config(create_app(service), port=0, log_level="error"))
        thread = threading.Thread(target=running.run, daemon=True)
        thread.start()
        _until(lambda: running.started)
        yield f"http://127.0.0.1:{running.servers[0].sockets[0].getsockname()[1]}/"
        running.should_exit = running.force_exit = True
        thread.join()
        service.close()


@pytest.fixture(scope="module")
def browser() -> Iterator[sync_api.Browser]:
    with sync_api.sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield launched
        launched.close()


class User:
    """Someone with a browser of their own, which reaches the server and nothing else."""

    def __init__(self, browser: sync_api.Browser, server: str, **context: object) -> None:
        self.server, self.faults = server, list[str]()
        self.context = browser.new_context(**{"viewport": {"width": 1000, "height": 640}, **context})
        self.context.set_default_timeout(30_000)
        self.context.route("**/*", self._route)
        self.page = self.context.new_page()
        self.page.on("console", lambda message: message.type == "error" and self.faults.append(message.text))
        self.page.on("pageerror", lambda error: self.faults.append(str(error)))

    def _route(self, route: sync_api.Route) -> None:
        if route.request.url.startswith(self.server):
            route.continue_()
        else:
            self.faults.append(f"asks for {route.request.url}")
            route.abort()

    def open(self, address: str = "") -> sync_api.Page:
        self.page.goto(self.server + address)
        return self.page

    def open_drive(self, address: str) -> sync_api.Page:
        page = self.open(address)
        expect(page.get_by_role("button", name="Play", exact=True)).to_be_enabled()
        return page

    def coordinates(self) -> tuple[float, float]:
        text = self.page.locator(".coordinates button").first.text_content() or ""
        latitude, longitude = text.split(", ")
        return float(latitude), float(longitude)

    def second(self) -> float:
        """The time that is shown, in seconds since the drive's first moment."""
        minutes, seconds = (self.page.locator(".time b").text_content() or "").split(":")
        return 60 * int(minutes) + float(seconds)


@pytest.fixture
def user(browser: sync_api.Browser, server: str) -> Iterator[User]:
    one = User(browser, server)
    yield one
    one.context.close()
    assert one.faults == []


@pytest.fixture(scope="module")
def ended(browser: sync_api.Browser, server: str) -> str:
    """The address of a session that has ended: the example, as a newcomer runs it."""
    newcomer = User(browser, server)
    page = newcomer.open()
    page.get_by_role("button", name="Run the example").click()
    expect(page.locator(".session")).to_contain_text(f"{len(DRIVE)} moments", timeout=60_000)
    address = page.url.removeprefix(server).split("&")[0]
    newcomer.context.close()
    assert newcomer.faults == []
    return address


def test_the_first_sight_has_the_map_its_credit_and_the_drives(user: User) -> None:
    page = user.open()
    expect(page).to_have_title("blotches · CVLNet")
    expect(page.locator(".credit")).to_have_text("Imagery: Town of Blotches")
    expect(page.locator(".drives label")).to_contain_text(["round"])
    expect(page.locator(".maplibregl-canvas")).to_be_visible()


def test_the_example_is_found_and_its_moments_can_be_seen(user: User, ended: str) -> None:
    page = user.open_drive(f"{ended}&t=12")
    expect(page.locator(".knowledge")).to_contain_text(re.compile(r"Tracking: within \d\.\d\sm, confidence"))
    at = DRIVE[60]
    latitude_deg, longitude_deg = FRAME.latlon_deg(at.xy_m).tolist()
    shown = user.coordinates()
    assert hypot(shown[0] - latitude_deg, (shown[1] - longitude_deg) * 0.656) * 111_195 < 5
    for kind in ("frame", "projection", "score"):
        expect(page.locator(f"figure.{kind} img")).to_have_js_property("complete", True)
        assert page.locator(f"figure.{kind} img").evaluate("image => image.naturalWidth") > 0
    expect(page.locator(".vehicle")).to_be_visible()
    page.keyboard.press("Home")
    expect(page.locator(".knowledge")).to_contain_text("Searching: no place stands out yet.")
    expect(page.locator(".vehicle")).to_have_count(0)


def test_it_plays_and_the_fix_moves(user: User, ended: str) -> None:
    page = user.open_drive(f"{ended}&t=6")
    before = user.coordinates()
    page.get_by_label("Speed").select_option("2")
    page.keyboard.press("Space")
    expect(page.locator(".time b")).to_have_text(re.compile(r"0:(0[89]|1\d)\.\d"))
    page.get_by_role("button", name="Pause").click()
    assert user.coordinates() != before
    assert 8 <= user.second() < DURATION_S
    stopped = user.second()
    page.wait_for_timeout(300)
    assert user.second() == stopped


def test_keys_go_through_the_moments(user: User, ended: str) -> None:
    page = user.open_drive(f"{ended}&t=8")
    for key, second in [
        ("ArrowRight", 8.2), ("ArrowLeft", 8.0), ("Shift+ArrowRight", 13.0), ("Shift+ArrowLeft", 8.0),
        ("End", DURATION_S), ("Home", 0.0), ("ArrowLeft", 0.0),
    ]:  # fmt: skip
        page.keyboard.press(key)
        expect(page.locator(".time b")).to_have_text(f"0:{second:04.1f}")
    page.keyboard.press("?")
    expect(page.get_by_role("dialog")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)


def test_a_click_on_the_timeline_and_one_on_the_track_seek(user: User, ended: str) -> None:
    page = user.open_drive(f"{ended}&t=12")
    page.get_by_role("button", name="Show the whole map").click()
    page.wait_for_timeout(1500)  # until the map has arrived
    box = page.locator(".vehicle").bounding_box()
    strips = page.get_by_role("slider", name="Time in the drive")
    area = strips.bounding_box()
    strips.click(position={"x": area["width"] * 0.95, "y": 40})
    assert user.second() == pytest.approx(0.95 * DURATION_S, abs=0.2)
    page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    expect(page.locator(".time b")).to_have_text(re.compile(r"0:(11\.[4-9]|12\.[0-6])"))
    page.mouse.move(area["x"] + 0.5 * area["width"], area["y"] + 40)
    page.mouse.down()
    page.mouse.move(area["x"] + 0.9 * area["width"], area["y"] + 40)
    page.mouse.up()
    assert user.second() == pytest.approx(0.9 * DURATION_S, abs=0.2)


def test_a_link_names_its_moment_and_a_reload_comes_back_to_it(user: User, ended: str) -> None:
    page = user.open_drive(f"{ended}&t=7.4")
    expect(page.locator(".time b")).to_have_text("0:07.4")
    page.keyboard.press("Shift+ArrowRight")
    page.wait_for_url(re.compile(r"t=12\.4$"))
    page.reload()
    expect(page.locator(".time b")).to_have_text("0:12.4")
    user.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.get_by_role("button", name="Copy link").click()
    expect(page.get_by_role("status")).to_have_text("Address of this moment copied")
    assert page.evaluate("navigator.clipboard.readText()") == f"{user.server}{ended}&t=12.4"
    page.get_by_role("button", name="Copy the coordinates").click()
    expect(page.get_by_role("status")).to_have_text("Coordinates copied")
    assert re.fullmatch(r"49\.\d{7}, 8\.\d{7}", page.evaluate("navigator.clipboard.readText()"))


def test_a_session_that_is_gone_leads_to_the_drives(browser: sync_api.Browser, server: str) -> None:
    one = User(browser, server)
    page = one.open("#session=gone&t=3")
    expect(page.get_by_role("alert")).to_contain_text("This session is not on the server.")
    expect(page.get_by_role("button", name="Run the example")).to_be_enabled()
    one.context.close()
    assert all("404" in fault for fault in one.faults)


def test_the_layers_are_on_the_map(user: User, ended: str) -> None:
    page = user.open_drive(f"{ended}&t=12")
    for name in ("Truth", "Odometry alone", "Projection", "Scores"):
        page.get_by_label(name, exact=True).check()
    page.get_by_label("Opacity").fill("0.3")
    page.reload()
    expect(page.get_by_label("Truth", exact=True)).to_be_checked()
    expect(page.get_by_label("Opacity")).to_have_value("0.3")


def test_the_track_can_be_exported(user: User, ended: str) -> None:
    page = user.open_drive(ended)
    for name, begins in [("GeoJSON", rb'\{\s*"type"'), ("GPX", rb"<\?xml"), ("CSV", rb"index,")]:
        page.get_by_role("button", name="Export").click()
        with page.expect_download() as download:
            page.get_by_role("link", name=name).click()
        content = Path(download.value.path()).read_bytes()
        assert re.match(begins, content)
        assert content.count(b"\n") > 20


def click_the_middle_of_the_map(page: sync_api.Page) -> None:
    expect(page.locator(".picking")).to_be_visible()
    area = page.locator(".maplibregl-canvas").bounding_box()
    page.mouse.click(area["x"] + area["width"] / 2, area["y"] + area["height"] / 2)
    expect(page.locator(".picking")).to_have_count(0)


def test_a_drive_starts_where_the_map_was_clicked(user: User) -> None:
    page = user.open()
    form = page.locator("#panel-server")
    form.get_by_label("Heading at the first frame").select_option("given")
    form.get_by_label("Heading, degrees clockwise from north").fill("345")
    form.get_by_label("Where the drive begins").select_option("near")
    click_the_middle_of_the_map(page)
    assert float(form.get_by_label("Latitude").input_value()) == pytest.approx(MIDDLE.latitude_deg, abs=2e-5)
    form.get_by_label("Standard deviation, metres").fill("80")
    with page.expect_request("**/api/sessions") as asked:
        page.get_by_role("button", name="Track this drive").click()
    sent = asked.value.post_data_json
    assert (sent["heading"], sent["start"]["sigma_m"]) == ("345±20", 80)
    expect(page.locator(".knowledge")).to_be_visible()


@pytest.mark.slow
def test_a_session_is_seen_live_and_a_reload_in_the_middle_goes_on(user: User) -> None:
    page = user.open()
    page.get_by_role("button", name="Track this drive").click()
    expect(page.locator(".session .muted")).to_have_text(re.compile(r"^\d+ of|moments"))
    page.reload()
    expect(page.locator(".session")).to_contain_text(f"{len(DRIVE)} moments", timeout=60_000)
    expect(page.locator(".time b")).to_have_text(f"0:{DURATION_S:04.1f}")  # it stayed with the newest
    page.get_by_role("button", name="Drives").click()
    expect(page.locator(".sessions li").first).to_contain_text("round")
    count = page.locator(".sessions li").count()
    asked = list[str]()

    def answered(dialog: sync_api.Dialog) -> None:
        asked.append(dialog.message)
        dialog.dismiss() if len(asked) == 1 else dialog.accept()

    page.on("dialog", answered)
    delete = page.locator(".sessions li").first.get_by_role("button", name="Delete")
    delete.click()
    expect(page.locator(".sessions li")).to_have_count(count)
    delete.click()
    expect(page.locator(".sessions li")).to_have_count(count - 1)
    assert all(message.startswith("Delete round") for message in asked)


@pytest.mark.slow
def test_an_upload_is_tracked(user: User, drive: Path, tmp_path: Path) -> None:
    video = shutil.make_archive(str(tmp_path / "frames"), "zip", drive / "frames")
    page = user.open()
    page.get_by_role("tab", name="Your own video").click()
    page.locator("input[name=video]").set_input_files(video)
    page.get_by_role("button", name="Upload and track").click()
    expect(page.get_by_role("alert")).to_have_text(
        "Still missing: camera, odometry. What to do: choose a file for each."
    )
    page.locator("input[name=camera]").set_input_files(drive / "camera.json")
    page.locator("input[name=odometry]").set_input_files(drive / "poses.csv")
    page.get_by_role("button", name="Upload and track").click()
    expect(page.locator(".session")).to_contain_text(f"{len(DRIVE)} moments", timeout=60_000)
    expect(page.locator(".knowledge")).to_contain_text("Tracking")


def test_a_broken_upload_is_refused_with_what_to_do(
    browser: sync_api.Browser, server: str, drive: Path, tmp_path: Path
) -> None:
    one = User(browser, server)
    broken = tmp_path / "frames.zip"
    broken.write_bytes(b"PK\x03\x04 and then nothing that a ZIP file has")
    page = one.open()
    page.get_by_role("tab", name="Your own video").click()
    page.locator("input[name=video]").set_input_files(broken)
    page.locator("input[name=camera]").set_input_files(drive / "camera.json")
    page.locator("input[name=odometry]").set_input_files(drive / "poses.csv")
    page.get_by_role("button", name="Upload and track").click()
    expect(page.get_by_role("alert")).to_contain_text("video: ")
    expect(page.get_by_role("alert")).to_contain_text("What to do: send a ZIP file of PNG or JPEG pictures.")
    expect(page.get_by_role("button", name="Upload and track")).to_be_enabled()
    one.context.close()
    assert all("422" in fault for fault in one.faults)


def test_an_upload_starts_where_it_is_said(user: User, drive: Path, tmp_path: Path) -> None:
    """The place is chosen on the map and changed by hand; a number out of range is not sent."""
    page = user.open()
    page.get_by_role("tab", name="Your own video").click()
    form = page.locator("#panel-own")
    for field, path in (("video", "camera.json"), ("camera", "camera.json"), ("odometry", "poses.csv")):
        form.locator(f"input[name={field}]").set_input_files(drive / path)
    form.get_by_label("Where the drive begins").select_option("near")
    click_the_middle_of_the_map(page)
    assert float(form.get_by_label("Longitude").input_value()) == pytest.approx(MIDDLE.longitude_deg, abs=2e-5)
    form.get_by_label("Longitude").fill("8.4321")
    form.get_by_label("Standard deviation, metres").fill("0")
    sent: list[str] = []

    def take(route: sync_api.Route) -> None:
        """The request is never answered: the page would ask for the session, which there is not."""
        sent.append((route.request.post_data_buffer or b"").decode())

    page.route("**/api/sessions/upload", take)
    page.get_by_role("button", name="Upload and track").click()
    assert sent == []
    form.get_by_label("Standard deviation, metres").fill("35")
    with page.expect_request("**/api/sessions/upload"):
        page.get_by_role("button", name="Upload and track").click()
    found = re.search(r'name="start"\r\n\r\n(.*)\r\n', sent[0])
    assert found is not None
    start = json.loads(found[1])
    assert start["latitude_deg"] == pytest.approx(MIDDLE.latitude_deg, abs=2e-5)
    assert (start["longitude_deg"], start["sigma_m"]) == (8.4321, 35)


def test_a_lost_connection_goes_on_behind_the_last_fix(browser: sync_api.Browser, server: str) -> None:
    """The first connection ends after some events, the second is refused, and the third one reaches the server."""
    one = User(browser, server)
    asked: list[int] = []  # for the events after this moment
    came: list[int] = []

    def cut(route: sync_api.Route) -> None:
        address, _, after = route.request.url.partition("/events?after=")
        asked.append(int(after))
        if len(asked) > 2:
            route.continue_()
        elif len(asked) == 2:
            route.fulfill(status=503)
        else:
            _until(lambda: one.context.request.get(address).json()["fixes"] > int(after) + 3)
            fixes = one.context.request.get(f"{address}/fixes?after={after}&limit=3").json()
            came.extend(fix["moment"] for fix in fixes)
            events = "".join(f"id: {fix['moment']}\nevent: fix\ndata: {json.dumps(fix)}\n\n" for fix in fixes)
            route.fulfill(content_type="text/event-stream", body=f"retry: 50\n\n{events}")

    one.context.route("**/events?*", cut)
    page = one.open()
    page.get_by_role("button", name="Track this drive").click()
    expect(page.locator(".session")).to_contain_text(f"{len(DRIVE)} moments", timeout=60_000)
    expect(page.locator(".time b")).to_have_text(f"0:{DURATION_S:04.1f}")
    assert came == [asked[0] + 1, asked[0] + 2, asked[0] + 3]
    assert asked == [asked[0], asked[0], came[-1]]  # the second time it is the browser that asks again
    one.context.close()
    assert all("503" in fault for fault in one.faults)


@pytest.mark.slow
def test_two_users_watch_at_the_same_time(browser: sync_api.Browser, server: str, ended: str) -> None:
    users = [User(browser, server) for _ in range(2)]
    users[0].open_drive(f"{ended}&t=6")
    users[1].open().get_by_role("button", name="Run the example").click()
    users[0].page.keyboard.press("Shift+ArrowRight")
    expect(users[1].page.locator(".session")).to_contain_text(f"{len(DRIVE)} moments", timeout=60_000)
    assert users[0].second() == 11.0
    assert users[1].second() == pytest.approx(DURATION_S, abs=0.05)
    for one in users:
        one.context.close()
        assert one.faults == []


def test_without_webgl_everything_but_the_map_works(browser: sync_api.Browser, server: str, ended: str) -> None:
    arguments = [*ARGUMENTS, "--disable-3d-apis"]
    with browser.browser_type.launch(executable_path=CHROMIUM, args=arguments) as plain:
        one = User(plain, server)
        page = one.open_drive(f"{ended}&t=12")
        expect(page.locator(".no-map")).to_contain_text("This browser has no WebGL")
        page.keyboard.press("ArrowRight")
        expect(page.locator(".time b")).to_have_text("0:12.2")
        expect(page.locator(".knowledge")).to_contain_text("Tracking")


@pytest.mark.slow
@pytest.mark.skipif(not AXE.is_file(), reason="axe-core is not installed: npm ci in page/")
@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1440])
def test_nothing_keeps_people_from_using_it(
    browser: sync_api.Browser, server: str, ended: str, theme: str, width: int
) -> None:
    one = User(browser, server, color_scheme=theme, viewport={"width": width, "height": 900})
    for address in ("", f"{ended}&t=12", f"{ended}&t=1"):
        page = one.open("?") if not address else one.open_drive(f"?{address}")
        page.reload()
        expect(page.locator(".side section").first).to_be_visible()
        page.evaluate(AXE.read_text())
        found = page.evaluate("axe.run({resultTypes: ['violations']})")["violations"]
        serious = [
            (fault["id"], fault["nodes"][0]["html"], fault["nodes"][0]["failureSummary"])
            for fault in found
            if fault["impact"] in ("serious", "critical")
        ]
        assert serious == []
        assert page.evaluate("document.documentElement.scrollWidth") <= width
    one.context.close()


def _until(done: Callable[[], bool], patience_s: float = 20.0) -> None:
    end = time.monotonic() + patience_s
    while not done():
        assert time.monotonic() < end
        threading.Event().wait(0.01)
