"""All documented columns of each known export, with what becomes of them.

A column that is in no table is new or foreign: an import reports it, because it may change the
meaning of the others. In a name, {n} stands for a number and {…} for any text.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ExportColumns:
    """The columns of one export, by their names in lower case."""

    read: Mapping[str, str]
    """Column → the columns of ours that it decides."""
    ignored: Mapping[str, str]
    """Column → why it is not read."""
    form: Callable[[str], str] = str.lower
    """Returns the name in these tables of a column of a file."""

    def knows(self, name: str) -> bool:
        """Return whether a column of a file, in the form of the tables, is in one of them."""
        if name in self.read or name in self.ignored:
            return True
        patterns = (each for each in (*self.read, *self.ignored) if "{" in each)
        return any(_pattern(each).fullmatch(name) for each in patterns)

    def named(self, name: str) -> str:
        """Return the name by which the tables have a column: itself, or the one with {n} or {…}."""
        patterns = (each for each in (*self.read, *self.ignored) if "{" in each)
        found = (each for each in patterns if _pattern(each).fullmatch(name))
        return name if name in self.read or name in self.ignored else next(found, name)


def _pattern(name: str) -> re.Pattern[str]:
    return re.compile(re.escape(name).replace(r"\{n\}", r"\d+").replace(r"\{…\}", ".+"))


def _because(reasons: Mapping[str, str]) -> Mapping[str, str]:
    """Return column → reason of reason → columns, with semicolons between."""
    return {name.strip(): why for why, names in reasons.items() for name in names.split(";")}


_MONEY = "taxes, and other prices than the one to pay, are no fields of a product"
_SHIPPING = "weights, measures and shipping are no fields of a product"
_PAGES = "texts for search engines and pages of the shop are not shown"
_CODES = "codes and accounts of other systems"
_ADS = "for advertisements only"

_SHOPIFY_TODAY = {
    "url handle": "handle",
    "description": "body (html)",
    "published on online store": "published",
    "sku": "variant sku",
    "barcode": "variant barcode",
    "price": "variant price",
    "compare-at price": "variant compare at price",
    "charge tax": "variant taxable",
    "tax code": "variant tax code",
    "inventory tracker": "variant inventory tracker",
    "inventory quantity": "variant inventory qty",
    "continue selling when out of stock": "variant inventory policy",
    "weight value (grams)": "variant grams",
    "weight unit for display": "variant weight unit",
    "requires shipping": "variant requires shipping",
    "fulfillment service": "variant fulfillment service",
    "product image url": "image src",
    "variant image url": "variant image",
    "standard product type": "product category",
    "custom product type": "type",
}
"""Column of today's and of earlier files → its name in the tables and in most files."""


def _shopify_form(name: str) -> str:
    small = name.strip().lower()
    return _SHOPIFY_TODAY.get(small, small)


SHOPIFY = ExportColumns(
    read={
        "handle": "id, parent_id",
        "title": "title",
        "body (html)": "description",
        "vendor": "brand",
        "product category": "category",
        "type": "category, without a product category",
        "tags": "tags",
        "published": "available: false unless it is in the online store",
        "status": "available: false unless it is active",
        "option{n} name": "attributes",
        "option{n} value": "attributes, id",
        "variant sku": "id",
        "variant price": "price",
        "variant inventory tracker": "available: without one, the quantity means nothing",
        "variant inventory qty": "available",
        "variant inventory policy": "available: backorder if it sells on",
        "image src": "images",
        "variant image": "images",
    },
    ignored=_because(
        {
            _MONEY: "variant compare at price; variant taxable; variant tax code; price / {…};"
            " compare at price / {…}; compare-at price / {…}",
            "which market sells it: set prices of markets with `products offers --market`": (
                "included / {…}"
            ),
            "the shop's own cost has the currency of the shop, which no column names": (
                "cost per item"
            ),
            _SHIPPING: "variant grams; variant weight unit; variant requires shipping;"
            " variant fulfillment service; unit price total measure; unit price total measure unit;"
            " unit price base measure; unit price base measure unit",
            _CODES: "variant barcode; option{n} linked to; gift card; collection",
            _PAGES: "seo title; seo description; image alt text; image position",
            _ADS: "google shopping / {…}",
            "metafields have meanings of the shop: map them with --map": "{…} ({…}metafields.{…})",
        }
    ),
    form=_shopify_form,
)

