"""What all pictures share: a figure without a screen, text that is safe to draw, small PNGs.

Belongs here: sizes, colours, labels, encoding. Does not: any one picture.

No pyplot: it keeps figures and the choice of a screen for the whole process.
"""

from collections.abc import Mapping, Sequence
from io import BytesIO
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

DPI = 100
SMALL, NORMAL, TITLE = 8.0, 9.0, 12.0  # points
GREY = "#8a8a8a"
INK = "#222222"
# Okabe and Ito: told apart with every kind of colour blindness. Yellow is too faint for lines.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#000000", "#7f5539")
DIVERGING = "RdBu_r"  # ColorBrewer, safe for colour-blind eyes; red: longs pay
_BYTES = 150_000
_COLOURS_KEPT = (200, 48, 24)  # text needs its shades, the rest has few; fewer where too large


def figure(width: float, height: float) -> "Figure":
    """An empty figure of that many inches; its axes make room for their labels."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    empty = Figure(figsize=(width, height), dpi=DPI, layout="constrained", facecolor="white")
    FigureCanvasAgg(empty)
    return empty


def png(drawn: "Figure") -> bytes:
    """The figure as a PNG with a palette, about a third of the size of one with full colours."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from PIL import Image

    canvas = drawn.canvas
    assert isinstance(canvas, FigureCanvasAgg)
    canvas.draw()
    image = Image.frombuffer("RGBA", canvas.get_width_height(), canvas.buffer_rgba()).convert("RGB")
    encoded = b""
    for kept in _COLOURS_KEPT:
        small = image.quantize(kept, method=Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE)
        out = BytesIO()
        small.save(out, "PNG", optimize=True)
        encoded = out.getvalue()
        if len(encoded) <= _BYTES:
            break
    return encoded


def plain(text: str) -> str:
    """A name as it is drawn: dollars start no formula, and what the font lacks is a question mark
    instead of an empty box (names of markets come in any script).
    """
    return "".join(c if c.isascii() or c in _LATIN else "?" for c in text).replace("$", r"\$")


_LATIN = frozenset(map(chr, (*range(0xC0, 0x250), *map(ord, "·–×→"))))


def percent(fraction: float) -> str:
    """A share of one as percent, three digits at most as long as it is below 1000 %."""
    value = fraction * 100
    digits = 0 if abs(value) >= 9.95 else 1
    # Without a minus before what is rounded to zero.
    return f"{round(value, digits) + 0.0:.{digits}f}"


def axis_percent(fraction: float, _: float = 0.0) -> str:
    """The same for the numbers of an axis, which are round by themselves."""
    return f"{round(fraction * 100, 6) + 0.0:g} %"


def tidy(axes: "Axes") -> None:
    """No frame; faint grid behind the data; small tick labels."""
    for spine in axes.spines.values():
        spine.set_visible(False)
    axes.set_axisbelow(True)
    axes.tick_params(labelsize=SMALL, length=0, colors=INK)


def headed(drawn: "Figure", axes: "Axes", title: str, subtitle: str) -> None:
    """A title, and below it what one has to know to read the picture."""
    drawn.suptitle(title, fontsize=TITLE, fontweight="bold", color=INK, x=0.008, ha="left")
    axes.set_title(subtitle, fontsize=NORMAL, color=INK, loc="left", pad=8)


def colours(names: Sequence[str], first: Sequence[str] = ()) -> Mapping[str, str]:
    """A colour for each name: those of `first` that are there go first, then the others by name;
    grey when colours have run out.
    """
    ordered = [n for n in first if n in names] + sorted(set(names) - set(first))
    return {n: COLOURS[i] if i < len(COLOURS) else GREY for i, n in enumerate(ordered)}
