"""HTML put together from parts: text is always escaped, so that no name or message from elsewhere becomes markup."""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence

from parties.errors import printable

__all__ = ["Markup", "page", "table", "tag"]


class Markup(str):
    """Text that is HTML already; only this module makes it."""

    __slots__ = ()


def tag(name: str, *parts: str, **attributes: str) -> Markup:
    """An element. What is not Markup is escaped; `class_` is the attribute class."""
    written = "".join(f' {key.rstrip("_")}="{_escaped(value)}"' for key, value in attributes.items())
    return Markup(f"<{name}{written}>{''.join(map(_escaped, parts))}</{name}>\n")


def table(titles: Sequence[str], rows: Iterable[Sequence[str]]) -> Markup:
    """A table with a row of titles; a line that says so where it has no rows."""
    head = tag("tr", *(tag("th", title) for title in titles))
    body = [tag("tr", *(tag("td", cell) for cell in row)) for row in rows]
    if not body:
        return tag("p", "None.", class_="none")
    return tag("table", tag("thead", head), tag("tbody", *body))


def page(title: str, style: str, *parts: str) -> str:
    """A whole document that loads nothing from anywhere, and in which nothing runs."""
    policy = "default-src 'none'; style-src 'unsafe-inline'"
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        f"<title>{_escaped(title)}</title>\n<style>{style}</style>\n</head>\n"
        f"{tag('body', *parts)}</html>\n"
    )


def _escaped(part: str) -> str:
    return part if isinstance(part, Markup) else html.escape(printable(part))
