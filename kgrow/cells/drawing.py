"""A genotype as a picture."""

from __future__ import annotations

from collections.abc import Iterator

from kgrow.cells.edges import OUTPUT
from kgrow.graph.edge import Edge
from kgrow.graph.genotype import KINDS, Genotype

ROW, COLUMN = 26, 150  # pixels
STYLE = "font-family:sans-serif;font-size:11px;text-anchor:middle"
INPUTS: dict[int | str, str] = {0: "cell before", 1: "one before"}


def genotype_svg(genotype: Genotype) -> str:
    """Returns both cells as one SVG document, with nodes from left to right and an arc for every edge.

    Arcs of one row do not share their middle, so that labels do not overlap.

    Args:
        genotype: Genotype to draw.
    """
    parts: list[str] = []
    top = 0
    width = COLUMN * (3 + max(len(genotype.nodes(kind)) for kind in KINDS.values()))
    for kind in KINDS.values():
        height = ROW * (len(genotype.edges(kind)) + 4)
        parts.append(f'<g transform="translate(0 {top})">')
        parts.append(f'<text x="{width / 2}" y="{ROW}" font-weight="bold">{kind}</text>')
        parts += _cell(genotype.edges(kind), genotype.nodes(kind), height)
        parts.append("</g>")
        top += height
    body = "\n".join(parts)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{top}" viewBox="0 0 {width} {top}" '
        f'style="{STYLE}">\n<rect width="100%" height="100%" fill="white"/>\n{body}\n</svg>\n'
    )


def _cell(edges: tuple[Edge, ...], nodes: tuple[int, ...], height: int) -> Iterator[str]:
    middle = height / 2 + ROW / 2
    places: dict[int | str, tuple[float, float]] = {
        0: (COLUMN / 2, middle - 2 * ROW),
        1: (COLUMN / 2, middle + 2 * ROW),
    }
    places |= {node: (COLUMN * (1.5 + index), middle) for index, node in enumerate(nodes)}
    places[OUTPUT] = (COLUMN * (1.5 + len(nodes)), middle)
    for number in nodes:
        yield _arc(places[number], places[OUTPUT], middle + ROW, "", "#bbb")
    for index, edge in enumerate(edges):
        level = ROW * (index + 2)
        yield _arc(places[edge.source], places[edge.target], level, edge.operation, "#357")
    for node, (x, y) in places.items():
        name = INPUTS.get(node, str(node))
        half = 6 + 3.2 * len(name)
        yield (
            f'<rect x="{x - half:.0f}" y="{y - 11:.0f}" width="{2 * half:.0f}" height="22" rx="6" fill="#eef" '
            f'stroke="#357"/><text x="{x:.0f}" y="{y + 4:.0f}">{name}</text>'
        )


def _arc(start: tuple[float, float], end: tuple[float, float], level: float, label: str, color: str) -> str:
    center = (start[0] + end[0]) / 2
    # A quadratic curve passes half-way between its chord and its control point.
    control = 2 * level - (start[1] + end[1]) / 2
    curve = (
        f'<path d="M{start[0]:.0f} {start[1]:.0f} Q{center:.0f} {control:.0f} {end[0]:.0f} {end[1]:.0f}" '
        f'fill="none" stroke="{color}"/>'
    )
    return f'{curve}<text x="{center:.0f}" y="{level - 2:.0f}" fill="{color}">{label}</text>' if label else curve
