"""Currency codes of ISO 4217 for prices, without those of metals, funds and tests."""

_TABLE = """
AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BGN BHD BIF BMD BND BOB BRL BSD BTN BWP BYN BZD
CAD CDF CHF CLP CNY COP CRC CUP CVE CZK DJF DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP
GMD GNF GTQ GYD HKD HNL HTG HUF IDR ILS INR IQD IRR ISK JMD JOD JPY KES KGS KHR KMF KPW KRW KWD
KYD KZT LAK LBP LKR LRD LSL LYD MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MYR MZN NAD NGN
NIO NOK NPR NZD OMR PAB PEN PGK PHP PKR PLN PYG QAR RON RSD RUB RWF SAR SBD SCR SDG SEK SGD SHP
SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT TND TOP TRY TTD TWD TZS UAH UGX USD UYU UZS VED VES
VND VUV WST XAF XCD XCG XOF XPF YER ZAR ZMW ZWG
"""
CODES = frozenset(_TABLE.split())
_WHOLE = "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX VND VUV XAF XOF XPF"
WHOLE = frozenset(_WHOLE.split())
"""Those without a smaller unit: their amounts have no decimals."""
MARKS = {
    "€": "EUR",
    **{"us$": "USD", "c$": "CAD", "ca$": "CAD", "a$": "AUD", "au$": "AUD", "nz$": "NZD"},
    **{"hk$": "HKD", "s$": "SGD", "nt$": "TWD", "mx$": "MXN", "r$": "BRL", "us $": "USD"},
    **{"£": "GBP", "zł": "PLN", "₹": "INR", "₩": "KRW", "kč": "CZK", "₺": "TRY", "₫": "VND"},
    **{"₪": "ILS", "₴": "UAH", "₸": "KZT", "₦": "NGN", "₱": "PHP", "cn¥": "CNY", "jp¥": "JPY"},
    **{"円": "JPY", "日元": "JPY", "yen": "JPY", "人民币": "CNY", "人民幣": "CNY", "rmb": "CNY"},
    **{"euro": "EUR", "euros": "EUR", "fr.": "CHF", "sfr.": "CHF", "sfr": "CHF", "₽": "RUB"},
    **{"港币": "HKD", "港元": "HKD", "美元": "USD", "欧元": "EUR", "ユーロ": "EUR", "ft": "HUF"},
}
"""Sign of a currency, in lower case → its code."""
_DOLLARS = """
USD AUD CAD ARS BBD BMD BND BSD BZD CLP COP CVE DOP FJD GYD HKD JMD KYD LRD MXN NAD NIO NZD SBD SGD
SRD TTD TWD UYU XCD
"""
SHARED = {
    "$": tuple(_DOLLARS.split()),
    "¥": ("JPY", "CNY"),
    "元": ("CNY", "TWD", "HKD"),
    "kr": ("SEK", "NOK", "DKK", "ISK"),
    "kr.": ("DKK", "SEK", "NOK", "ISK"),
}
"""Signs that several currencies have."""
