"""Names that shops give to columns, in English, German, French, Spanish, Italian, Chinese and
Japanese."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping

_WORDS = {
    "id": "id, product id, sku, item id, article id, article number, item number, offer id, code,"
    " product code, artikelnummer, artikel nr, art nr, artikel id, artikelcode, produktnummer,"
    " produkt nr, produkt id, bestellnummer, nr, nummer, référence, réf, ugs, id produit,"
    " code produit, code article, numéro d'article, id article, referencia, código,"
    " código de producto, id producto, codice, codice articolo, codice prodotto, id prodotto,"
    " riferimento, 编号, 货号, 商品编号, 商品编码, 产品编号, 产品编码, 商品id, 产品id, 款号,"
    " 商品コード, 商品番号, 品番",
    "title": "title, name, product name, product title, item name, article name, artikelname,"
    " produktname, bezeichnung, artikelbezeichnung, produktbezeichnung, titel, artikel, nom,"
    " nom du produit, titre, désignation, libellé, intitulé, nombre, nombre del producto, título,"
    " denominación, nome, nome prodotto, titolo, denominazione, 名称, 商品名称, 产品名称, 品名,"
    " 标题, 商品标题, 商品名, タイトル",
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
    "price": "price, regular price, unit price, list price, retail price, amount, sales price,"
    " preis, verkaufspreis, vk, vk preis, vk brutto, bruttopreis, einzelpreis, endpreis, prix,"
    " prix de vente, prix ttc, prix unitaire, tarif, precio, precio de venta, pvp, prezzo,"
    " prezzo di vendita, 价格, 售价, 单价, 销售价, 销售价格, 零售价, 商品价格, 価格, 販売価格,"
    " 売価, 単価, 値段, 税込価格",
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
    "product_id": "product id, item id, sku, product, item, artikelnummer, artikel nr, art nr,"
    " artikel, artikel id, produkt, produktnummer, produkt id, produit, id produit, article,"
    " référence, référence produit, producto, id producto, artículo, prodotto, id prodotto,"
    " articolo, codice articolo, 商品, 商品编号, 商品编码, 商品id, 产品, 产品编号, 产品id, 货号,"
    " 商品コード, 商品番号, 品番",
    "user_id": "user id, user, customer id, customer, account, kunde, kundennummer, kunden nr,"
    " kunden id, benutzer, benutzer id, nutzer, nutzer id, käufer, client, id client,"
    " numéro client, utilisateur, id utilisateur, acheteur, cliente, id cliente, usuario,"
    " id usuario, utente, id utente, 用户, 用户id, 用户编号, 客户, 客户id, 客户编号, 会员, 会员id,"
    " 会员编号, 买家, 顧客, 顧客id, 顧客番号, 会員, 会員id, 会員番号, ユーザー, ユーザーid",
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
    "unit_price": "unit price, price, item price, preis, einzelpreis, stückpreis, prix,"
    " prix unitaire, precio, precio unitario, prezzo, prezzo unitario, 价格, 单价, 価格, 単価",
}
"""Our column → names of it in files."""
_UMLAUTS = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue"})


def simple(name: str) -> str:
    """Return the letters and digits of a name, without case, width and accents."""
    flat = unicodedata.normalize("NFKD", unicodedata.normalize("NFKC", name).casefold())
    return "".join(letter for letter in flat if letter.isalnum())


def _spellings(words: str) -> frozenset[str]:
    parts = [word.strip() for word in words.split(",")]
    return frozenset(simple(each) for word in parts for each in (word, word.translate(_UMLAUTS)))


NAMES: Mapping[str, frozenset[str]] = {ours: _spellings(words) for ours, words in _WORDS.items()}
"""Our column → names of it in files, in the form of `simple`."""
EITHER: Mapping[str, frozenset[str]] = {
    "available": _spellings("status, state, zustand, statut, état, estado, stato, 状态, 状態"),
}
"""Our column → names that it shares with others, so that the values have to show it."""
