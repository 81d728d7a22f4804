"""The walk: everything that a developer does in a day, once, in a real browser.

The steps build on one another, as a day does; where one fails the rest is left out.
"""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.installation import Installation, wait_for
from tests.ui.contrast import faint_texts
from tests.ui.names import unnamed_controls
from tests.ui.pages.hub import SignIn, StartPage, StartProgress
from tests.ui.pages.lab import Lab
from tests.ui.pictures import Pictures

PAGES = (
    ("datasets", "digits", "Records"),
    ("tasks", "train digits", "Overview"),
    ("tasks", "train digits", "Curves"),
    ("tasks", "train digits", "Log"),
    ("tasks", "bad code", "Overview"),
    ("models", "digits", "Lineage"),
    ("algorithms", "digits", "README"),
    ("services", "digits", "Health"),
    ("services", "digits", "Test"),
)
pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(300)]


# The first start on Docker builds the base image.
ON_DOCKER = pytest.param("docker", marks=[pytest.mark.docker, pytest.mark.timeout(1500)])


ON_KUBERNETES = pytest.param("kubernetes", marks=pytest.mark.kubernetes)


@pytest.fixture(scope="module", params=["local", ON_DOCKER, ON_KUBERNETES])
def installation(request: pytest.FixtureRequest) -> Installation:
    """An installation on each engine: what users see and do is the same."""
    found: Installation = request.getfixturevalue(f"on_{request.param}")
    return found


@pytest.fixture(scope="module")
def lab(page: Page, installation: Installation) -> Lab:
    return Lab(page, installation)


def test_a_user_signs_in(page: Page, installation: Installation, pictures: Pictures) -> None:
    door = SignIn(page)
    door.open()
    pictures.take("sign-in")
    door.sign_in("admin", "wrong")
    expect(page.get_by_text("Invalid username or password")).to_be_visible()
    door.sign_in("admin", installation.password)
    StartPage(page).wait()


def test_the_start_page_shows_images_limits_and_what_is_free(
    page: Page, pictures: Pictures
) -> None:
    start = StartPage(page)
    expect(start.card("Python and scikit-learn")).to_contain_text("scikit-learn")
    expect(start.free("memory")).to_have_text(re.compile(r"^[\d.]+ GiB of [\d.]+ GiB free$"))
    expect(start.free("cpu")).to_have_text(re.compile(r"^[\d.]+ of [\d.]+ CPUs? free$"))
    start.limit("CPU cores").fill("0")
    start.limit("Memory, MiB").fill("99999999")
    expect(start.warning).to_contain_text("more than the machine has")
    expect(start.wrong("cpu")).to_have_text("Write at least 0.1.")
    expect(start.wrong("memory")).to_have_text(
        re.compile(r"^The machine has [\d.]+ GiB in all; choose less\.$")
    )
    expect(start.wrong("shm")).to_be_hidden()
    pictures.take("start-page-wrong")
    start.start_button.click()
    expect(start.limit("CPU cores")).to_be_focused()
    start.limit("Memory, MiB").fill("2048")
    start.limit("CPU cores").fill("1")
    expect(start.warning).to_be_hidden()
    expect(start.command).to_have_text("kpl server start --image base --cpu 1 --memory 2048")
    page.locator("#kpl-exact summary").click()
    pictures.take("start-page", for_documentation=True)
    page.emulate_media(color_scheme="dark")
    pictures.take("start-page-dark", for_documentation=True)
    page.emulate_media(color_scheme="light")


def test_the_start_is_told_in_words_and_ends_in_jupyterlab(page: Page, lab: Lab) -> None:
    StartPage(page).start_button.click()
    progress = StartProgress(page)
    expect(progress.headline.or_(page.locator("#jp-top-panel")).first).to_be_visible()
    page.wait_for_url("**/user/admin/lab**")
    lab.wait()


def test_the_example_project_is_in_the_file_browser(lab: Lab) -> None:
    lab.show_files("digits")
    for name in ("environment.yml", "parameter.yml", "train.py", "digits.ipynb", "README.md"):
        expect(lab.file(name)).to_be_visible()


