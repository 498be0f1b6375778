"""What shoppers do with each scene's pages, for merchandisers."""

from __future__ import annotations

from deploy.monitoring.boards.model import (
    GREEN,
    YELLOW,
    Board,
    Panel,
    PanelQuery,
    PanelRow,
    graph,
    number,
    rare,
    rates,
)

PAGES = "sightline_gateway_scene_pages_total"
EVENTS = "sightline_gateway_scene_events_total"
OF_TOKENS = "They are counted from events that carry the answer's attribution token."


def shop() -> Board:
    """Return the dashboard of a shop's pages."""
    return Board(
        "shop",
        "Sightline / Shop",
        "Pages, clicks and purchases by scene, and pages that were empty.",
        (_totals(), _reactions(), _pages()),
    )


def _totals() -> PanelRow:
    return PanelRow(
        "In the time chosen above",
        (
            _total(
                "Pages", "First pages of recommendations that were answered, of all scenes.", PAGES
            ),
            _total("Clicks", f"Clicks on recommended products. {OF_TOKENS}", EVENTS, "click"),
            _total(
                "Carts",
                f"Recommended products that were put into a cart. {OF_TOKENS}",
                EVENTS,
                "add_to_cart",
            ),
            _total(
                "Purchases",
                f"Recommended products that were bought. {OF_TOKENS}",
                EVENTS,
                "purchase",
            ),
            _total("Hides", f"Recommended products that were hidden. {OF_TOKENS}", EVENTS, "hide"),
            number(
                "Empty pages",
                "Share of the pages without a product. If it rises, look for the scene below: a "
                "filter may exclude everything.",
                "percentunit",
                rare(
                    PanelQuery(
                        f'sum(increase({PAGES}{{@, outcome="empty"}}[$__range]))'
                        f" / sum(increase({PAGES}{{@}}[$__range]))"
                    )
                ),
                limits={0.02: YELLOW},
            ),
        ),
    )


def _total(title: str, says: str, counter: str, kind: str = "") -> Panel:
    labels = f'{{@, type="{kind}"}}' if kind else "{@}"
    query = PanelQuery(f"sum(increase({counter}{labels}[$__range]))")
    return number(title, says, "short", rare(query))


def _reactions() -> PanelRow:
    kinds = (("Clicks", "click"), ("Carts", "add_to_cart"), ("Purchases", "purchase"))
    per_page = tuple(
        graph(
            f"{title} per page, by scene",
            f"Number of events of type {kind} for each page of the scene. Only first pages count, "
            "so it is above the truth where shoppers turn to further ones. A fall after a change of "
            "a scene says that shoppers like its pages less.",
            "short",
            PanelQuery(
                f'sum by (scene) (rate({EVENTS}{{@, type="{kind}"}}[$__rate_interval]))'
                f" / sum by (scene) (rate({PAGES}{{@}}[$__rate_interval]) > 0)",
                "{{scene}}",
            ),
        )
        for title, kind in kinds
    )
    by_time = tuple(
        graph(
            f"{title} by scene",
            f"Events of type {kind} a second, by the scene of the page. {OF_TOKENS}",
            "ops",
            rare(rates(EVENTS, f'@, type="{kind}"', "scene")),
            stacked=True,
        )
        for title, kind in kinds
    )
    return PanelRow("Clicks and purchases", (*by_time, *per_page))


def _pages() -> PanelRow:
    return PanelRow(
        "Pages",
        (
            graph(
                "Pages by scene",
                "First pages a second that were answered, by scene. A scene without a line is not asked "
                "for.",
                "reqps",
                rare(rates(PAGES, "@", "scene")),
                stacked=True,
            ),
            graph(
                "Empty pages by scene",
                "Share of the scene's pages without a product. Look for a filter or a rule of the "
                "scene that excludes everything.",
                "percentunit",
                rare(
                    PanelQuery(
                        f'sum by (scene) (rate({PAGES}{{@, outcome="empty"}}[$__rate_interval]))'
                        f" / sum by (scene) (rate({PAGES}{{@}}[$__rate_interval]) > 0)",
                        "{{scene}}",
                    )
                ),
                base=GREEN,
                limits={0.02: YELLOW},
            ),
            graph(
                "Pages without a good match",
                "Answers a second to a photo or text that no product is near to, by scene. They "
                "say what shoppers look for and the shop lacks.",
                "reqps",
                rare(
                    rates(
                        "sightline_gateway_matches_total",
                        '@, outcome=~"POOR|NOTHING_FOUND"',
                        "scene",
                    )
                ),
            ),
        ),
    )
