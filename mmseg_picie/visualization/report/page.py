"""Render the report page."""

import base64
import hashlib
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from ...printing import percent
from . import charts
from .facts import ClusterFacts, Colour, Finding, ReportFacts

_HERE = Path(__file__).parent
#: Parts of the page that are text of their own.
_SCRIPTS = ('state.js', 'segments.js', 'viewer.js', 'names.js')
#: Clusters with a pattern of their own; those that follow have the same again.
NUM_PATTERNS = 4
#: Clusters that are told apart by colour alone.
NUM_PLAIN = 12


def render_report(facts: ReportFacts) -> str:
    """Render the report as one HTML page that needs no other file and no network.

    All text of the facts is escaped. A content security policy in the page keeps the browser from
    running anything but the page's own script, and from loading anything from elsewhere.

    Args:
        facts (ReportFacts): what to show.

    Returns:
        str: HTML.
    """
    script = '\n'.join((_HERE / name).read_text('utf-8') for name in _SCRIPTS)
    script = f"'use strict';\n(() => {{\n{script}\n}})();\n"
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    page = (
        _environment()
        .get_template('page.html')
        .render(
            facts=facts,
            order=sorted(facts.clusters, key=lambda cluster: -cluster.share),
            charts=[charts.draw(curve) for curve in facts.curves],
            frame=charts,
            num_plain=NUM_PLAIN,
            style=Markup((_HERE / 'style.css').read_text('utf-8')),
            script=Markup(script),
            script_hash=digest,
            data=_script_data(facts),
            findings=_group(facts),
        )
    )
    # A file's name may hold bytes that are no character.
    return page.encode(errors='backslashreplace').decode()


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(_HERE),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        percent=percent, duration=duration, hex=to_hex, called=called, pattern=pattern
    )
    return environment


def _script_data(facts: ReportFacts) -> dict[str, Any]:
    """What the script of the page works with."""
    return dict(
        model=facts.model,
        view=facts.view,
        numPlain=NUM_PLAIN,
        names=[cluster.name for cluster in facts.clusters],
        colours=[to_hex(cluster.colour) for cluster in facts.clusters],
        ownColours=[to_hex(cluster.own_colour) for cluster in facts.clusters],
        images=[
            dict(
                name=image.name,
                width=image.width,
                height=image.height,
                segments=image.segments,
                shares=[(cluster, round(share, 5)) for cluster, share in image.shares],
            )
            for image in facts.images
        ],
    )


def _group(facts: ReportFacts) -> list[tuple[Finding, list[Markup]]]:
    """Warnings by kind: one of each kind, and the facts of all of them, clusters as links."""
    links = [
        Markup('<a href="#cluster-{0}" data-name-of="{0}">{1}</a>').format(
            cluster.cluster, called(cluster)
        )
        for cluster in facts.clusters
    ]
    groups: dict[str, tuple[Finding, list[Markup]]] = {}
    for finding in facts.findings:
        told = escape(finding.fact).format(*links)
        groups.setdefault(finding.kind, (finding, []))[1].append(told)
    return list(groups.values())


def called(cluster: ClusterFacts) -> str:
    """What a cluster is called: its name, or its number."""
    return cluster.name or f'cluster {cluster.cluster}'


def duration(seconds: float) -> str:
    """Seconds for people, such as '8 s', '3 min 20 s' or '2 h 5 min'."""
    whole = round(seconds)
    if whole < 60:
        return f'{whole} s' if whole else f'{seconds:.1f} s'
    minutes, rest = divmod(whole, 60)
    if minutes < 60:
        return f'{minutes} min {rest} s'
    return f'{minutes // 60} h {minutes % 60} min'


def to_hex(colour: Colour) -> str:
    """A colour as '#rrggbb'."""
    return '#' + ''.join(f'{int(value):02x}' for value in colour)


def pattern(cluster: ClusterFacts | int) -> int:
    """Which pattern a cluster has beside its colour; 0 is none."""
    number = cluster if isinstance(cluster, int) else cluster.cluster
    return number // NUM_PLAIN % NUM_PATTERNS
