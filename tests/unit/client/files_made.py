"""Files that tests write: exports of other systems, with all their documented columns."""

import csv
import json
from dataclasses import dataclass, field, replace
from pathlib import Path


def _names(header: str) -> list[str]:
    return header.split(",")


COLUMNS = ("id", "title", "price", "images")

SHOPIFY = _names(
    "Handle,Title,Body (HTML),Vendor,Product Category,Type,Tags,Published,Option1 Name,"
    "Option1 Value,Option1 Linked To,Option2 Name,Option2 Value,Option2 Linked To,Option3 Name,"
    "Option3 Value,Option3 Linked To,Variant SKU,Variant Grams,Variant Inventory Tracker,"
    "Variant Inventory Qty,Variant Inventory Policy,Variant Fulfillment Service,Variant Price,"
    "Variant Compare At Price,Variant Requires Shipping,Variant Taxable,"
    "Unit Price Total Measure,Unit Price Total Measure Unit,Unit Price Base Measure,"
    "Unit Price Base Measure Unit,Variant Barcode,Image Src,Image Position,Image Alt Text,"
    "Gift Card,SEO Title,SEO Description,Google Shopping / Google Product Category,"
    "Google Shopping / Gender,Google Shopping / Age Group,Google Shopping / MPN,"
    "Google Shopping / Condition,Google Shopping / Custom Product,"
    "Google Shopping / Custom Label 0,Fabric (product.metafields.shopify.fabric),"
    "Variant Image,Variant Weight Unit,Variant Tax Code,Cost per item,"
    "Included / United States,Price / United States,Compare At Price / United States,"
    "Included / International,Price / International,Compare At Price / International,Status"
)
SHOPIFY_TODAY = _names(
    "Title,URL handle,Description,Vendor,Product category,Type,Tags,Published on online store,"
    "Status,SKU,Barcode,Option1 name,Option1 value,Option1 Linked To,Option2 name,Option2 value,"
    "Option2 Linked To,Option3 name,Option3 value,Option3 Linked To,Price,Compare-at price,"
    "Cost per item,Charge tax,Tax code,Unit price total measure,Unit price total measure unit,"
    "Unit price base measure,Unit price base measure unit,Inventory tracker,Inventory quantity,"
    "Continue selling when out of stock,Weight value (grams),Weight unit for display,"
    "Requires shipping,Fulfillment service,Product image URL,Image position,Image alt text,"
    "Variant image URL,Gift card,SEO title,SEO description,"
    "Color (product.metafields.shopify.color-pattern),"
    "Google Shopping / Google product category,Google Shopping / Gender,"
    "Google Shopping / Age group,Google Shopping / Manufacturer part number (MPN),"
    "Google Shopping / Ad group name,Google Shopping / Ads labels,Google Shopping / Condition,"
    "Google Shopping / Custom product,Google Shopping / Custom label 0"
)
WOOCOMMERCE = [
    *_names("ID,Type,SKU"),
    "GTIN, UPC, EAN, or ISBN",
    *_names(
        "Name,Published,Is featured?,Visibility in catalog,Short description,Description,"
        "Date sale price starts,Date sale price ends,Tax status,Tax class,In stock?,Stock,"
        "Low stock amount,Backorders allowed?,Sold individually?,Weight (kg),Length (cm),"
        "Width (cm),Height (cm),Allow customer reviews?,Purchase note,Sale price,Regular price,"
        "Categories,Tags,Shipping class,Images,Download limit,Download expiry days,Parent,"
        "Grouped products,Upsells,Cross-sells,External URL,Button text,Position,Brands,"
        "Cost of goods,Attribute 1 name,Attribute 1 value(s),Attribute 1 visible,"
        "Attribute 1 global,Attribute 1 default,Meta: _wpcom_is_markdown,Download 1 ID,"
        "Download 1 name,Download 1 URL"
    ),
]
MERCHANT = _names(
    "id,title,structured_title,description,structured_description,link,image_link,"
    "additional_image_link,lifestyle_image_link,virtual_model_link,mobile_link,availability,"
    "availability_date,cost_of_goods_sold,expiration_date,price,sale_price,"
    "sale_price_effective_date,unit_pricing_measure,unit_pricing_base_measure,installment,"
    "subscription_cost,loyalty_program,auto_pricing_min_price,maximum_retail_price,"
    "google_product_category,product_type,brand,gtin,mpn,identifier_exists,condition,adult,"
    "multipack,is_bundle,certification,energy_efficiency_class,min_energy_efficiency_class,"
    "max_energy_efficiency_class,age_group,color,gender,material,pattern,size,size_type,"
    "size_system,item_group_id,product_length,product_width,product_height,product_weight,"
    "product_detail,product_highlight,ads_redirect,custom_label_0,custom_label_4,promotion_id,"
    "excluded_destination,included_destination,shopping_ads_excluded_country,pause,shipping,"
    "shipping_label,shipping_weight,shipping_length,shipping_width,shipping_height,"
    "ships_from_country,max_handling_time,min_handling_time,transit_time_label,"
    "free_shipping_threshold,tax,tax_category,content_language,target_country,channel"
)
GA4 = _names(
    "event_date,event_timestamp,event_name,event_params,event_previous_timestamp,"
    "event_value_in_usd,event_bundle_sequence_id,event_server_timestamp_offset,user_id,"
    "user_pseudo_id,privacy_info,user_properties,user_first_touch_timestamp,user_ltv,device,geo,"
    "app_info,traffic_source,stream_id,platform,event_dimensions,ecommerce,items,"
    "collected_traffic_source,is_active_user,batch_event_index,batch_page_id,batch_ordering_id,"
    "session_traffic_source_last_click,publisher"
)
RETAIL = _names(
    "name,id,type,primaryProductId,collectionMemberIds,gtin,categories,title,brands,description,"
    "languageCode,attributes,tags,priceInfo,rating,expireTime,ttl,availableTime,availability,"
    "availableQuantity,fulfillmentInfo,uri,images,audience,colorInfo,sizes,materials,patterns,"
    "conditions,promotions,publishTime,retrievableFields,variants,localInventories"
)
RETAIL_EVENTS = _names(
    "eventType,visitorId,eventId,eventTime,experimentIds,attributionToken,productDetails,"
    "completionDetail,attributes,cartId,purchaseTransaction,searchQuery,filter,orderBy,offset,"
    "pageCategories,userInfo,uri,referrerUri,pageViewId,sessionId,entity,panels"
)

