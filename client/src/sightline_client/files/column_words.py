"""Names that shops give to columns, in English, German, French, Spanish, Italian, Chinese and
Japanese."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Mapping

_WORDS = {
    "id": "id, product id, sku, item id, article id, article number, item number, offer id,"
    " product code, artikelnummer, artikel nr, art nr, artikel id, artikelcode, produktnummer,"
    " produkt nr, produkt id, bestellnummer, référence, réf, ugs, id produit, code produit,"
    " code article, numéro d'article, id article, referencia, código de producto, id producto,"
    " codice articolo, codice prodotto, id prodotto, riferimento, 货号, 商品编号, 商品编码,"
    " 产品编号, 产品编码, 商品id, 产品id, 款号, 商品コード, 商品番号, 品番; code, código, codice,"
    " nr, nummer, 编号",
    "title": "title, name, product name, product title, item name, article name, artikelname,"
    " produktname, bezeichnung, artikelbezeichnung, produktbezeichnung, titel, nom,"
    " nom du produit, titre, désignation, libellé, intitulé, nombre, nombre del producto, título,"
    " denominación, nome, nome prodotto, titolo, denominazione, 名称, 商品名称, 产品名称, 品名,"
    " 标题, 商品标题, 商品名, タイトル; artikel",
    "description": "description, body html, long description, short description, beschreibung,"
    " artikelbeschreibung, produktbeschreibung, langbeschreibung, kurzbeschreibung, langtext,"
    " descriptif, description longue, description courte, descripción, descripción larga,"
    " descripción corta, descrizione, descrizione breve, 描述, 商品描述, 产品描述, 商品详情, 详情,"
    " 简介, 説明, 商品説明, 説明文",
    "category": "category, categories, product category, product type, type, department, kategorie,"
    " kategorien, produktkategorie, warengruppe, produktgruppe, artikelgruppe, rubrik, catégorie,"
    " catégories, rayon, famille, categoría, categorías, familia, sección, categoria, categorie,"
    " reparto, 分类, 商品分类, 产品分类, 类别, 商品类别, 类目, 品类, カテゴリ, カテゴリー,"
    " 商品カテゴリ, ジャンル, 分類",
    "brand": "brand, vendor, manufacturer, producer, maker, label, marke, hersteller, produzent,"
    " marque, fabricant, marca, fabricante, marchio, produttore, 品牌, 牌子, 制造商, 厂商,"
    " ブランド, メーカー, 製造元",
    "price": "price, regular price, unit price, sales price,"
    " preis, verkaufspreis, vk, vk preis, vk brutto, bruttopreis, einzelpreis, endpreis, prix,"
    " prix de vente, prix ttc, prix unitaire, tarif, precio, precio de venta, pvp, prezzo,"
    " prezzo di vendita, 价格, 售价, 单价, 销售价, 销售价格, 零售价, 商品价格, 価格, 販売価格,"
    " 売価, 単価, 値段, 税込価格; retail price, list price, amount, rrp, msrp, uvp,"
    " unverbindliche preisempfehlung, prix public, prix conseillé, prezzo di listino, 定価",
    "currency": "currency, currency code, price currency, währung, währungscode, devise, monnaie,"
    " moneda, divisa, valuta, 货币, 币种, 通貨, 通貨コード",
    "available": "available, availability, in stock, stock status, verfügbar, verfügbarkeit,"
    " lieferbar, lieferbarkeit, auf lager, lagerstatus, vorrätig, disponible, disponibilité,"
    " en stock, disponibilidad, disponibile, disponibilità, 库存状态, 有货, 是否有货, 是否有库存,"
    " 在庫状況, 在庫状態, 在庫あり",
    "stock": "stock, inventory, stock quantity, inventory quantity, qty, quantity, bestand,"
    " lagerbestand, lagermenge, menge, quantité, quantité en stock, existencias, cantidad,"
    " giacenza, quantità, 库存, 库存数量, 库存量, 数量, 在庫, 在庫数",
    "images": "images, image, image url, image link, image src, photo, photos, picture, pictures,"
    " bild, bilder, foto, fotos, bild url, bilddatei, bildname, abbildung, photo du produit,"
    " visuel, imagen, imágenes, immagine, immagini, 图片, 商品图片, 主图, 照片, 图片地址, 图片链接,"
    " 图像, 画像, 商品画像, 画像url, 写真",
    "tags": "tags, tag, keywords, labels, schlagwörter, schlagworte, stichwörter, étiquettes,"
    " mots clés, etiquetas, palabras clave, etichette, parole chiave, 标签, 关键词, タグ,"
    " キーワード",
    "parent_id": "parent id, parent, item group id, group id, model id, parent sku,"
    " übergeordneter artikel, hauptartikel, vaterartikel, elternartikel, produit parent,"
    " producto padre, prodotto padre, 父级, 父商品, spu, 親商品, 親商品コード",
    "uri": "uri, url, link, product url, permalink, website, produktlink, produkt url, lien,"
    " adresse, enlace, collegamento, 链接, 商品链接, 网址, リンク, 商品url",
    "language": "language, lang, language code, locale, sprache, langue, idioma, lingua,"
    " 语言, 言語",
    "rating_count": "rating count, ratings, reviews, number of reviews, anzahl bewertungen,"
    " nombre d'avis, 评价数, レビュー数",
    "event_id": "event id, id, uuid, message id, ereignis id, id événement, 事件id, 事件编号,"
    " イベントid",
    "type": "type, event, event type, event name, action, ereignis, ereignistyp, aktion, vorgang,"
    " art, typ, événement, type d'événement, evento, tipo, tipo de evento, acción, azione,"
    " tipo di evento, 事件, 事件类型, 行为, 行为类型, 操作, 类型, イベント, 種別, 行動, 操作種別,"
    " アクション",
    "product_id": "product id, item id, sku, artikelnummer, artikel nr, art nr, artikel id,"
    " produktnummer, produkt id, id produit, référence, référence produit, id producto,"
    " id prodotto, codice articolo, 商品编号, 商品编码, 商品id, 产品编号, 产品id, 货号, 商品コード,"
    " 商品番号, 品番; product, item, artikel, produkt, produit, article, producto, artículo,"
    " prodotto, articolo, 商品, 产品",
    "user_id": "user id, customer id, kundennummer, kunden nr, kunden id, benutzer id, nutzer id,"
    " id client, numéro client, id utilisateur, id cliente, id usuario, id utente, 用户id,"
    " 用户编号, 客户id, 客户编号, 会员id, 会员编号, 顧客id, 顧客番号, 会員id, 会員番号, ユーザーid;"
    " user, customer, account, kunde, benutzer, nutzer, käufer, client, utilisateur, acheteur,"
    " cliente, usuario, utente, 用户, 客户, 会员, 买家, 顧客, 会員, ユーザー",
    "visitor_id": "visitor id, visitor, anonymous id, client id, device id, user pseudo id, cookie,"
    " besucher, besucher id, visiteur, id visiteur, visitante, visitatore, 访客, 访客id, 设备id,"
    " 訪問者, 訪問者id",
    "session_id": "session id, session, visit id, sitzung, sitzungs id, id session, sesión,"
    " sessione, 会话, 会话id, セッション, セッションid",
    "time": "time, timestamp, event time, date, date time, created at, occurred at, zeit,"
    " zeitpunkt, zeitstempel, uhrzeit, datum, datum uhrzeit, bestelldatum, heure, date et heure,"
    " horodatage, date de commande, fecha, hora, fecha y hora, data, ora, data e ora, 时间, 日期,"
    " 时间戳, 发生时间, 下单时间, 购买时间, 日時, 日付, 時刻, 注文日, 注文日時, タイムスタンプ",
    "quantity": "quantity, qty, count, menge, anzahl, stückzahl, quantité, cantidad, quantità,"
    " 数量, 件数, 個数",
    "value": "value, rating, score, stars, wert, bewertung, sterne, note, évaluation, valor,"
    " valoración, puntuación, voto, valutazione, 评分, 评价, 星级, 評価, 点数",
    "order_id": "order id, transaction id, order, order number, bestellung, bestellnummer,"
    " bestell nr, auftrag, auftragsnummer, commande, numéro de commande, id commande, pedido,"
    " número de pedido, ordine, numero ordine, 订单, 订单号, 订单编号, 订单id, 注文, 注文番号,"
    " 注文id",
    "query": "query, search term, search, q, suche, suchbegriff, suchwort, recherche, requête,"
    " búsqueda, consulta, ricerca, 搜索, 搜索词, 搜索关键词, 検索, 検索語, 検索キーワード",
    "unit_price": "unit price, item price, einzelpreis, stückpreis, prix unitaire,"
    " precio unitario, prezzo unitario, 单价, 単価; price, preis, prix, precio, prezzo, 价格, 価格",
}
"""Our column → names of it in files; those behind a semicolon may be another column's too."""
_COSTS = (
    "ek, einkauf, selbstkosten, purchase, buying, cost, costs, achat, compra, coste, costo,"
    " acquisto, 进价, 成本, 采购, 仕入, 原価"
)
"""Words in names of what a shop pays for a product."""
_MEASURES = (
    "kg, gewicht, weight, poids, peso, 重量, länge, breite, höhe, tiefe, length, width, height,"
    " depth, size, größe, longueur, largeur, hauteur, profondeur, ancho, alto, largo, larghezza,"
    " altezza, lunghezza, volumen, volume, liter, inhalt, rabatt, discount, remise, descuento,"
    " sconto, steuer, mwst, ust, tax, vat, tva, iva, versand, shipping, wholesale, händler,"
    " alkohol, alcohol, abv, rating, bewertung"
)
"""Words in names of columns of numbers that are no prices."""
_UMLAUTS = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue"})


