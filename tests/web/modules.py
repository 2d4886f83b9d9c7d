"""What the tests of the page's modules do with a browser."""

from __future__ import annotations

from typing import Any

from playwright.sync_api import Page


def run(page: Page, module: str, code: str, argument: Any = None) -> Any:
    """Run `code`, a function body with the module as `m` and `argument` as `a`."""
    page.evaluate("document.querySelector('main').replaceChildren()")
    return page.evaluate(
        "async ([module, code, a]) => new (async () => {}).constructor('m', 'a', code)(await import(module), a)",
        [f"/{module}.js", code, argument],
    )
