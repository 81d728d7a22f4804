"""JupyterLab around our panels: menus, file browser, terminal, notebook, theme."""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Callable

from playwright.sync_api import Locator, Page, expect

from tests.installation import Installation, wait_for
from tests.ui.pages.forms import Form
from tests.ui.pages.home import Home
from tests.ui.pages.resource import ResourcePage
from tests.ui.pages.sidebar import Sidebar

_SET = """async ([plugin, raw]) => {
  const base = JSON.parse(document.getElementById('jupyter-config-data').textContent).baseUrl;
  const [, token] = document.cookie.match(/_xsrf=([^;]+)/);
  const answer = await fetch(`${base}lab/api/settings/${plugin}`, {
    method: 'PUT',
    headers: {'Content-Type': 'application/json', 'X-XSRFToken': token},
    body: JSON.stringify({raw}),
  });
  return answer.status;
}"""


class Lab:
    """JupyterLab in one tab of the browser."""

    def __init__(self, page: Page, installation: Installation) -> None:
        self.page = page
        self.user_home = installation.user_home
        self.home = Home(installation)
        self.sidebar = Sidebar(page)
        self._terminals = 0

    def wait(self) -> None:
        """Wait until JupyterLab can be used."""
        expect(self.page.locator("#jupyterlab-splash")).to_have_count(0)
        expect(self.page.locator(".jp-DirListing-content")).to_be_attached()
        expect(self.page.locator(".jp-SideBar.jp-mod-left")).to_be_visible()

    def menu(self, *words: str) -> None:
        """Choose from the main menu."""
        self.page.locator(".lm-MenuBar-item", has_text=words[0]).click()
        for word in words[1:]:
            item = self.page.locator(".lm-Menu-item").filter(
                has=self.page.get_by_text(word, exact=True)
            )
            item.last.click()

    def use_theme(self, name: str) -> None:
        """Switch to ``Light`` or ``Dark``."""
        wanted = f"JupyterLab {name}"
        if self.page.locator("body").get_attribute("data-jp-theme-name") != wanted:
            self.menu("Settings", "Theme", wanted)
        expect(self.page.locator("body")).to_have_attribute("data-jp-theme-name", wanted)

    def set(self, plugin: str, values: dict[str, str]) -> None:
        """Change the settings of a plugin, in whatever language the menus are, and load anew."""
        status = self.page.evaluate(_SET, [plugin, json.dumps(values)])
        assert status == 204, f"{plugin}: {status}"
        self.page.reload()
        self.wait()

    def close_tabs(self) -> None:
        """Close everything in the main area; what is not saved is dropped."""
        self.menu("File", "Close All Tabs")
        expect(self.page.locator(".jp-Launcher")).to_be_visible()

    def tab(self, name: str) -> Locator:
        """The tabs of the main area with exactly this title."""
        tabs = self.page.locator("#jp-main-dock-panel .lm-TabBar-tabLabel")
        return tabs.filter(has_text=re.compile(f"^{re.escape(name)}$"))

    # The file browser

    def show_files(self, folder: str = "") -> None:
        """Show a folder of the home in the file browser."""
        self._show_tab("filebrowser")
        crumbs = self.page.locator(".jp-FileBrowser-crumbs")
        home = self.page.locator(".jp-BreadCrumbs-home")
        shown = ""
        self._go(home.click, crumbs, shown)
        for part in filter(None, folder.split("/")):
            shown = f"{shown}/{part}"
            self._go(self.file(part).dblclick, crumbs, shown)

    @staticmethod
    def _go(step: Callable[[], None], crumbs: Locator, folder: str) -> None:
        """Repeat a step until the file browser shows ``folder``.

        While it reads a folder it may take no other step, and its rows are used again for the
        next one: what was clicked may have been something else by then.
        """

        def is_there() -> bool:
            return (crumbs.inner_text().strip() or "/").rstrip("/") == folder

        def go() -> bool:
            if not is_there():
                step()
                with contextlib.suppress(AssertionError):
                    wait_for(is_there, folder, seconds=5)
            return is_there()

        wait_for(go, f"the folder {folder or 'home'}", seconds=40)

    def file(self, name: str) -> Locator:
        """A row of the file browser."""
        return self._row(self.page.locator("#filebrowser"), name)

    def _row(self, browser: Locator, name: str) -> Locator:
        return browser.locator(".jp-DirListing-item").filter(
            has=self.page.get_by_text(name, exact=True)
        )

    def file_menu(self, name: str, words: str) -> None:
        """Choose from the context menu of a file or folder."""
        self.file(name).click(button="right")
        self.page.locator(".lm-Menu-item", has_text=words).click()

    def choose_file(self, *parts: str) -> None:
        """Choose a file of the home in the file dialog, folder by folder."""
        dialog = self.page.locator(".jp-Dialog", has=self.page.locator(".jp-Open-Dialog"))
        crumbs = dialog.locator(".jp-FileBrowser-crumbs")
        self._go(dialog.locator(".jp-BreadCrumbs-home").click, crumbs, "")
        shown = ""
        for part in parts[:-1]:
            shown = f"{shown}/{part}"
            self._go(self._row(dialog, part).dblclick, crumbs, shown)
        row = self._row(dialog, parts[-1])
        row.click()
        expect(row).to_have_class(re.compile("jp-mod-selected"))
        dialog.get_by_role("button", name="Select").click()
        expect(dialog).to_have_count(0)

    def _show_tab(self, panel: str) -> None:
        tab = self.page.locator(f'.jp-SideBar .lm-TabBar-tab[data-id="{panel}"]')
        shown = self.page.locator(f"#{panel}")

        def show() -> bool:
            # A layout that is being restored may show it just now, and the click hide it again.
            if not shown.is_visible():
                tab.click()
                return False
            return True

        wait_for(show, panel, seconds=20)

    def show_sidebar(self) -> Sidebar:
        """Show the sidebar of KPL Lab."""
        self._show_tab("kpl-lab-sidebar")
        return self.sidebar

    # The main area

    @property
    def form(self) -> Form:
        """The form that is in front."""
        return Form(self.page)

    @property
    def resource(self) -> ResourcePage:
        """The page of a resource that is in front."""
        return ResourcePage(self.page)

    def open_terminal(self) -> None:
        """Open a new terminal and wait for its prompt."""
        self.menu("File", "New", "Terminal")
        front = self.page.locator(".jp-Terminal:visible")
        expect(front.locator(".xterm")).to_be_visible()
        front.click()

    def run_in_terminal(self, command: str, seconds: float = 120) -> str:
        """Type a command into the terminal in front; return what it printed once it succeeded."""
        self._terminals += 1
        name = f"{self.home.scratch}walk-{self._terminals}"
        said, ended = f"{name}.out", f"{name}.end"
        for left in (said, ended):  # by another module, in the same home
            self.home.delete(left)
        keyboard = self.page.keyboard
        keyboard.insert_text(f"( {command} ) > ~/{said} 2>&1; echo $? > ~/{ended}; cat ~/{said}")
        keyboard.press("Enter")
        code = wait_for(lambda: (self.home.read(ended) or b"").strip(), command, seconds)
        printed = (self.home.read(said) or b"").decode()
        assert code == b"0", printed
        if not self.home.scratch:
            for seen in (said, ended):
                self.home.delete(seen)
        return printed

    # A notebook

    def run_notebook(self) -> None:
        """Run all cells of the notebook in front and wait for the last one."""
        cells = self.page.locator(".jp-NotebookPanel:visible .jp-CodeCell")
        expect(cells.first).to_be_visible()
        # The toolbar calls a kernel idle that is not connected yet; the status bar does not.
        expect(self.page.locator("#jp-main-statusbar")).to_contain_text("| Idle")
        self.menu("Run", "Run All Cells")
        prompts = cells.locator(".jp-InputPrompt")
        expect(prompts.last).to_have_text(re.compile(r"^\[\d+\]:$"), timeout=120_000)
        # Unsaved, it would ask when it is closed.
        self.page.keyboard.press("Control+s")
        expect(self.page.locator("#jp-main-dock-panel .lm-TabBar-tab.jp-mod-dirty")).to_have_count(
            0
        )

    # Projects of tests

    def write_project(self, name: str, environment: str, code: str) -> str:
        """Write a project folder into the home, as its user would; return its name."""
        for path, text in (("environment.yml", environment), ("main.py", code)):
            self.home.write(f"{name}/{path}", text)
        return name

    def submit(self, folder: str) -> ResourcePage:
        """Submit a folder of the home from its context menu, named after it."""
        self.show_files()
        self.file_menu(folder, "Submit Task")
        form = self.form
        form.wait("New task")
        form.fill("Name", folder)
        form.send("Submit")
        return self.resource
