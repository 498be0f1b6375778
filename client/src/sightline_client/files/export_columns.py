"""All documented columns of each known export, with what becomes of them.

A column that is in no table is new or foreign: an import reports it, because it may change the
meaning of the others. In a name, {n} stands for a number and {…} for any text.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from sightline_client.files.export_headers import magento_form, shopware_form, woocommerce_form


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
        """Return the name by which the tables have a column: itself, or the longest with {n} or
        {…} that fits."""
        if name in self.read or name in self.ignored:
            return name
        patterns = (each for each in (*self.read, *self.ignored) if "{" in each)
        found = (each for each in patterns if _pattern(each).fullmatch(name))
        return max(found, key=len, default=name)


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
    form=woocommerce_form,
)

MAGENTO = ExportColumns(
    read={
        "sku": "id",
        "store_view_code": "a row of one store view is left out, and counted",
        "product_type": "price and available: configurable, grouped and bundle have none alone",
        "name": "title",
        "description": "description",
        "short_description": "description, without another",
        "categories": "category: the longest path, without the root",
        "product_online": "available: false unless it is enabled",
        "visibility": "available: false if it is not visible alone and is no variant",
        "price": "price",
        "special_price": "price, while it counts",
        "special_price_from_date": "price: which of both counts",
        "special_price_to_date": "price: which of both counts",
        "base_image": "images",
        "additional_images": "images",
        "hide_from_product_page": "images that are left out",
        "country_of_manufacture": "attributes",
        "additional_attributes": "attributes; brand, from manufacturer or brand",
        "manufacturer": "brand",
        "brand": "brand",
        "qty": "available",
        "is_in_stock": "available: false if it is 0",
        "allow_backorders": "available: backorder if it sells on",
        "manage_stock": "available: without it, the quantity means nothing",
        "use_config_manage_stock": "available: whether the shop's setting counts instead",
        "configurable_variations": "parent_id of the variants, which have their parent's category,"
        " brand, description and photos where they have none",
    },
    ignored=_because(
        {
            _MONEY: "tax_class_name; map_price; msrp_price; map_enabled; cost;"
            " msrp_display_actual_price_type; giftcard_{…}",
            _SHIPPING: "weight; ts_dimensions_{…}",
            _PAGES: "url_key; meta_title; meta_keywords; meta_description; base_image_label;"
            " small_image; small_image_label; thumbnail_image; thumbnail_image_label;"
            " swatch_image; swatch_image_label; additional_image_labels; custom_design;"
            " custom_design_from; custom_design_to; custom_layout_update; custom_layout;"
            " page_layout; product_options_container; display_product_options_in;"
            " gift_message_available; gift_wrapping_available; gift_wrapping_price",
            "which of the shop's websites sell it: set markets with `products offers --market`": (
                "product_websites; website_id"
            ),
            "the attributes themselves are read": "attribute_set_code",
            "dates of the record are not read": "created_at; updated_at; new_from_date;"
            " new_to_date",
            "`is_in_stock` says it": "out_of_stock_qty; use_config_min_qty; is_qty_decimal;"
            " use_config_backorders; notify_on_stock_below; use_config_notify_stock_qty;"
            " is_decimal_divided; deferred_stock_update; use_config_deferred_stock_update",
            "how many are bought at once": "min_cart_qty; use_config_min_sale_qty; max_cart_qty;"
            " use_config_max_sale_qty; qty_increments; use_config_qty_increments;"
            " enable_qty_increments; use_config_enable_qty_inc",
            "scenes and models find what goes together": "related_skus; related_position;"
            " crosssell_skus; crosssell_position; upsell_skus; upsell_position",
            "variants have options of their own": "configurable_variation_labels; custom_options;"
            " associated_skus; bundle_{…}; downloadable_{…}",
            "internal to Magento": "_{…}",
        }
    ),
    form=magento_form,
)

SHOPWARE = ExportColumns(
    read={
        "id": "parents",
        "parent_id": "parent_id; a variant has its parent's title, price, category, brand,"
        " description and photos where it has none",
        "product_number": "id",
        "active": "available: false unless it is active, or its parent is not",
        "stock": "available: backorder without any",
        "is_closeout": "available: false without stock, in a clearance sale",
        "name": "title",
        "description": "description",
        "price_gross": "price",
        "cover_media_url": "images",
        "media_urls": "images",
        "manufacturer_name": "brand",
        "categories": "category: the first path; internal ids are none",
        "sales_channel": "available: false if it is shown in none",
        "propertyids": "attributes, from texts `name: value`; internal ids are none",
        "optionids": "attributes, from texts `name: value`; internal ids are none",
    },
    ignored=_because(
        {
            _MONEY: "price_net; purchase_prices_net; purchase_prices_gross; list_price_net;"
            " list_price_gross; tax_id; tax_rate; tax_name",
            _PAGES: "cover_media_title; cover_media_alt; meta_title; meta_description; keywords",
            _CODES: "cover_media_id; manufacturer_id; ean; manufacturer_number",
            _SHIPPING: "weight; width; height; length; shipping_free; delivery_time",
            "how many are bought at once": "min_purchase; max_purchase; purchase_steps",
        }
    ),
    form=shopware_form,
)

SHOPWARE_5 = ExportColumns(
    read={
        "ordernumber": "id",
        "mainnumber": "parent_id; a variant has its main variant's title, price, category, brand,"
        " description and photos where it has none",
        "name": "title",
        "additionaltext": "attributes",
        "supplier": "brand",
        "price_ek": "price",
        "active": "available: false unless it is active",
        "instock": "available: backorder without any",
        "laststock": "available: false without stock, in a clearance sale",
        "releasedate": "available: false before it",
        "description": "description, without a long one",
        "description_long": "description",
        "keywords": "tags",
        "categories": "category: the first path; numbers are none",
        "imageurl": "images",
        "propertyvaluename": "attributes, from texts `name: value`",
        "configuratoroptions": "attributes, from texts `name: value`",
    },
    ignored=_because(
        {
            _MONEY: "tax; pseudoprice_{…}; baseprice_{…}; price_{…}; from_{…}; to_{…};"
            " purchaseprice; pricegroupid; pricegroupactive; regulationprice_{…}",
            _SHIPPING: "shippingtime; shippingfree; weight; width; height; length; unitid;"
            " purchaseunit; referenceunit; packunit",
            _PAGES: "metatitle; topseller; main",
            _CODES: "suppliernumber; ean; configuratorsetid; configuratortype; propertygroupname",
            "how many are bought at once": "minpurchase; purchasesteps; maxpurchase; stockmin",
            "dates of the record are not read": "added; changed",
            "scenes and models find what goes together": "similar; accessory",
            "fields of the shop have meanings of the shop: map them with --map": "attr{n};"
            " attribute_{…}",
            "translations are products of other catalogs": "variantid_{n}; articleid_{n};"
            " languageid_{n}; name_{n}; {…}_{n}",
        }
    ),
)

AKENEO = ExportColumns(
    read={
        "identifier": "id",
        "sku": "id",
        "uuid": "id, without another",
        "family": "attributes",
        "parent": "parent_id: the product model",
        "categories": "category: the first code",
        "enabled": "available: false if it is 0",
        "{…}": "title, description, brand and price by the attribute's name, with the first"
        " language and currency; images, where the value is the name of a photo; else attributes",
    },
    ignored=_because(
        {
            "scenes and models find what goes together": "groups; {…}-groups; {…}-products;"
            " {…}-product_models; {…}-products-quantity; {…}-product_models-quantity",
            "levels of the product model": "family_variant",
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