def test_a_folder_of_pictures_becomes_a_dataset(lab: Lab, pictures: Pictures) -> None:
    lab.open_terminal()
    said = lab.run_in_terminal("cd ~/digits && python make_dataset.py")
    assert "1797 pictures" in said
    expect(lab.file("pictures")).to_be_visible()
    lab.file_menu("pictures", "Save as Dataset")
    form = lab.form
    form.wait("New dataset")
    form.fill("Name", "digits")
    expect(form.card).to_contain_text("kpl dataset create digits")
    pictures.take("dataset-form")
    form.send("Create")
    lab.resource.wait("digits", "ready")


def test_its_records_are_shown_as_pictures_with_counts(lab: Lab, pictures: Pictures) -> None:
    records = lab.resource.tab("Records")
    expect(records.get_by_role("heading", name="10 classes")).to_be_visible()
    expect(
        records.get_by_text("1–60 of 1,797").or_(records.get_by_text("1–60 of 1797"))
    ).to_be_visible()
    pixels = "image => image.complete && image.naturalWidth > 0"
    expect(records.get_by_alt_text("Record 0", exact=True)).to_be_visible()
    assert records.get_by_alt_text("Record 0", exact=True).evaluate(pixels)
    lab.show_sidebar()
    expect(lab.sidebar.row("datasets", "digits")).to_contain_text("v1")
    pictures.take("dataset", for_documentation=True)
    records.get_by_role("button", name=re.compile("^7")).first.click()
    expect(records.get_by_text(re.compile("1–60 of 179$"))).to_be_visible()


def test_a_mounted_dataset_is_in_the_file_browser_and_read_only(lab: Lab) -> None:
    lab.show_sidebar()
    lab.sidebar.act("datasets", "digits", "Mount")
    expect(lab.sidebar.row("datasets", "digits").get_by_role("img")).to_be_visible()
    lab.show_files("datasets/digits")
    expect(lab.page.locator(".jp-DirListing-item").first).to_be_visible()
    lab.open_terminal()
    said = lab.run_in_terminal("! touch ~/datasets/digits/mine")
    assert "Read-only file system" in said


def test_the_notebook_reads_the_mounted_dataset(lab: Lab, pictures: Pictures) -> None:
    lab.close_tabs()
    lab.show_files("digits")
    lab.file("digits.ipynb").dblclick()
    lab.run_notebook()
    expect(lab.page.locator(".jp-OutputArea-output", has_text="1797 records")).to_be_attached()
    expect(lab.page.locator('[data-mime-type="application/vnd.jupyter.error"]')).to_have_count(0)
    pictures.take("notebook")


def test_a_form_submits_a_task(lab: Lab, pictures: Pictures) -> None:
    lab.show_files()
    lab.file_menu("digits", "Submit Task")
    form = lab.form
    form.wait("New task")
    form.choose("Function", "train")
    form.fill("Name", "train digits")
    form.choose("Pictures of digits", "digits")
    form.set_parameter("epochs", "150")
    assert unnamed_controls(form.root) == []
    expect(form.card).to_contain_text("--param epochs=150")
    expect(form.card).to_contain_text("--input data=dataset:digits")
    pictures.take("task-form", for_documentation=True)
    form.root.get_by_label("hidden, value 1").scroll_into_view_if_needed()
    pictures.take("task-form-parameters")


def test_the_form_says_at_the_field_what_is_wrong_with_a_number(
    lab: Lab, pictures: Pictures
) -> None:
    form = lab.form
    form.fill("Memory, MiB", "99999999")
    expect(form.field("Memory, MiB")).to_have_accessible_description(
        re.compile(r"^The machine has [\d.]+ GiB in all; choose less\.$")
    )
    form.set_parameter("epochs", "")
    expect(form.root.get_by_role("alert")).to_have_count(2)
    expect(form.button("Submit")).to_be_disabled()
    for theme in ("Dark", "Light"):
        lab.use_theme(theme)
        assert faint_texts(form.root) == []
        pictures.take(f"task-form-wrong-{theme.lower()}")
    form.fill("Memory, MiB", "")
    form.set_parameter("epochs", "150")
    expect(form.button("Submit")).to_be_enabled()


def test_what_was_typed_stays_when_the_folder_is_chosen_again(lab: Lab) -> None:
    form = lab.form
    folder = form.field("Folder")
    folder.press("End")
    lab.page.keyboard.type("/pictures")
    expect(form.field("Name")).to_have_count(0)
    expect(folder).to_be_focused()
    for _ in "/pictures":
        lab.page.keyboard.press("Backspace")
    expect(form.field("Name")).to_have_value("train digits")
    expect(form.card).to_contain_text("--param epochs=150")
    expect(form.card).to_contain_text("--input data=dataset:digits")
    form.send("Submit")
    lab.resource.wait("train digits", "running")


