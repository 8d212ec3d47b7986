"""Product pictures drawn from a few words: a flat package or piece of produce, coloured by brand and product, with the size on its label.

Any process draws the same picture from the same words; nothing is stored. A picture is SVG of 1 to 3 KB and takes some 10 µs."""

from zlib import crc32

from torg.contexts.catalog.adapters.pictures_drawn.shapes import read_shapes

LOW = 190
_PAPER = ("#fdf1e6", "#eaf3fb", "#eef7ea", "#f7eef9", "#fdf6da", "#e8f6f4", "#fbecee", "#eeeffb")
_BRAND = ("#c8372d", "#1f6fb2", "#2e8b57", "#7b3fa0", "#d9822b", "#14808c", "#b8336a", "#3d4fa3", "#6b8e23", "#a0522d", "#2b5d8a", "#c2477f")
_ACCENT = ("#f5b82e", "#8ccf5f", "#ef6f6c", "#6cb8e6", "#f29e4c", "#b58ae0", "#57c2ae", "#f2a1c0", "#e3d34a", "#c58f5c")
_TINTS = {
    "red": "#cf3c34",
    "green": "#6aa84f",
    "yellow": "#f2c230",
    "orange": "#ee8a2b",
    "purple": "#7d4aa3",
    "blue": "#3f6fb5",
    "pink": "#ee8fae",
    "brown": "#8a5a3a",
    "white": "#f4efe4",
    "salmon": "#f0927c",
}


def draw(product_id: str, shape_key: str, brand: str, label: str) -> str:
    """SVG of 240 by 240. `shape_key` is a name of `read_shapes()`, with an optional colour: `jar`, `jar.red`; an unknown name draws a box."""
    name, _, tint = shape_key.partition(".")
    shapes = read_shapes()
    shape = shapes.get(name) or shapes["box"]
    number, brand_number = crc32(product_id.encode()), crc32(brand.encode())
    main = _BRAND[brand_number % len(_BRAND)]
    accent = _ACCENT[number % len(_ACCENT)]
    own = _TINTS.get(tint) or shape.colour or accent
    body = shape.body.replace("{m}", main).replace("{d}", _darker(main)).replace("{a}", accent).replace("{c}", own).replace("{e}", _darker(own))
    return (
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 240 240" role="img">'
        f'<rect width="240" height="240" rx="20" fill="{_PAPER[(number >> 8) % len(_PAPER)]}"/>'
        f'<ellipse cx="120" cy="{shape.ground}" rx="{shape.shadow}" ry="8" fill="#26324a" opacity=".13"/>'
        f'<g transform="{_turned(number)}">{body}{_label(shape.label, brand, label)}</g></svg>'
    )


def _label(place: tuple[int, int, int, str] | None, brand: str, label: str) -> str:
    """Brand and size inside the label's width; or, for what has no label, the size on a tag below."""
    if place is None:
        return _tag(label)
    x, y, width, ink = place
    largest, apart = (17, 18) if y < LOW else (14, 15)  # a name plate at the foot of the picture is flat
    lines = [line for line in (_short(brand.removeprefix("Torg ") if brand.startswith("Torg ") else brand, 14), _short(label, 14)) if line]
    text = ""
    for row, line in enumerate(lines):
        size = min(largest - row * 2, int(width * 1.72 / max(len(line), 4)))
        top = y + (row * apart if len(lines) > 1 else 8) - (6 if y >= LOW else 0)
        weight = ' font-weight="700"' if row == 0 else ""
        text += f'<text x="{x}" y="{top}" font-size="{size}"{weight} fill="{ink}" text-anchor="middle" font-family="system-ui,sans-serif">{_safe(line)}</text>'
    return text


def _tag(label: str) -> str:
    if not label:
        return ""
    short = _short(label, 14)
    width = 18 + len(short) * 8
    return (
        f'<rect x="{214 - width}" y="196" width="{width}" height="26" rx="13" fill="#fff" opacity=".92"/>'
        f'<text x="{214 - width / 2:g}" y="214" font-size="14" font-weight="600" fill="#33405c" text-anchor="middle" '
        f'font-family="system-ui,sans-serif">{_safe(short)}</text>'
    )


def _turned(number: int) -> str:
    """Some are mirrored or scaled a little, so that rows of one shape don't look stamped."""
    scale = (1.0, 0.95, 1.04, 0.98)[(number >> 4) % 4]
    return f"translate({120 - 120 * scale:g} {226 - 226 * scale:g}) scale({scale:g})"


def _short(text: str, longest: int) -> str:
    return text if len(text) <= longest else text[: longest - 1].rstrip() + "…"


def _safe(text: str) -> str:
    """Without what XML forbids in a text."""
    printable = "".join(letter for letter in text if letter.isprintable())
    return printable.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _darker(colour: str) -> str:
    return "#" + "".join(f"{int(colour[at : at + 2], 16) * 3 // 4:02x}" for at in (1, 3, 5))
