"""Words for yes and no, for what can be bought, and for kinds of events: the only parser of them.

English, German, French, Spanish, Italian, Chinese and Japanese. A word that is missing here, or
that a shop uses in its own way, is said with `--value`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from sightline.common.v1 import event_pb2, product_pb2
from sightline_client.files.texts import bare, has_odd_digits

_BETWEEN = re.compile(r"(?<=\w)[\s_\-]+(?=\w)")


def simple(text: str) -> str:
    """Return a word in lower case, with one blank between its parts, and without accents and a full
    stop, so that spellings of one word are equal. What may change a meaning stays: the sign of -1,
    a leading point, a raised or circled digit."""
    if has_odd_digits(text):
        return text
    return _BETWEEN.sub(" ", bare(text)).strip().rstrip(" .!")


def _table(by_meaning: Mapping[str, str]) -> dict[str, str]:
    return {
        simple(word): meaning
        for meaning, words in by_meaning.items()
        for word in words.replace("\n", ";").split(";")
        if word.strip()
    }


_ANSWERS = _table(
    {
        "yes": "true; yes; y; 1; t; on; ja; j; wahr; oui; o; vrai; sí; si; s; verdadero; vero; 是;"
        " 真; 有; 对; はい; 有り; あり; ○",
        "no": "false; no; n; 0; f; off; nein; falsch; non; faux; falso; 否; 假; 无; 無; 不;"
        " いいえ; 無し; なし; ×",
    }
)
_STOCK = _table(
    {
        "IN_STOCK": """
            in stock; instock; available; in store; on stock; stocked; limited availability
            auf lager; lieferbar; sofort lieferbar; ab lager; ab lager lieferbar; am lager; an lager
            lagernd; verfügbar; sofort verfügbar; vorrätig; auf lager verfügbar
            en stock; disponible; disponible en stock; en magasin
            en existencia; en existencias; hay stock; con stock; hay existencias
            disponibile; in magazzino; disponibile in magazzino; disponibilità immediata
            有货; 现货; 有现货; 有库存; 库存充足; 在售; 可售; 有貨; 現貨; 有庫存
            在庫あり; 在庫有り; 在庫有; 在庫; 販売中; 即納; 在庫僅少; 残りわずか""",
        "OUT_OF_STOCK": """
            out of stock; outofstock; sold out; soldout; unavailable; not available; discontinued
            no stock; not in stock; nicht auf lager; ausverkauft; nicht lieferbar
            nicht verfügbar; nicht vorrätig; vergriffen; derzeit nicht lieferbar
            derzeit nicht verfügbar; nicht am lager; nicht lagernd
            rupture; rupture de stock; en rupture; en rupture de stock; épuisé; indisponible
            non disponible; hors stock; pas en stock
            agotado; sin stock; sin existencias; no disponible; fuera de stock
            esaurito; non disponibile; terminato; non in magazzino
            缺货; 无货; 暂时缺货; 售罄; 已售罄; 售完; 已售完; 无库存
            下架; 已下架; 缺貨; 無貨; 無庫存
            在庫なし; 在庫無し; 在庫無; 在庫切れ; 品切れ; 売り切れ; 売切れ; 完売; 欠品; 販売終了""",
        "PREORDER": """
            preorder; pre order; presale; vorbestellbar; vorbestellung; jetzt vorbestellen
            précommande; en précommande; précommander; préventa; preventa; en preventa; prepedido
            preordine; prenotabile; in preordine; preordinabile
            预售; 预订; 预购; 預售; 預訂; 預購; 予約; 予約受付中; 予約可; 予約商品; 先行予約""",
        "BACKORDER": """
            backorder; back order; on backorder; available on backorder; onbackorder
            nachbestellt; nachbestellung; auf nachbestellung; auf bestellung; lieferrückstand
            im zulauf; sur commande; en réapprovisionnement; réapprovisionnement en cours
            bajo pedido; por encargo; pedido pendiente; su ordinazione
            ordinabile; in riassortimento
            补货中; 可预订; 到货中; 補貨中; 取り寄せ; お取り寄せ; 取寄せ; 取寄; 入荷待ち""",
    }
)
_EVENTS = _table(
    {
        "IMPRESSION": "impression; impressions; shown; einblendung; angezeigt; affichage;"
        " impresión; impressione; visualizzazione; 曝光; 展示; 表示; インプレッション",
        "VIEW": "view; views; viewed; pageview; page view; product view; detail view; view item;"
        " detail page view; ansicht; aufruf; angesehen; produktansicht; detailansicht;"
        " seitenaufruf;"
        " vue; consultation; vu; vista; visita; visualización; visto; visione; 浏览; 查看; 瀏覽;"
        " 查看商品; 閲覧; 商品閲覧; 閲覧済み",
        "CLICK": "click; clicks; clicked; klick; angeklickt; geklickt; clic; cliqué; clicado;"
        " cliccato; 点击; 點擊; クリック",
        "ADD_TO_CART": "add to cart; addtocart; cart; added to cart; add cart; add to basket;"
        " basket; warenkorb; in den warenkorb; in den warenkorb gelegt; hinzugefügt; panier;"
        " ajout au panier; ajouter au panier; carrito; añadir al carrito; añadido al carrito;"
        " carrello; aggiunta al carrello; aggiungi al carrello; 加购; 加入购物车; 购物车; 加購;"
        " 加入購物車; カート; カート追加; カートに追加; カート投入",
        "PURCHASE": "purchase; purchases; purchased; buy; bought; order; ordered; transaction;"
        " sale; kauf; gekauft; bestellung; bestellt; achat; acheté; commande;"
        " compra; comprado; pedido; acquisto; acquistato; ordine; 购买; 下单; 订单; 購買;"
        " 下單; 支付; 付款; 購入; 注文; 購入済み",
        "RATING": "rating; rate; rated; review; bewertung; bewertet; note; évaluation; avis;"
        " valoración; calificación; valutazione; recensione; 评分; 评价;"
        " 評分; 評價; 評価; レビュー",
        "HIDE": "hide; hidden; dislike; ausgeblendet; ausblenden; masquer; masqué; ocultar; oculto;"
        " nascondi; nascosto; 隐藏; 不感兴趣; 隱藏; 非表示",
        "UNHIDE": "unhide; einblenden; wieder eingeblendet; afficher de nouveau; mostrar; mostra;"
        " 取消隐藏; 取消隱藏; 再表示",
        "SEARCH": "search; searched; suche; gesucht; recherche; búsqueda; ricerca; 搜索; 搜尋;"
        " 検索",
    }
)


def answer(text: str) -> bool | None:
    """Read yes or no; None = it is neither."""
    found = _ANSWERS.get(simple(text))
    return None if found is None else found == "yes"


def availability(text: str) -> product_pb2.Availability.ValueType | None:
    """Read whether a product can be bought: a state in words, or yes or no; None = neither."""
    found = _STOCK.get(simple(text))
    if found is None:
        bought = answer(text)
        if bought is None:
            return None
        found = "IN_STOCK" if bought else "OUT_OF_STOCK"
    return product_pb2.Availability.Value(f"AVAILABILITY_{found}")


def event_type(text: str) -> event_pb2.EventType.ValueType | None:
    """Read what a shopper did; None = no kind of event is called like that."""
    found = _EVENTS.get(simple(text))
    return None if found is None else event_pb2.EventType.Value(f"EVENT_TYPE_{found}")


STATES = tuple(
    name.removeprefix("AVAILABILITY_").lower()
    for name, value in product_pb2.Availability.items()
    if value
)
"""The contract's names of what can be bought."""
EVENTS = tuple(
    name.removeprefix("EVENT_TYPE_") for name, value in event_pb2.EventType.items() if value
)
"""The contract's names of kinds of events."""


def unknown(column: str, text: str, known: Iterable[str]) -> str:
    """Say what to do about a word that no table has."""
    shown = text if len(text) <= 60 else f"{text[:57]}…"
    return (
        f"{shown!r} is not one of {', '.join(known)}: say what it means, such as"
        f" --value '{column}:{shown}={[*known][-1].upper()}'"
    )