def test_a_running_task_shows_progress_log_and_curves(lab: Lab, pictures: Pictures) -> None:
    page = lab.resource
    expect(page.root.locator(".kpl-Page-progress")).to_contain_text("%")
    log = page.tab("Log")
    expect(log.get_by_text(re.compile(r"^epoch \d+: loss"))).not_to_have_count(0)
    charts = page.tab("Curves").locator(".kpl-Chart")
    expect(charts).to_have_count(2)
    expect(charts.first.locator("canvas")).to_be_visible()
    lab.show_sidebar()
    expect(lab.sidebar.row("tasks", "train digits")).to_contain_text("%")
    pictures.take("task-running", for_documentation=True)
    page.wait("train digits", "succeeded")
    overview = page.tab("Overview")
    expect(overview.locator(".kpl-Scalars")).to_contain_text("accuracy")
    pictures.take("task-done")


def test_a_task_that_takes_too_long_is_stopped_by_hand(lab: Lab) -> None:
    lab.resource.button("Submit again…").click()
    form = lab.form
    form.wait("New task")
    expect(form.field("Folder")).to_have_value("digits")
    form.fill("Name", "too long")
    form.set_parameter("epochs", "100000")
    form.send("Submit")
    page = lab.resource
    page.wait("too long", "running")
    page.stop()
    page.wait("too long", "stopped")


def test_a_model_version_knows_where_it_comes_from(lab: Lab, pictures: Pictures) -> None:
    lab.show_sidebar()
    lab.sidebar.open("tasks", "train digits")
    lab.resource.wait("train digits", "succeeded")
    lab.resource.tab("Overview").locator(".kpl-Ends").get_by_role(
        "button", name="digits"
    ).last.click()
    page = lab.resource
    page.wait("digits", "ready")
    lineage = page.tab("Lineage").locator(".kpl-Lineage")
    expect(lineage.get_by_text("train digits")).to_be_visible()
    expect(lineage.get_by_text("digits v1").first).to_be_visible()
    pictures.take("model")


def test_the_folder_is_published_as_an_algorithm(lab: Lab, pictures: Pictures) -> None:
    lab.show_files()
    lab.file_menu("digits", "Publish as Algorithm")
    form = lab.form
    form.wait("Publish algorithm")
    expect(form.field("Name")).to_have_value("digits")
    expect(form.root.get_by_text("python3 serve.py")).to_be_visible()
    form.send("Publish")
    page = lab.resource
    page.wait("digits", "ready", seconds=240)
    lab.show_sidebar()
    pictures.take("algorithm")


def test_a_service_of_two_replicas_is_deployed(lab: Lab, pictures: Pictures) -> None:
    lab.show_sidebar()
    lab.sidebar.act("models", "digits", "Deploy as service…")
    form = lab.form
    form.wait("Deploy service")
    expect(form.field("Model")).to_have_value("digits")
    form.choose("Code", "Algorithm digits")
    form.fill("Replicas", "2")
    expect(form.card).to_contain_text("--replicas 2")
    pictures.take("service-form")
    form.send("Deploy")
    page = lab.resource
    page.wait("digits", "running")
    expect(page.root.get_by_text("2 of 2 ready")).to_be_visible()
    for name in ("digits (Model)", "digits (Algorithm)", "digits (Service)"):
        expect(lab.tab(name)).to_have_count(1)


def test_the_service_names_the_digit_of_a_picture(lab: Lab, pictures: Pictures) -> None:
    panel = lab.resource.tab("Test")
    panel.get_by_role("button", name="Choose from my home…").click()
    lab.choose_file("digits", "pictures", "7", "0007.png")
    expect(panel.get_by_text(re.compile(r"^0007\.png · "))).to_be_visible()
    answer = panel.locator(".kpl-Classified strong")

    def call() -> bool:
        panel.get_by_role("button", name="Call").click()
        expect(answer.or_(panel.get_by_role("alert"))).to_be_visible()
        return answer.is_visible()

    # Replicas are ready a moment before the front door has read their addresses.
    wait_for(call, "an answer", seconds=10)
    expect(answer).to_have_text("7")
    expect(panel.get_by_alt_text("The picture that was sent")).to_be_visible()
    pictures.take("service-test", for_documentation=True)