MAGENTO = _names(
    "sku,store_view_code,attribute_set_code,product_type,categories,product_websites,name,"
    "description,short_description,weight,product_online,tax_class_name,visibility,price,"
    "special_price,special_price_from_date,special_price_to_date,url_key,meta_title,meta_keywords,"
    "meta_description,base_image,base_image_label,small_image,small_image_label,thumbnail_image,"
    "thumbnail_image_label,swatch_image,swatch_image_label,created_at,updated_at,new_from_date,"
    "new_to_date,display_product_options_in,map_price,msrp_price,map_enabled,"
    "gift_message_available,custom_design,custom_design_from,custom_design_to,"
    "custom_layout_update,page_layout,product_options_container,msrp_display_actual_price_type,"
    "country_of_manufacture,additional_attributes,qty,out_of_stock_qty,use_config_min_qty,"
    "is_qty_decimal,allow_backorders,use_config_backorders,min_cart_qty,use_config_min_sale_qty,"
    "max_cart_qty,use_config_max_sale_qty,is_in_stock,notify_on_stock_below,"
    "use_config_notify_stock_qty,manage_stock,use_config_manage_stock,use_config_qty_increments,"
    "qty_increments,use_config_enable_qty_inc,enable_qty_increments,is_decimal_divided,website_id,"
    "deferred_stock_update,use_config_deferred_stock_update,related_skus,related_position,"
    "crosssell_skus,crosssell_position,upsell_skus,upsell_position,additional_images,"
    "additional_image_labels,hide_from_product_page,custom_options,bundle_price_type,"
    "bundle_sku_type,bundle_price_view,bundle_weight_type,bundle_values,bundle_shipment_type,"
    "associated_skus,downloadable_links,downloadable_samples,configurable_variations,"
    "configurable_variation_labels,_media_attribute_id"
)
SHOPWARE = _names(
    "id,parent_id,product_number,active,stock,name,description,price_net,price_gross,"
    "purchase_prices_net,purchase_prices_gross,tax_id,tax_rate,tax_name,cover_media_id,"
    "cover_media_url,cover_media_title,cover_media_alt,manufacturer_id,manufacturer_name,"
    "categories,sales_channel,propertyIds,optionIds"
)
SHOPWARE_5 = _names(
    "ordernumber,mainnumber,name,additionalText,supplier,tax,price_EK,pseudoprice_EK,baseprice_EK,"
    "from_EK,to_EK,price_H,active,instock,stockmin,description,description_long,shippingtime,added,"
    "changed,releasedate,shippingfree,topseller,metatitle,keywords,minpurchase,purchasesteps,"
    "maxpurchase,purchaseunit,referenceunit,packunit,unitID,pricegroupID,pricegroupActive,"
    "laststock,suppliernumber,weight,width,height,length,ean,similar,configuratorsetID,"
    "configuratortype,configuratorOptions,categories,propertyGroupName,propertyValueName,"
    "accessory,imageUrl,main,attr1,attr2,attr3,purchasePrice,variantId_2,articleId_2,name_2"
)
AKENEO = _names(
    "uuid,identifier,sku,family,parent,family_variant,categories,enabled,groups,name-en_US,"
    "name-de_DE,description-en_US-ecommerce,price-EUR,price-USD,picture,color,weight,weight-unit,"
    "X_SELL-groups,X_SELL-products,X_SELL-product_models,SET-products,SET-products-quantity"
)


