"""Headers of exports in other languages, and their names in the tables of `export_columns`.

WooCommerce translates its headers. Shopware and Magento write names of fields, and programs beside
them the labels of their administration, which are here too. Each name in the tables stands with
those in German, French and Chinese, and with other labels. {n} stands for a number.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Mapping
from functools import lru_cache

_WOOCOMMERCE = {
    "type": "typ; 类型",
    "sku": "artikelnummer; ugs",
    "gtin, upc, ean, or isbn": "gtin, upc, ean oder isbn; gtin, upc, ean ou isbn",
    "published": "veröffentlicht; publié; 已发布",
    "is featured?": "ist hervorgehoben?; mis en avant?; 是推荐产品?",
    "visibility in catalog": "sichtbarkeit im katalog; visibilité dans le catalogue; 在列表页可见",
    "short description": "kurzbeschreibung; description courte; 简短描述",
    "description": "beschreibung; 描述",
    "date sale price starts": "datum, an dem angebotspreis beginnt; date de début de promo;"
    " 促销开始日期",
    "date sale price ends": "datum, an dem angebotspreis endet; date de fin de promo; 促销截止日期",
    "tax status": "steuerstatus; état de la tva; 税状态",
    "tax class": "steuerklasse; classe de tva; 税类",
    "in stock?": "vorrätig?; en stock?; 有货?",
    "stock": "lager; lagerbestand; bestand; 库存",
    "low stock amount": "geringe lagermenge; montant de stock faible; 库存不足",
    "backorders allowed?": "lieferrückstand erlaubt?; lieferrückstande erlaubt?;"
    " lieferrückstände erlaubt?; autoriser les commandes de"
    " produits en rupture?; 允许缺货下单?",
    "sold individually?": "nur einzeln verkaufen?; vendre individuellement?; 单独出售?",
    "weight (kg)": "gewicht (kg); poids (kg); 重量(公斤); 重量(kg)",
    "length (cm)": "länge (cm); longueur (cm); 长度(厘米); 长度(cm)",
    "width (cm)": "breite (cm); largeur (cm); 宽度(厘米); 宽度(cm)",
    "height (cm)": "höhe (cm); hauteur (cm); 高度(厘米); 高度(cm)",
    "allow customer reviews?": "kundenrezensionen erlauben?; autoriser les avis clients?;"
    " 允许客户评价?; 允许顾客评价?",
    "purchase note": "hinweis zum kauf; note de commande; 购物备注",
    "sale price": "angebotspreis; tarif promo; 促销价格",
    "regular price": "regulärer preis; tarif régulier; 常规售价",
    "categories": "kategorien; catégories; 分类",
    "tags": "schlagwörter; étiquettes; 标签",
    "shipping class": "versandklasse; classe d'expédition; 运费类",
    "images": "bilder; 图片",
    "download limit": "downloadlimit; limite de téléchargement; 下载限制",
    "download expiry days": "ablauftage des downloads; jours d'expiration du téléchargement;"
    " 下载的过期天数",
    "parent": "übergeordnetes produkt; 父级",
    "grouped products": "gruppierte produkte; groupes de produits; 分组产品",
    "upsells": "zusatzverkäufe; produits suggérés; 追加销售",
    "cross-sells": "cross-sells (querverkäufe); querverkäufe; ventes croisées; 交叉销售",
    "external url": "externe url; url externe; 外部链接",
    "button text": "button-text; libellé du bouton; 按钮文本",
    "brands": "marken; marques; 品牌",
    "attribute {n} name": "attribut {n} name; nom de l'attribut {n}; 属性 {n} 名称",
    "attribute {n} value(s)": "attribut {n} wert(e); valeur(s) de l'attribut {n}; 属性 {n} 值",
    "attribute {n} visible": "attribut {n} sichtbar; attribut {n} visible; 属性 {n} 可见",
    "attribute {n} global": "attribut {n} global; 属性 {n} 的全局; 属性 {n} 全局",
    "attribute {n} default": "attribut {n} standard; attribut {n} par défaut; 属性 {n} 默认",
    "name": "nom; 名称",
    "position": "位置",
}
_MAGENTO = {
    "attribute_set_code": "attribute set; attributsatz; jeu d'attributs; 属性集",
    "store_view_code": "store view; store-ansicht; vue magasin; 店铺视图",
    "product_websites": "websites; sites web; 网站",
    "product_online": "enable product; status; produkt aktivieren; activer le produit;"
    " statut; 启用产品; 状态",
    "qty": "quantity; menge; quantité; 数量",
    "is_in_stock": "stock status; auf lager; lagerstatus; en stock; 有库存; 库存状态",
    "sku": "artikelnummer; ugs",
    "product_type": "produkttyp; type de produit; 产品类型; 商品类型",
    "description": "beschreibung; 描述",
    "short_description": "kurzbeschreibung; description courte; 简短描述",
    "weight": "gewicht; poids; 重量",
    "tax_class_name": "steuerklasse; classe de taxe; 税类",
    "visibility": "sichtbarkeit; visibilité; 可见性",
    "price": "preis; prix; 价格",
    "special_price": "sonderpreis; prix spécial; 特价",
    "special_price_from_date": "sonderpreis von; prix spécial à partir du; 特价开始日期",
    "special_price_to_date": "sonderpreis bis; prix spécial jusqu'au; 特价结束日期",
    "categories": "kategorien; catégories; 分类",
    "base_image": "basisbild; image de base; 基本图片",
    "additional_images": "zusätzliche bilder; images supplémentaires; 附加图片",
    "additional_attributes": "zusätzliche attribute; attributs supplémentaires; 附加属性",
    "country_of_manufacture": "herstellungsland; pays de fabrication; 制造国",
    "configurable_variations": "konfigurierbare variationen; variations configurables",
    "name": "nom; 名称; 产品名称; 商品名称",
}
_SHOPWARE = {
    "is_closeout": "clearance sale; iscloseout; abverkauf; déstockage; 清仓",
    "manufacturer_name": "manufacturer; hersteller; fabricant; 制造商",
    "price_gross": "gross price; preis brutto; preis (brutto); bruttopreis; prix brut;"
    " prix ttc; 毛价; 含税价格",
    "price_net": "net price; preis netto; preis (netto); nettopreis; prix net; prix"
    " ht; 净价; 不含税价格",
    "propertyids": "properties; eigenschaften; propriétés; 属性",
    "optionids": "options; optionen; 选项",
    "media_urls": "media",
    "product_number": "produktnummer; numéro de produit; 产品编号; 商品编号",
    "parent_id": "übergeordnetes produkt; produit parent; 父产品",
    "active": "aktiv; actif; 启用; 激活",
    "stock": "lagerbestand; bestand; 库存",
    "name": "produktname; nom; 名称; 产品名称; 商品名称",
    "description": "beschreibung; 描述",
    "tax_rate": "steuersatz; taux de tva; 税率",
    "cover_media_url": "titelbild; image de couverture; 封面图片",
    "categories": "kategorien; catégories; 分类",
    "sales_channel": "verkaufskanal; verkaufskanäle; canal de vente; 销售渠道",
}
_NUMBER = re.compile(r"\d+")


def _flat(name: str) -> str:
    """Return a header in lower case, with plain signs: `Mis en avant ?`, `有货？`."""
    flat = unicodedata.normalize("NFKC", name).replace("\N{RIGHT SINGLE QUOTATION MARK}", "'")
    return re.sub(r"\s+(?=\?)", "", " ".join(flat.lower().split()))


def _form(names: Mapping[str, str], *, underscores: bool = False) -> Callable[[str], str]:
    """Return a function from a header to its name in the tables. `underscores`: the export has
    them between words."""
    flat = {_flat(each): name for name, theirs in names.items() for each in theirs.split(";")}
    blanks = {re.sub(r"\s", "", theirs): name for theirs, name in flat.items()}

    @lru_cache(4_096)
    def form(name: str) -> str:
        bare = _flat(name)
        number = _NUMBER.search(bare)
        pattern = _NUMBER.sub("{n}", bare, count=1)
        found = flat.get(bare) or flat.get(pattern) or blanks.get(re.sub(r"\s", "", pattern))
        if found is None:
            return bare.replace(" ", "_") if underscores else bare
        return found.replace("{n}", number[0]) if number is not None else found

    return form


woocommerce_form = _form(_WOOCOMMERCE)
magento_form = _form(_MAGENTO, underscores=True)
shopware_form = _form(_SHOPWARE, underscores=True)
LANGUAGES: Mapping[str, str] = dict.fromkeys(
    ("woocommerce", "magento", "shopware"), "German, French and Chinese"
)
"""Export → languages of its headers beside English."""