def simple(name: str) -> str:
    """Return the letters and digits of a name, without case, width and accents."""
    flat = unicodedata.normalize("NFKD", unicodedata.normalize("NFKC", name).casefold())
    return "".join(letter for letter in flat if letter.isalnum())


def _spellings(words: str) -> frozenset[str]:
    parts = [word.strip() for word in words.split(",")]
    return frozenset(simple(each) for word in parts for each in (word, word.translate(_UMLAUTS)))


NAMES: Mapping[str, Mapping[str, int]] = {
    ours: {name: rank for rank, some in enumerate(words.split(";")) for name in _spellings(some)}
    for ours, words in _WORDS.items()
}
"""Our column → names of it in files, in the form of `simple` → 0 for those that no other column
has, 1 for others."""
COSTS, MEASURES = _spellings(_COSTS), _spellings(_MEASURES)


def speaks_of(name: str, words: Collection[str]) -> bool:
    """Return whether a name has one of the words, or a part that is a long or an Asian one."""
    parts = [simple(part) for part in re.findall(r"[^\W\d_]+", name)]
    return any(
        word == part or (word in part and (len(word) > 4 or not word.isascii()))
        for part in parts
        for word in words
    )


EITHER: Mapping[str, frozenset[str]] = {
    "available": _spellings("status, state, zustand, statut, état, estado, stato, 状态, 状態"),
}
"""Our column → names that it shares with others, so that the values have to show it."""