@dataclass(frozen=True)
class Made:
    """A file of an export."""

    name: str
    shape: str
    columns: list[str]
    values: list[dict[str, object]]
    """Columns with values of each row."""
    joined: int = 0
    """Rows that are part of another one."""
    events: bool = False
    more: dict[str, object] = field(default_factory=dict)
    """Further columns, with a value for all rows."""

    @property
    def rows(self) -> int:
        return len(self.values)

    def write(self, folder: Path) -> Path:
        names = [*self.columns, *self.more]
        rows = [dict.fromkeys(names, "") | self.more | row for row in self.values]
        tabular = not any(isinstance(cell, dict | list) for row in rows for cell in row.values())
        path = folder / f"{self.name}.{'csv' if tabular else 'jsonl'}"
        with path.open("w", newline="", encoding="utf-8") as file:
            if tabular:
                writer = csv.DictWriter(file, names)
                writer.writeheader()
                writer.writerows(rows)
            else:
                file.writelines(json.dumps(row) + "\n" for row in rows)
        return path


def shopify() -> Made:
    first = {"Handle": "hat", "Title": "Hat", "Option1 Name": "Size", "Option1 Value": "S"}
    stock = {"Variant Inventory Tracker": "shopify", "Variant Inventory Qty": "4"}
    rows: list[dict[str, object]] = [
        first | stock | {"Variant SKU": "hat-s", "Variant Price": "20", "Status": "active"},
        {"Handle": "hat", "Option1 Value": "M", "Variant SKU": "hat-m", "Variant Price": "21"},
        {"Handle": "hat", "Image Src": "https://cdn.example.com/hat.jpg"},
        {"Handle": "mug", "Title": "Mug", "Variant SKU": "mug", "Variant Price": "9"},
    ]
    return Made("shopify", "shopify", SHOPIFY, rows, joined=1)


