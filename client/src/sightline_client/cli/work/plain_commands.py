"""Commands that make one call, or start one job, each described by one entry."""

import inspect
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Annotated, Any, TypeVar

import typer
from google.protobuf.descriptor import FieldDescriptor, MethodDescriptor, ServiceDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from rich.console import RenderableType
from rich.text import Text

from sightline.common.v1 import job_service_pb2
from sightline.gateway.v1 import (
    admin_service_pb2,
    catalog_service_pb2,
    recommendation_service_pb2,
    watch_service_pb2,
    webhook_service_pb2,
)
from sightline_client.cli.base import options
from sightline_client.cli.base.group import Commands
from sightline_client.cli.base.suite import Suite
from sightline_client.cli.language import _
from sightline_client.cli.show.value_tables import ValueTable
from sightline_client.cli.work import following
from sightline_client.values.operations import Job

T = TypeVar("T")
V = TypeVar("V")
REQUIRED = inspect.Parameter.empty
_SERVICES: Mapping[str, ServiceDescriptor] = MappingProxyType(
    {
        "admin": admin_service_pb2.DESCRIPTOR.services_by_name["AdminService"],
        "catalog": catalog_service_pb2.DESCRIPTOR.services_by_name["CatalogService"],
        "jobs": job_service_pb2.DESCRIPTOR.services_by_name["JobService"],
        "recommendation": recommendation_service_pb2.DESCRIPTOR.services_by_name[
            "RecommendationService"
        ],
        "watches": watch_service_pb2.DESCRIPTOR.services_by_name["WatchService"],
        "webhooks": webhook_service_pb2.DESCRIPTOR.services_by_name["WebhookService"],
    }
)
"""Services by their attributes of ``Calls``."""


@dataclass(frozen=True, slots=True)
class Given:
    """A parameter that a command takes, and passes on."""

    name: str
    """Name of the parameter: an option without names of its own has this one."""
    kind: Any
    """Its annotation: a type with an option or argument."""
    default: Any = REQUIRED
    to: str = ""
    """Argument of the client's method, or field of the request; "" = the name."""
    by: Callable[[Any], Any] | None = None
    """Function that converts what was typed. BadParameter if it is wrong."""

    @property
    def parameter(self) -> inspect.Parameter:
        """Return it as a parameter of a function."""
        return inspect.Parameter(
            self.name, inspect.Parameter.KEYWORD_ONLY, default=self.default, annotation=self.kind
        )


Examples = str | Sequence[str]
Arguments = Mapping[str, Any]


class PlainCommands(Commands):
    """A group of commands, most of which make one call.

    In all of them ``help`` is the text of the help; ``examples`` are commands without "sightline",
    shown below it; ``given`` are the parameters; ``suite`` has the defaults of the connection.
    What is not given, or None, is left out of the call, so that the default of the method holds.
    """

    def __init__(self, *, table: ValueTable[Any] | None = None, **settings: Any) -> None:
        """``table``: shows what commands return that name no other way."""
        super().__init__(**{"no_args_is_help": True} | settings)
        self._table = table

    def call(
        self,
        name: str,
        help: str,
        examples: Examples,
        method: Callable[..., Awaitable[T]],
        *given: Given,
        shows: Callable[[T], RenderableType] | None = None,
        suite: Suite | None = None,
    ) -> None:
        """Add a command that calls a method of the client and shows what it returns."""
        _check(method, given)

        def work(suite: Suite, arguments: Arguments) -> None:
            suite.answer(lambda client: method(client, **arguments), shows or self._rows)

        self._add(name, _doc(help, examples), given, suite, work)

    def _rows(self, value: Any) -> RenderableType:
        """Show values, or one value, by the table of the group."""
        if self._table is None:
            raise TypeError("the group has no table: say what shows the answer")
        return self._table(value if isinstance(value, list | tuple) else [value])

    def message(
        self,
        name: str,
        help: str,
        examples: Examples,
        rpc: str,
        *given: Given,
        shows: Callable[[Any], RenderableType],
        suite: Suite | None = None,
    ) -> None:
        """Add a command that makes a call and shows its response. ``rpc``: attribute of ``Calls``
        and method, such as "jobs.ListJobs"; it names the catalog."""
        service, method = rpc.split(".")
        request = GetMessageClass(_method(rpc).input_type)
        request(**{each.to or each.name: None for each in given})  # ValueError: no such field

        def work(suite: Suite, arguments: Arguments) -> None:
            suite.call(
                lambda calls: getattr(getattr(calls, service), method),
                request(catalog_id=suite.catalog, **arguments),
                shows,
            )

        self._add(name, _doc(help, examples), given, suite, work)

    def rows(
        self,
        name: str,
        help: str,
        examples: Examples,
        rpc: str,
        *given: Given,
        reads: Callable[[Any], V],
        shows: Callable[[Sequence[V]], RenderableType] | None = None,
        suite: Suite | None = None,
    ) -> None:
        """Add a command that shows one page of a list, whose messages ``reads`` converts."""
        field = next(each for each in _method(rpc).output_type.fields if _holds_rows(each)).name

        def table(answer: Message) -> RenderableType:
            return (shows or self._rows)([*map(reads, getattr(answer, field))])

        self.message(name, help, examples, rpc, *given, shows=table, suite=suite)

    def job(
        self,
        name: str,
        help: str,
        examples: Examples,
        method: Callable[..., Awaitable[Job]],
        *given: Given,
        keeps: bool = False,
        suite: Suite | None = None,
    ) -> None:
        """Add a command that starts a job, and follows it with --wait. ``keeps``: see
        ``running.guarded``."""
        _check(method, given)

        def work(suite: Suite, arguments: Arguments) -> None:
            rest = dict(arguments)
            wait = rest.pop("wait")
            following.carry_out(
                suite, lambda client: method(client, **rest), wait=wait, keeps=keeps
            )

        self._add(name, _doc(help, examples), (*given, WAIT), suite, work)

    def _add(
        self,
        name: str,
        doc: str,
        given: Sequence[Given],
        suite: Suite | None,
        work: Callable[[Suite, Arguments], None],
    ) -> None:
        def command(*, suite: Suite, **values: Any) -> None:
            work(suite, arguments(given, values))

        ours = inspect.Parameter(
            "suite",
            inspect.Parameter.KEYWORD_ONLY,
            default=REQUIRED if suite is None else suite,
            annotation=Suite,
        )
        command.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
            [*(each.parameter for each in given), ours]
        )
        command.__doc__ = doc
        self.command(name)(command)