def test_the_service_names_the_digit_of_an_uploaded_picture(lab: Lab) -> None:
    panel = lab.resource.tab("Test")
    picture = lab.home.fetch("digits/pictures/3/0003.png")
    panel.locator('input[type="file"]').set_input_files(picture)
    panel.get_by_role("button", name="Call").click()
    expect(panel.locator(".kpl-Classified strong")).to_have_text("3")
    panel.get_by_role("button", name="Choose from my home…").click()
    lab.choose_file("digits", "pictures", "7", "0007.png")
    expect(panel.locator(".kpl-FileChoice-name")).to_contain_text("0007.png")


def test_the_curl_line_runs_as_it_was_copied(lab: Lab) -> None:
    block = lab.resource.tab("Test").locator(".kpl-CopyBlock", has_text="curl")
    block.first.get_by_role("button", name="Copy").click()
    line = str(lab.page.evaluate("navigator.clipboard.readText()"))
    assert line.startswith("curl ")
    lab.open_terminal()
    answer = lab.run_in_terminal(
        f"cd ~/digits/pictures/7 && {line.replace('curl ', 'curl -s ', 1)}"
    )
    assert '"class_name": "7"' in answer


def test_a_service_is_scaled_stopped_and_started_at_the_same_address(lab: Lab) -> None:
    lab.show_sidebar()
    lab.sidebar.open("services", "digits")
    page = lab.resource
    page.wait("digits", "running")
    address = page.root.locator(".kpl-Page-facts code").inner_text()
    health = page.tab("Health")
    health.get_by_label("Wanted").fill("1")
    health.get_by_role("button", name="Scale").click()
    expect(page.root.get_by_text("1 of 1 ready")).to_be_visible()
    page.stop()
    page.wait("digits", "stopped")
    page.button("Start").click()
    page.wait("digits", "running")
    expect(page.root.locator(".kpl-Page-facts code")).to_have_text(address)


def test_kpl_does_the_same_in_a_terminal(lab: Lab) -> None:
    lab.open_terminal()
    assert "digits" in lab.run_in_terminal("kpl dataset list")
    answer = lab.run_in_terminal(
        "kpl service call digits --file ~/digits/pictures/3/0003.png --json"
    )
    assert '"class_name": "3"' in answer
    said = lab.run_in_terminal(
        "kpl task submit --code ~/digits --input data=dataset:digits --param epochs=5"
        " --name 'from the terminal' --wait"
    )
    assert "succeeded" in said
    lab.show_sidebar()
    expect(lab.sidebar.row("tasks", "from the terminal")).to_contain_text("done")


def test_bad_code_says_file_and_line(lab: Lab, pictures: Pictures) -> None:
    lab.close_tabs()
    code = lab.write_project(
        "bad code",
        "version: 1\nimage: {from_image: python:3.11}\ntrain:\n  resource: {limits: {cpu: 1, memory: 256}}\n  cmd: python3 main.py\n",
        "def learn():\n    return 1 / 0\n\n\nlearn()\n",
    )
    task = lab.submit(code)
    task.wait(code, "failed")
    expect(task.notice.first).to_contain_text("main.py")
    expect(task.notice.first).to_contain_text("line 2")
    pictures.take("task-failed", for_documentation=True)


def test_a_task_that_exceeds_its_memory_says_so(lab: Lab) -> None:
    code = lab.write_project(
        "hungry",
        "version: 1\nimage: {from_image: python:3.11}\ntrain:\n  resource: {limits: {cpu: 1, memory: 64}}\n  cmd: python3 main.py\n",
        "held = []\nwhile True:\n    held.append(bytearray(2**20) + b'x')\n",
    )
    task = lab.submit(code)
    task.wait(code, "failed")
    expect(task.notice.first).to_contain_text("memory")
    expect(task.notice.first).to_contain_text("64 MiB")
    lab.show_sidebar()
    expect(lab.sidebar.row("tasks", "hungry")).to_contain_text("out of memory")


