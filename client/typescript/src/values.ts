/** Short forms of the contract's messages. */
import type { MessageInitShape } from "@bufbuild/protobuf";
import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import type { Money, MoneySchema } from "./gen/google/type/money_pb.js";
import type { ShopperSchema } from "./gen/sightline/common/v1/event_pb.js";
import { Comparison_Operator, type FilterSchema, type FilterValueSchema } from "./gen/sightline/common/v1/filter_pb.js";
import type { Signal } from "./photos.js";

/** An amount of money. */
export type MoneyInit = Exclude<MessageInitShape<typeof MoneySchema>, { $typeName: string }>;
/** A condition on products. */
export type FilterInit = Exclude<MessageInitShape<typeof FilterSchema>, { $typeName: string }>;
/** A shopper. */
export type ShopperInit = Exclude<MessageInitShape<typeof ShopperSchema>, { $typeName: string }>;
/** A value that a field is compared with; a number is an Availability where the field is "availability". */
export type FilterLiteral = string | number | boolean | Date | MoneyInit;

const AMOUNT = /^(\d+)(?:\.(\d{1,9}))?$/;

/** Return an amount: `money("12.50", "EUR")`. Throw TypeError for a text that is no amount. */
export function money(amount: string, currencyCode: string): MoneyInit {
  const [, units, decimals = ""] = AMOUNT.exec(amount) ?? [];
  if (units === undefined) throw new TypeError(`an amount is a text such as "12.50", not ${JSON.stringify(amount)}`);
  return { currencyCode, units: BigInt(units), nanos: Number(decimals.padEnd(9, "0")) };
}

/** Return an amount as text, with at least two decimals: "12.50 EUR". */
export function formatMoney({ currencyCode = "", units = 0n, nanos = 0 }: MoneyInit | Money): string {
  const decimals = String(nanos).padStart(9, "0").replace(/0{1,7}$/, "");
  return `${units}.${decimals} ${currencyCode}`;
}

/** Return a known customer. */
export function user(id: string): ShopperInit {
  return { identity: { case: "userId", value: id } };
}

/** Return a visitor who is not logged in. */
export function visitor(id: string): ShopperInit {
  return { identity: { case: "visitorId", value: id } };
}

/** Return a signal from a text. */
export function textSignal(text: string): Signal {
  return { content: { case: "text", value: text } };
}

/** Return a signal from a product of the catalog. */
export function productSignal(productId: string): Signal {
  return { content: { case: "productId", value: productId } };
}

/** Comparisons of one field. */
export interface FieldFilters {
  equals(value: FilterLiteral): FilterInit;
  notEquals(value: FilterLiteral): FilterInit;
  less(value: FilterLiteral): FilterInit;
  atMost(value: FilterLiteral): FilterInit;
  greater(value: FilterLiteral): FilterInit;
  atLeast(value: FilterLiteral): FilterInit;
  contains(value: string): FilterInit;
  isIn(...values: FilterLiteral[]): FilterInit;
  isKnown(): FilterInit;
}

/** Return the comparisons of a field: `field("price").less(money("30", "EUR"))`. docs/integrate/filters.md lists fields. */
export function field(name: string): FieldFilters {
  const value = (given: FilterLiteral): MessageInitShape<typeof FilterValueSchema> => ({ kind: literal(name, given) });
  const compared = (operator: Comparison_Operator) => (given: FilterLiteral): FilterInit => ({
    expression: { case: "comparison", value: { field: name, operator, value: value(given) } },
  });
  return {
    equals: compared(Comparison_Operator.EQUAL),
    notEquals: compared(Comparison_Operator.NOT_EQUAL),
    less: compared(Comparison_Operator.LESS),
    atMost: compared(Comparison_Operator.LESS_OR_EQUAL),
    greater: compared(Comparison_Operator.GREATER),
    atLeast: compared(Comparison_Operator.GREATER_OR_EQUAL),
    contains: compared(Comparison_Operator.CONTAINS),
    isIn: (...values) => ({ expression: { case: "membership", value: { field: name, values: values.map(value) } } }),
    isKnown: () => ({ expression: { case: "existence", value: { field: name } } }),
  };
}

type FilterArgument = MessageInitShape<typeof FilterSchema>;

/** Return a filter that passes if every one of these passes. */
export function all(...filters: FilterArgument[]): FilterInit {
  return { expression: { case: "all", value: { filters } } };
}

/** Return a filter that passes if at least one of these passes. */
export function any(...filters: FilterArgument[]): FilterInit {
  return { expression: { case: "any", value: { filters } } };
}

/** Return a filter that passes if this one does not. */
export function not(filter: FilterArgument): FilterInit {
  return { expression: { case: "not", value: filter } };
}

function literal(name: string, given: FilterLiteral): MessageInitShape<typeof FilterValueSchema>["kind"] & object {
  if (typeof given === "string") return { case: "text", value: given };
  if (typeof given === "boolean") return { case: "flag", value: given };
  if (given instanceof Date) return { case: "time", value: timestampFromDate(given) };
  if (typeof given !== "number") return { case: "money", value: given };
  return name === "availability" ? { case: "availability", value: given } : { case: "number", value: given };
}
