"""A package, so that fixtures end where its tests end: Playwright's event loop is in nobody's way after them."""