WOOCOMMERCE = ExportColumns(
    read={
        "id": "id, without a SKU; parents",
        "type": "which rows are parents, and which are variations",
        "sku": "id",
        "name": "title",
        "published": "available: false for a draft and for a private product",
        "visibility in catalog": "available: false if hidden",
        "description": "description",
        "short description": "description, without another",
        "date sale price starts": "price: which of both counts",
        "date sale price ends": "price: which of both counts",
        "in stock?": "available",
        "sale price": "price, during the sale",
        "regular price": "price",
        "categories": "category: the first",
        "tags": "tags",
        "images": "images",
        "parent": "parent_id; a variation has its parent's values where it has none",
        "brands": "brand",
        "attribute {n} name": "attributes",
        "attribute {n} value(s)": "attributes",
    },
    ignored=_because(
        {
            _MONEY: "tax status; tax class; cost of goods",
            "`in stock?` says it already": "stock; low stock amount; backorders allowed?",
            _SHIPPING: "weight ({…}); length ({…}); width ({…}); height ({…}); shipping class",
            _CODES: "gtin, upc, ean, or isbn",
            "how the shop's pages show and sell it": "is featured?; sold individually?;"
            " allow customer reviews?; purchase note; position; button text; external url;"
            " swatches attributes; attribute {n} visible; attribute {n} global;"
            " attribute {n} default",
            "what is downloaded after a purchase": "download limit; download expiry days;"
            " download {n} id; download {n} name; download {n} url",
            "scenes and models find what goes together": "grouped products; upsells; cross-sells",
            "fields of extensions have meanings of the shop": "meta: {…}",
        }
    ),
)

RETAIL = ExportColumns(
    read={
        "id": "id",
        "title": "title",
        "description": "description",
        "uri": "uri",
        "tags": "tags",
        "languagecode": "language",
        "availability": "available",
        "availabletime": "available: false before it",
        "expiretime": "available: false after it",
        "primaryproductid": "parent_id",
        "categories": "category: the first",
        "brands": "brand: the first",
        "priceinfo": "price, currency, and which of two prices counts now",
        "images": "images",
        "attributes": "attributes",
    },
    ignored=_because(
        {
            "the id is read": "name",
            "a primary product and its variants differ by their ids": "type; variants",
            "collections are products of their own": "collectionmemberids",
            _CODES: "gtin",
            "ratings come from events": "rating",
            "`expireTime` says it in exports": "ttl",
            "`availability` says it": "availablequantity; fulfillmentinfo; localinventories",
            "give them as attributes": "audience; colorinfo; sizes; materials; patterns;"
            " conditions",
            _ADS: "promotions",
            "dates of publication are not read": "publishtime",
            "says which fields Google returns": "retrievablefields",
        }
    ),
)

GA4 = ExportColumns(
    read={
        "event_timestamp": "time",
        "event_name": "type",
        "event_params": "session_id, currency, query",
        "user_id": "user_id",
        "user_pseudo_id": "visitor_id",
        "privacy_info": "an event without consent to analytics is left out",
        "ecommerce": "order_id",
        "items": "product_id, quantity, unit_price",
    },
    ignored=_because(
        {
            "the time of the event is read": "event_date; event_previous_timestamp;"
            " event_server_timestamp_offset; user_first_touch_timestamp",
            "the items' prices are read": "event_value_in_usd; user_ltv",
            "places of an event in a batch": "event_bundle_sequence_id; batch_event_index;"
            " batch_page_id; batch_ordering_id; event_dimensions",
            "about shoppers and their devices, which events do not store": "user_properties;"
            " device; geo; app_info; is_active_user; platform; stream_id",
            _ADS: "traffic_source; collected_traffic_source; session_traffic_source_last_click;"
            " publisher",
        }
    ),
)

RETAIL_EVENTS = ExportColumns(
    read={
        "eventtype": "type",
        "visitorid": "visitor_id",
        "userinfo": "user_id",
        "eventtime": "time",
        "sessionid": "session_id",
        "productdetails": "product_id, quantity",
        "purchasetransaction": "order_id",
        "searchquery": "query",
    },
    ignored=_because(
        {
            "ids are made of the content, as one event may become several": "eventid",
            "tokens and experiments of Google's answers": "attributiontoken; experimentids;"
            " panels; entity",
            "how the shop's pages show products": "completiondetail; filter; orderby; offset;"
            " pagecategories; uri; referreruri; pageviewid; cartid",
            "events have no attributes": "attributes",
        }
    ),
)


def merchant_form(name: str) -> str:
    """Return the name of an attribute as the specification writes it: feeds of text also have
    `image link` and `g:image_link`."""
    return name.strip().lower().removeprefix("g:").replace(" ", "_")