@pytest.mark.parametrize("theme", ["Dark", "Light"])
def test_every_page_can_be_read(theme: str, lab: Lab, pictures: Pictures) -> None:
    lab.use_theme(theme)
    lab.show_sidebar()
    look = pictures.take if theme == "Dark" else (lambda name: None)
    panel = lab.sidebar.panel
    faint = {"sidebar": faint_texts(panel) + unnamed_controls(panel)}
    for kind, name, tab in PAGES:
        lab.sidebar.open(kind, name)
        lab.resource.wait(name)
        expect(lab.resource.tab(tab).locator(".kpl-Skeleton")).to_have_count(0)
        look(f"{kind}-{tab.lower()}-dark")
        root = lab.resource.root
        faint[f"{kind}: {tab}"] = faint_texts(root) + unnamed_controls(root)
    assert not any(faint.values()), faint


def test_rows_are_worked_by_the_keyboard(lab: Lab) -> None:
    page = lab.page
    lab.show_sidebar()
    rows = lab.sidebar.section("tasks").locator(".kpl-Row")
    rows.first.focus()
    page.keyboard.press("ArrowDown")
    expect(rows.nth(1)).to_be_focused()
    outline = "row => getComputedStyle(row).outlineStyle"
    assert rows.nth(1).evaluate(outline) == "solid"
    page.keyboard.press("End")
    expect(rows.last).to_be_focused()
    page.keyboard.press("Home")
    expect(rows.first).to_be_focused()
    # One stop of the Tab key for all rows, then the buttons of the row that has the focus.
    page.keyboard.press("Tab")
    expect(rows.first.get_by_role("button").first).to_be_focused()
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Enter")
    lab.resource.wait(str(rows.first.get_attribute("data-name")))
    rows.first.focus()
    page.keyboard.press("Delete")
    dialog = page.locator(".jp-Dialog")
    expect(dialog.locator("input")).to_be_focused()
    page.keyboard.press("Escape")
    expect(dialog).to_have_count(0)


def test_a_long_task_runs_beside_the_service(lab: Lab, installation: Installation) -> None:
    lab.close_tabs()
    lab.show_files()
    lab.file_menu("digits", "Submit Task")
    form = lab.form
    form.wait("New task")
    form.fill("Name", "through the storm")
    form.set_parameter("epochs", "100000")
    form.send("Submit")
    lab.resource.wait("through the storm", "running")
    assert installation.kpl("service", "show", "digits")["state"] == "running"


@pytest.mark.drill
@pytest.mark.parametrize("part", ["platform", "controller", "hub", "frontdoor"])
def test_the_task_the_service_and_the_panel_outlive_a_killed(
    part: str, lab: Lab, installation: Installation
) -> None:
    page = lab.resource
    log = page.tab("Log")
    before = _facts(installation)
    installation.kill(part)
    printed = _last_epoch(log)
    # New lines reach the page without anybody touching it.
    wait_for(lambda: _last_epoch(log) > printed + 5, f"new lines after the {part} was killed")
    expect(page.root.locator(".kpl-Page-stale")).to_have_count(0)
    expect(page.state).to_have_text("running")
    assert _facts(installation) == before
    answer = installation.kpl(
        "service", "call", "digits", "--file", str(lab.home.fetch("digits/pictures/5/0005.png"))
    )
    assert answer["body"]["class_name"] == "5"


def test_what_is_deleted_asks_for_its_name_and_goes(lab: Lab) -> None:
    page = lab.resource
    page.stop()
    page.wait("through the storm", "stopped")
    lab.show_sidebar()
    lab.sidebar.open("services", "digits")
    page.wait("digits", "running")
    page.delete("digits")
    expect(lab.sidebar.row("services", "digits")).to_have_count(0)


def _facts(installation: Installation) -> dict[str, object]:
    """What must not change while a part of the platform is replaced."""
    task = installation.kpl("task", "show", "through the storm")
    service = installation.kpl("service", "show", "digits")
    return {
        "attempt": task["attempt"],
        "started": task["started_at"],
        "replicas": [
            (one["index"], one["started_at"], one["restarts"]) for one in service["instances"]
        ],
        "tasks": len(installation.kpl("task", "list")["items"]),
    }


def _last_epoch(log: Locator) -> int:
    """Number of the last epoch that the log on the page shows, 0 while it shows none."""
    found = re.findall(r"epoch (\d+):", log.inner_text())
    return int(found[-1]) if found else 0