def woocommerce() -> Made:
    rows: list[dict[str, object]] = [
        {"ID": "2", "Type": "variation", "SKU": "l-s", "Name": "Lamp S", "Parent": "id:1"},
        {"ID": "1", "Type": "variable", "SKU": "l", "Name": "Lamp", "Categories": "Home > Lamps"},
        {"ID": "3", "Type": "simple", "SKU": "p", "Name": "Pan", "Published": "-1"},
    ]
    return Made("woocommerce", "woocommerce", WOOCOMMERCE, rows)


def magento() -> Made:
    variant = {"product_type": "simple", "visibility": "Not Visible Individually", "price": "9"}
    group = {"product_type": "configurable", "categories": "Root/Home,Root/Home/Lamps"}
    rows: list[dict[str, object]] = [
        variant | {"sku": "l-s", "name": "Lamp S"},
        {"sku": "l", "name": "Lamp", "configurable_variations": "sku=l-s,size=S"} | group,
        {"sku": "l", "name": "Lampe", "store_view_code": "de"},
    ]
    return Made("magento", "magento", MAGENTO, rows)


def exports() -> list[Made]:
    """Return a file of each export that is known."""
    today = {
        "Handle": "URL handle",
        "Option1 Name": "Option1 name",
        "Option1 Value": "Option1 value",
        "Variant SKU": "SKU",
        "Variant Price": "Price",
        "Variant Inventory Tracker": "Inventory tracker",
        "Variant Inventory Qty": "Inventory quantity",
        "Image Src": "Product image URL",
    }
    older = shopify()
    rows = [{today.get(name, name): cell for name, cell in row.items()} for row in older.values]
    at = {"event_timestamp": "1764113100123457", "user_pseudo_id": "1.2"}
    view = {"eventType": "detail-page-view", "visitorId": "v", "eventTime": "2026-03-01T12:00:00Z"}
    return [
        older,
        replace(older, name="shopify-today", columns=SHOPIFY_TODAY, values=rows),
        woocommerce(),
        Made(
            "merchant",
            "google-merchant",
            MERCHANT,
            [{"id": "1", "title": "Pan", "link": "https://e.com/1", "price": "9 EUR"}],
        ),
        magento(),
        Made(
            "shopware",
            "shopware",
            SHOPWARE,
            [
                {"id": "b", "parent_id": "a", "product_number": "l-s", "stock": "3"},
                {"id": "a", "product_number": "l", "name": "Lamp", "price_gross": "12"},
            ],
        ),
        Made(
            "shopware-5",
            "shopware-5",
            SHOPWARE_5,
            [{"ordernumber": "l", "mainnumber": "l", "name": "Lamp", "price_EK": "12"}],
        ),
        Made(
            "akeneo",
            "akeneo",
            AKENEO,
            [{"sku": "l", "name-en_US": "Lamp", "family": "lamps", "price-EUR": "12"}],
        ),
        Made(
            "retail",
            "google-retail",
            RETAIL,
            [{"id": "1", "title": "Pan", "priceInfo": {"price": 9, "currencyCode": "EUR"}}],
        ),
        Made(
            "ga4",
            "ga4",
            GA4,
            [
                at | {"event_name": "view_item", "items": [{"item_id": "1"}, {"item_id": "2"}]},
                at | {"event_name": "view_item", "items": [{"item_id": "(not set)"}]},
                at | {"event_name": "page_view"},
                at
                | {
                    "event_name": "view_item",
                    "items": [{"item_id": "1"}],
                    "privacy_info": {"analytics_storage": "No"},
                },
            ],
            events=True,
        ),
        Made(
            "retail-events",
            "google-retail",
            RETAIL_EVENTS,
            [view | {"productDetails": [{"product": {"id": "1"}}]}, view | {"eventType": "home"}],
            events=True,
        ),
    ]
