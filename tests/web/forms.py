"""Forms as pages print them, filled and sent as a browser does that executes no script."""

from __future__ import annotations

from html.parser import HTMLParser
from typing import Any
from urllib.parse import urlencode

import attrs

import molexp as me
from tests.web.conftest import client_of

TOKEN = "a long random text that nobody guesses"
ORIGIN = "http://127.0.0.1:8000"
_ENDLESS = ("input", "meta", "link", "br", "img")


@attrs.define
class Form:
    """A form of a page.

    Attributes:
        method: ``get`` or ``post``.
        action: the address that it is sent to.
        fields: what it sends unless somebody changes it.
        boxes: the values of its check boxes, by name.
        buttons: name and value of each button, by its text.
    """

    method: str
    action: str
    fields: dict[str, list[str]] = attrs.field(factory=dict)
    boxes: dict[str, list[str]] = attrs.field(factory=dict)
    buttons: dict[str, tuple[str, str]] = attrs.field(factory=dict)

    def filled(self, button: str, chosen: dict[str, list[str]], typed: dict[str, str]) -> list[tuple[str, str]]:
        """Return what a browser sends; nobody can choose or type what the form does not have."""
        found = {**self.fields}
        for name, values in chosen.items():
            assert {*values} <= {*self.boxes.get(name, ())}, f"{values} are no boxes {name!r}"
            found[name] = values
        for name, text in typed.items():
            assert name in self.fields, f"nothing can be typed into {name!r}"
            found[name] = [text]
        name, value = self.buttons[button]
        pairs = [(name, one) for name, values in found.items() for one in values]
        return [*pairs, (name, value)] if name else pairs


class Page(HTMLParser):
    """A page: its forms, and what it says of a form that was sent."""

    def __init__(self, answer: Any) -> None:
        super().__init__()
        self.status, self.address = answer.status_code, str(answer.url).removeprefix(ORIGIN)
        self.forms: list[Form] = []
        self.html, self.text, self.told = answer.text, "", ""
        self._form: Form | None = None
        self._button: tuple[str, str] | None = None
        self._words, self._told = "", 0
        self._select, self._option = "", False
        self.feed(answer.text)
        self.text, self.told = " ".join(self.text.split()), " ".join(self.told.split())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = {name: value or "" for name, value in attrs}
        if self._told and tag not in _ENDLESS:
            self._told += 1
        elif found.get("role") == "status":
            self._told = 1
        if tag == "form":
            self._form = Form(found.get("method", "get").lower(), found.get("action", ""))
            self.forms.append(self._form)
        if self._form is None:
            return
        name, kind = found.get("name", ""), found.get("type", "text")
        if tag == "input" and kind == "checkbox":
            self._form.boxes.setdefault(name, []).append(found.get("value", "on"))
        elif tag in ("input", "textarea") and name:
            self._form.fields.setdefault(name, []).append(found.get("value", ""))
        elif tag == "select":
            self._select = name
        elif tag == "option" and self._select not in self._form.fields:  # the first one is chosen
            self._option = True
        elif tag == "button" and kind != "button":
            self._button, self._words = (name, found.get("value", "")), ""

    def handle_endtag(self, tag: str) -> None:
        if self._told:
            self._told -= 1
        if tag == "form":
            self._form = None
        if tag == "button" and self._button is not None and self._form is not None:
            self._form.buttons[" ".join(self._words.split())] = self._button
            self._button = None

    def handle_data(self, data: str) -> None:
        self.text += data
        if self._option and self._form is not None:
            self._form.fields[self._select], self._option = [data.strip()], False
        self._words += data
        if self._told:
            self.told += data

    @property
    def buttons(self) -> set[str]:
        """The texts of all buttons that change something."""
        return {one for form in self.forms if form.method == "post" for one in form.buttons}

    def form(self, button: str) -> Form:
        """Return the form of a button."""
        found = [form for form in self.forms if button in form.buttons]
        assert len(found) == 1, f"{len(found)} forms have {button!r}; there are {sorted(self.buttons)}"
        return found[0]


@attrs.define
class Visitor:
    """Somebody with a browser that has the token, and executes no script.

    Attributes:
        client: the test client, which has been to the address with the token.
        page: the page that is open.
    """

    client: Any
    page: Page = attrs.field(init=False)

    def open(self, address: str) -> Page:
        """Open a page, wherever the server leads."""
        self.page = Page(self.client.get(address, follow_redirects=True))
        return self.page

    def press(self, button: str, chosen: dict[str, list[str]] | None = None, **typed: str) -> Page:
        """Fill the form of a button of the page, and press it."""
        form = self.page.form(button)
        return self.send(form, form.filled(button, chosen or {}, typed))

    def send(self, form: Form, pairs: list[tuple[str, str]], headers: dict[str, str] | None = None) -> Page:
        """Send a form."""
        if form.method == "get":
            return self.open(f"{form.action}?{urlencode(pairs)}")
        kind = {"content-type": "application/x-www-form-urlencoded"}
        sent = {**kind, **({"origin": ORIGIN} if headers is None else headers)}
        answer = self.client.post(form.action, content=urlencode(pairs), headers=sent, follow_redirects=True)
        self.page = Page(answer)
        return self.page


def visitor_of(lab: me.Workspace, **settings: Any) -> Visitor:
    """Return somebody who has come by the address with the token, to pages on which runs may be changed."""
    client = client_of(lab, **{"token": TOKEN, "changes": True, **settings})
    client.get("/", params={"token": TOKEN})
    return Visitor(client)