def argument(name: str, metavar: str, help: str, *, to: str = "") -> Given:
    """Return an argument that is an id."""
    return Given(name, Annotated[str, options.argument(metavar, help)], to=to)


def text(
    name: str, metavar: str, help: str, *, option: str = "", default: str | None = "", to: str = ""
) -> Given:
    """Return an option that is text. ``option``: its name, if it is not that of the parameter."""
    kind = str if default is not None else str | None
    made = options.words(*filter(None, [option]), metavar=metavar, help=help)
    return Given(name, _annotated(kind, made), default, to)


def texts(
    name: str, metavar: str, help: str, *, to: str = "", by: Callable[[Any], Any] | None = None
) -> Given:
    """Return an option that is repeated."""
    kind = Annotated[list[str] | None, options.words(f"--{name}", metavar=metavar, help=help)]
    return Given(name, kind, None, to, by)


def number(
    name: str, metavar: str, help: str, least: float, most: float, *, default: float, to: str = ""
) -> Given:
    """Return an option that is a number, of the type of its default, within a range."""
    kind = _annotated(type(default), options.number(metavar, help, least, most))
    return Given(name, kind, default, to)


def _annotated(kind: Any, option: Any) -> Any:
    return Annotated[kind, option]


def flag(name: str, help: str, *, option: str = "", to: str = "") -> Given:
    """Return an option without a value."""
    named = option or f"--{name.replace('_', '-')}"
    return Given(name, Annotated[bool, typer.Option(named, help=help)], default=False, to=to)


def top(help: str, default: int, most: int = 1000) -> Given:
    """Return the parameter --top of a list, which is the size of its page."""
    return number("top", "N", help, 1, most, default=default, to="page_size")


def etag(help: str) -> Given:
    """Return the parameter --etag."""
    return text("etag", "ETAG", help)


NEWEST = Given("top", options.Newest, 20, to="page_size")
WAIT = Given("wait", options.Wait, default=True)


def arguments(given: Sequence[Given], values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments of a call for the values that were typed."""
    return {
        each.to or each.name: value if each.by is None else each.by(value)
        for each in given
        if (value := values[each.name]) is not None
    }


def _check(method: Callable[..., object], given: Sequence[Given]) -> None:
    """TypeError if a method of the client has no such arguments."""
    inspect.signature(method).bind_partial(**{each.to or each.name: None for each in given})


def _doc(help: str, examples: Examples) -> str:
    shown = [examples] if isinstance(examples, str) else examples
    return "\n\n".join([inspect.cleandoc(help), *(f"sightline {each}" for each in shown)])


def deleted(absent: str) -> Callable[[bool], Text]:
    """Return what shows whether something was deleted; ``absent``: text if there was none."""
    return lambda done: Text(_("deleted") if done else _(absent))


def _method(rpc: str) -> MethodDescriptor:
    service, method = rpc.split(".")
    found: MethodDescriptor = _SERVICES[service].methods_by_name[method]
    return found


def _holds_rows(field: FieldDescriptor) -> bool:
    return field.is_repeated and field.message_type is not None