MERCHANT = ExportColumns(
    read={
        "id": "id",
        "title": "title",
        "description": "description",
        "link": "uri",
        "image_link": "images",
        "additional_image_link": "images",
        "availability": "available",
        "expiration_date": "available: false after it",
        "cost_of_goods_sold": "cost",
        "price": "price",
        "sale_price": "price, during the sale",
        "sale_price_effective_date": "price: which of both counts",
        "product_type": "category",
        "google_product_category": "category, without a product type; attributes",
        "brand": "brand",
        "content_language": "language",
        "item_group_id": "parent_id",
        "product_detail": "attributes",
        "custom": "attributes that the shop defines",
        **dict.fromkeys(
            ("gtin", "mpn", "condition", "color", "size", "size_type", "size_system", "material"),
            "attributes",
        ),
        **dict.fromkeys(
            ("pattern", "gender", "age_group", "adult", "multipack", "is_bundle"), "attributes"
        ),
        "energy_efficiency_class": "attributes",
        "custom_label_{n}": "attributes",
    },
    ignored=_because(
        {
            _MONEY: "tax; tax_category; installment; subscription_cost; unit_pricing_measure;"
            " unit_pricing_base_measure; maximum_retail_price; auto_pricing_min_price;"
            " minimum_price;"
            " loyalty_points; loyalty_program",
            "`availability` says it": "availability_date; quantity; store_code; pickup_method;"
            " pickup_sla; sell_on_google_quantity",
            _SHIPPING: "shipping; shipping_{…}; shipping({…}); ships_from_country;"
            " transit_time_label;"
            " min_handling_time; max_handling_time; handling_cutoff_time; minimum_order_value;"
            " free_shipping_threshold; carrier_shipping; product_length; product_width;"
            " product_height; product_weight; return_address_label; return_policy_label;"
            " return_rule_label",
            _ADS: "ads_redirect; adwords_redirect; promotion_id; excluded_destination;"
            " included_destination; shopping_ads_excluded_country; pause; display_ads_{…};"
            " lifestyle_image_link; external_seller_id; adwords_labels; ads_labels; ads_grouping;"
            " disclosure_date; short_title; popularity_rank; cloud_export_additional_properties",
            _CODES: "identifier_exists; certification; energy_efficiency_class_image_link;"
            " min_energy_efficiency_class; max_energy_efficiency_class; item_group_title",
            _PAGES: "mobile_link; canonical_link; link_template; mobile_link_template;"
            " virtual_model_link; video_link; product_highlight; structured_title;"
            " structured_description; pub_date; pubdate; guid; updated; published; author;"
            " comments;"
            " question_and_answer; related_product; document_link; variant_option",
            "the catalog of the import decides": "target_country; feed_label; channel;"
            " consumer_notice; consumer_datum",
        }
    ),
    form=merchant_form,
)

SCHEMA_ORG = ExportColumns(
    read={
        **dict.fromkeys(("sku", "productid"), "id"),
        **dict.fromkeys(("gtin", "gtin14", "gtin13", "gtin12", "gtin8", "isbn"), "id, attributes"),
        **dict.fromkeys(("isvariantof", "inproductgroupwithid", "productgroupid"), "parent_id"),
        "hasvariant": "one product for each variant",
        "name": "title",
        "description": "description",
        "url": "uri",
        "offers": "price, currency, available, stock",
        "itemcondition": "attributes",
        "availability": "available",
        **dict.fromkeys(("brand", "manufacturer"), "brand"),
        "category": "category",
        "image": "images",
        "keywords": "tags",
        "inlanguage": "language",
        "aggregaterating": "rating, rating_count",
        "additionalproperty": "attributes",
        "audience": "attributes",
        **dict.fromkeys(("mpn", "color", "size", "material", "pattern", "model"), "attributes"),
    },
    ignored=_because(
        {
            "the options of a group are read from its variants": "variesby",
            "other texts and pages of the product": "additionaltype; alternatename;"
            " disambiguatingdescription; sameas; mainentityofpage; subjectof; potentialaction;"
            " logo; slogan; positivenotes; negativenotes; identifier; nsn; asin",
            "texts of shoppers are not read": "review; reviews; award; awards",
            _SHIPPING: "weight; width; height; depth; hasmeasurement; hasmerchantreturnpolicy",
            "other products": "isrelatedto; issimilarto; isaccessoryorsparepartfor;"
            " isconsumablefor;"
            " predecessorof; successorof; funding",
            "facts that no field holds": "countryofassembly; countryoflastprocessing;"
            " countryoforigin;"
            " hasadultconsideration; hascertification; hasenergyconsumptiondetails;"
            " hasenergyefficiencycategory; hasgs1digitallink; isfamilyfriendly; mobileurl; owner;"
            " productiondate; purchasedate; releasedate; colorswatch; displaylocation;"
            " serialnumber; productsupported",
            "facts of vehicles": "vehicle{…}; bodytype; drivewheelconfiguration; fuel{…};"
            " mileagefromodometer; numberof{…}; knownvehicledamages; accelerationtime; callsign;"
            " cargovolume; datevehiclefirstregistered; emissionsco2; engine{…};"
            " meetsemissionstandard;"
            " modeldate; payload; seatingcapacity; speed; steeringposition;"
            " tongueweight; trailerweight; weighttotal; wheelbase",
            "the language and the place of the page": "@{…}",
        }
    ),
)
