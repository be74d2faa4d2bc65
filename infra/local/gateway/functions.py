"""SQL functions as PostgREST sees them: found by name and argument names, called with one JSON object."""

from collections.abc import Collection
from dataclasses import dataclass

from psycopg import sql

from infra.local.gateway.database import Connection
from infra.local.gateway.errors import RestError

_MAX_ROWS = 1000
_FIND = """
select
  coalesce(a.names, '{}'), coalesce(a.types, '{}'), coalesce(a.variadic, '{}'), p.pronargdefaults,
  p.provolatile <> 'v', p.proretset, p.prorettype = 'void'::regtype,
  t.typtype = 'c' or coalesce(p.proargmodes::text[] && '{t,b,o}', false),
  (select split_part(setting, '=', 2) from unnest(p.proconfig) setting
   where setting like 'statement_timeout=%%')
from pg_catalog.pg_proc p
join pg_catalog.pg_type t on t.oid = p.prorettype
cross join lateral (
  select array_agg(coalesce(i.name, '') order by i.place) as names,
         array_agg(format_type(i.type, null) order by i.place) as types,
         array_agg(i.mode = 'v' order by i.place) as variadic
  from unnest(coalesce(p.proallargtypes, p.proargtypes::oid[]), p.proargnames, p.proargmodes)
    with ordinality as i (type, name, mode, place)
  where coalesce(i.mode, 'i') in ('i', 'b', 'v')
) a
where p.pronamespace = 'public'::regnamespace and p.proname = %s and p.prokind = 'f'
"""


@dataclass(frozen=True, slots=True)
class Function:
    """One function of schema public, as declared."""

    name: str
    arguments: tuple[str, ...]
    types: tuple[str, ...]
    variadic: tuple[bool | None, ...]
    defaults: int
    read_only: bool
    returns_set: bool
    returns_void: bool
    returns_record: bool
    statement_timeout: str | None

    def takes(self, given: Collection[str]) -> bool:
        """Whether it can be called with exactly these argument names."""
        required = self.arguments[: len(self.arguments) - self.defaults]
        return "" not in self.arguments and set(required) <= set(given) <= set(self.arguments)

    def signature(self) -> str:
        """Its name and arguments, as PostgREST's messages have them."""
        pairs = zip(self.arguments, self.types, strict=True)
        return f"public.{self.name}({', '.join(f'{name} => {type_}' for name, type_ in pairs)})"


async def find_function(connection: Connection, name: str, given: Collection[str]) -> Function:
    """The one function that fits, looked up afresh each time: a replaced one is never stale.

    Raises `RestError` when none fits or several do.
    """
    rows = await (await connection.execute(_FIND, (name,))).fetchall()
    named = [Function(name, tuple(row[0]), tuple(row[1]), tuple(row[2]), *row[3:]) for row in rows]
    fitting = [function for function in named if function.takes(given)]
    if not fitting:
        raise _not_found(name, given, named)
    if len(fitting) > 1:
        candidates = ", ".join(function.signature() for function in fitting)
        raise RestError(
            300,
            "PGRST203",
            f"Could not choose the best candidate function between: {candidates}",
            hint="Try renaming the parameters or the function itself in the database so function "
            "overloading can be resolved",
        )
    return fitting[0]


def call_statement(function: Function, given: Collection[str], *, count: bool) -> sql.Composed:
    """A statement of one parameter, the arguments as JSON. It answers: the rows as JSON, how many, and how
    many there would be without the cap (null unless counted).

    Arguments are cast by `json_to_record`, as in PostgREST: that decides which JSON fits which type.
    """
    used = [i for i, name in enumerate(function.arguments) if name in given]
    arguments = sql.SQL(", ").join(
        sql.SQL("{variadic}{name} => arguments.{name}").format(
            variadic=sql.SQL("variadic ") if function.variadic[i] else sql.SQL(""),
            name=sql.Identifier(function.arguments[i]),
        )
        for i in used
    )
    columns = sql.SQL(", ").join(
        sql.Identifier(function.arguments[i]) + sql.SQL(" ") + sql.SQL(function.types[i]) for i in used
    )
    record = sql.SQL("json_to_record(%s::json) as arguments ({}), ").format(columns)
    return sql.SQL(
        "with _source as (select _row.* from {record}lateral public.{name}({arguments}) as {alias}),"
        " _page as (select * from _source limit {limit})"
        " select coalesce(json_agg({item}), '[]')::text, count(*), {total} from _page"
    ).format(
        record=record if used else sql.SQL("(select %s::json) as arguments, "),
        name=sql.Identifier(function.name),
        arguments=arguments,
        alias=sql.SQL("_row" if function.returns_record else "_row (_value)"),
        limit=sql.Literal(_MAX_ROWS),
        item=sql.SQL("_page" if function.returns_record else "_page._value"),
        total=sql.SQL("(select count(*) from _source)" if count else "null"),
    )


def _not_found(name: str, given: Collection[str], named: list[Function]) -> RestError:
    words = ", ".join(sorted(given))
    searched = f"with parameters {words}" if words else "without parameters"
    hint = None
    if named:
        hint = f"Perhaps you meant to call the function public.{name}({', '.join(named[0].arguments)})"
    return RestError(
        404,
        "PGRST202",
        f"Could not find the function public.{name}{f'({words})' if words else ' without parameters'} "
        "in the schema cache",
        f"Searched for the function public.{name} {searched}, but no matches were found in the schema cache.",
        hint,
    )
