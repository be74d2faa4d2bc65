-- What `pixseek doctor` looks at from inside: whether all that the migrations have made is there, as they made it.

-- Rather fail and be run again than make a live project wait.
set local lock_timeout = '5s';
set local statement_timeout = '60s';

-- The API's roles that a caller can have.
create function pixseek.caller_roles() returns text[]
language sql immutable
set search_path = ''
return array['anon', 'authenticated', 'service_role'];

-- Each function by its signature: who may call it, and whether it may be called without arguments and changes nothing.
-- Those of extensions are not ours; those that models have of their own come with the partitions. Types are named
-- without the schema of pgvector, which differs from project to project.
create function pixseek.functions_here() returns jsonb
language sql stable
set search_path = ''
as $$
  with pgvector as (
    select coalesce(max(e.extnamespace), 0) as schema_id from pg_extension e where e.extname = 'vector'
  )
  select coalesce(jsonb_object_agg(
    format('%s.%s(%s)', p.pronamespace::regnamespace, p.proname, coalesce(a.types, '')),
    jsonb_build_object(
      'callers', array(
        select r from unnest(pixseek.caller_roles()) r where has_function_privilege(r, p.oid, 'execute')
      ),
      'is_plain_read', p.provolatile <> 'v' and p.pronargs = p.pronargdefaults and p.prokind = 'f'
    )
  ), '{}')
  from pg_proc p
  cross join pgvector v
  cross join lateral (
    select string_agg(
      case when t.typnamespace in ('pg_catalog'::regnamespace, v.schema_id) then t.typname
           else t.typnamespace::regnamespace || '.' || t.typname end,
      ', ' order by g.place
    ) as types
    from unnest(p.proargtypes) with ordinality g (type_id, place)
    join pg_type t on t.oid = g.type_id
  ) a
  where (p.pronamespace = to_regnamespace('public')
      or p.pronamespace = to_regnamespace('pixseek') and p.proname !~ '^scan_[0-9]+$')
    and not exists (select from pg_depend d where d.objid = p.oid and d.deptype = 'e');
$$;

-- Each table and view: what its rows are guarded by, who may do what, and its triggers and indexes. A policy that lets
-- all rows through is marked: expressions are printed otherwise by each version of Postgres. Partitions have a list of
-- their own.
create function pixseek.tables_here() returns jsonb
language sql stable
set search_path = ''
as $$
  select coalesce(jsonb_object_agg(format('%s.%s', c.relnamespace::regnamespace, c.relname), jsonb_build_object(
    'row_security', c.relrowsecurity,
    'policies', array(
      select format(
        '%s: %s to %s%s%s', p.polname, p.polcmd,
        (select string_agg(coalesce(r.rolname, 'public'), ', ' order by r.rolname)
         from unnest(p.polroles) i left join pg_roles r on r.oid = i),
        case when pg_get_expr(p.polqual, c.oid) = 'true' then ', all rows' end,
        case when pg_get_expr(p.polwithcheck, c.oid) = 'true' then ', all new rows' end
      )
      from pg_policy p where p.polrelid = c.oid order by p.polname
    ),
    'grants', array(
      select r || ': ' || w
      from unnest(pixseek.caller_roles()) r, unnest(array['select', 'insert', 'update', 'delete', 'truncate']) w
      where has_table_privilege(r, c.oid, w) and (w <> 'truncate' or c.relkind <> 'v')
      order by r, w
    ),
    'triggers', array(
      select t.tgname from pg_trigger t
      where t.tgrelid = c.oid and not t.tgisinternal and t.tgenabled <> 'D' order by t.tgname
    ),
    'indexes', coalesce((
      select jsonb_object_agg(x.relname, pg_get_indexdef(x.oid))
      from pg_index i join pg_class x on x.oid = i.indexrelid where i.indrelid = c.oid
    ), '{}')
  )), '{}')
  from pg_class c
  where c.oid = to_regclass('public.images')
    or c.relnamespace = to_regnamespace('pixseek') and c.relkind in ('r', 'p', 'v') and not c.relispartition;
$$;

-- The vectors of each model that is kept: their guards, and whether a sound HNSW index and the function that scans it
-- are there.
create function pixseek.partitions_here() returns jsonb
language sql stable
set search_path = ''
as $$
  select coalesce(jsonb_agg(jsonb_build_object(
    'table', c.relname, 'model', m.name, 'dimensions', m.dimensions, 'row_security', c.relrowsecurity,
    'readers', array(
      select r from unnest(array['anon', 'authenticated']) r
      where has_table_privilege(r, c.oid, 'select, insert, update, delete')
    ),
    'has_index', exists (
      select from pg_index i
      join pg_class x on x.oid = i.indexrelid
      join pg_am a on a.oid = x.relam and a.amname = 'hnsw'
      where i.indrelid = c.oid and i.indisvalid and i.indisready
    ),
    'has_scan', exists (
      select from pg_proc p
      where p.pronamespace = c.relnamespace and p.proname = format('scan_%s', m.id)
        and not exists (
          select from unnest(pixseek.caller_roles()) r where not has_function_privilege(r, p.oid, 'execute')
        )
    )
  ) order by m.id), '[]')
  from pixseek.models m
  join pg_class c on c.oid = to_regclass(format('pixseek.vectors_%s', m.id))
  where m.state <> 'dropped';
$$;

-- A text that only whoever has it, too, can tell by this; null without a salt.
create function pixseek.digest_of(content text, salt text) returns text
language sql stable
set search_path = ''
return encode(sha256(convert_to(salt || content, 'UTF8')), 'hex');

-- Of the webhook's secrets in Vault that are set: digests by names. Null where Vault is not. What cannot be decrypted is
-- a fault to tell, not to fail with.
create function pixseek.vault_here(salt text) returns jsonb
language plpgsql stable
set search_path = ''
as $$
declare
  secrets jsonb;
begin
  if to_regclass('vault.decrypted_secrets') is not null then
    execute $query$
      select coalesce(jsonb_object_agg(s.name, pixseek.digest_of(s.decrypted_secret, $1)), '{}')
      from vault.decrypted_secrets s
      where s.name in ('pixseek_index_url', 'pixseek_webhook_secret') and s.decrypted_secret <> ''
    $query$ into secrets using salt;
  end if;
  return jsonb_build_object('secrets', secrets);
exception
  when others then
    return jsonb_build_object('fault', sqlstate);
end
$$;

-- How many of pg_net's posts of the last hour, pixseek's and others', were answered with each status; -1: not at all.
-- Null where pg_net is not.
create function pixseek.posts_here() returns jsonb
language plpgsql stable
set search_path = ''
as $$
declare
  posts jsonb;
begin
  if to_regclass('net._http_response') is not null then
    execute $query$
      select coalesce(jsonb_object_agg(c.status, c.posts), '{}')
      from (
        select coalesce(r.status_code, -1) as status, count(*) as posts
        from net._http_response r where r.created > now() - interval '1 hour' group by 1
      ) c
    $query$ into posts;
  end if;
  return jsonb_build_object('by_status', posts);
exception
  when others then
    return jsonb_build_object('fault', sqlstate);
end
$$;

-- What the hosted webhook needs (supabase/hosted/webhook.sql); its trigger is null when there is none.
create function pixseek.webhook_here(salt text) returns jsonb
language sql stable
set search_path = ''
as $$
  select jsonb_build_object(
    'trigger', (
      select jsonb_build_object(
        'is_enabled', t.tgenabled <> 'D',
        'function', format('%s.%s', p.pronamespace::regnamespace, p.proname)
      )
      from pg_trigger t join pg_proc p on p.oid = t.tgfoid
      where t.tgrelid = to_regclass('storage.objects') and t.tgname = 'pixseek_post_webhook'
    ),
    'has_pg_net', exists (
      select from pg_proc p where p.pronamespace = to_regnamespace('net') and p.proname = 'http_post'
    ),
    'vault', pixseek.vault_here(salt),
    'posts', pixseek.posts_here()
  );
$$;

-- The policies of Storage's objects, and whether pixseek's own have to be among them (supabase/hosted/policies.sql):
-- when some bucket is under them, which a later migration notes.
create function pixseek.storage_here() returns jsonb
language sql stable
set search_path = ''
as $$
  select jsonb_build_object(
    'row_security', (select c.relrowsecurity from pg_class c where c.oid = to_regclass('storage.objects')),
    'needs_policies', exists (
      select from pixseek.buckets b
      where b.provider = 'supabase' and coalesce((to_jsonb(b) ->> 'has_policies')::boolean, false)
    ),
    'policies', coalesce((
      select jsonb_agg(jsonb_build_object(
        'name', p.polname,
        'roles', array(
          select coalesce(r.rolname, 'public') from unnest(p.polroles) i left join pg_roles r on r.oid = i order by 1
        ),
        'lets_all_through', p.polpermissive and (
          coalesce(pg_get_expr(p.polqual, p.polrelid) = 'true', false)
          or coalesce(pg_get_expr(p.polwithcheck, p.polrelid) = 'true', false)
        )
      ) order by p.polname)
      from pg_policy p where p.polrelid = to_regclass('storage.objects')
    ), '[]')
  );
$$;

-- The versions of the migrations that are on record; null where they were applied by hand.
create function pixseek.migrations_here() returns jsonb
language plpgsql stable
set search_path = ''
as $$
declare
  versions text[];
begin
  if to_regclass('supabase_migrations.schema_migrations') is not null then
    execute 'select array(select m.version from supabase_migrations.schema_migrations m order by m.version)'
    into versions;
  end if;
  return jsonb_build_object('versions', versions);
exception
  when others then
    return jsonb_build_object('fault', sqlstate);
end
$$;

-- All of it. Security definer: neither Vault nor the record of migrations is service_role's to read. No secret and no
-- row of anybody's pictures is in the answer; with a salt, which should be new each time, digests tell whoever has the
-- webhook's address and secret, too, that they are the same.
create function public.doctor_v1(salt text default null) returns jsonb
language sql stable security definer
set search_path = ''
set statement_timeout = '30s'
as $$
  select jsonb_build_object(
    'now', clock_timestamp(),
    'pgvector', (select e.extversion from pg_extension e where e.extname = 'vector'),
    'migrations', pixseek.migrations_here(),
    'db_schema', jsonb_build_object('functions', pixseek.functions_here(), 'tables', pixseek.tables_here()),
    'partitions', pixseek.partitions_here(),
    'broken_indexes', array(
      select x.relname from pg_index i join pg_class x on x.oid = i.indexrelid
      where x.relnamespace = to_regnamespace('pixseek') and not (i.indisvalid and i.indisready)
      order by x.relname
    ),
    'timeouts', (
      select jsonb_object_agg(r.rolname, (
        select split_part(s, '=', 2) from unnest(r.rolconfig) s where s like 'statement_timeout=%'
      ))
      from pg_roles r where r.rolname = any (array['authenticator'] || pixseek.caller_roles())
    ),
    'target', (
      select jsonb_build_object(
        'name', m.name,
        'age_s', extract(epoch from clock_timestamp() - m.created_at),
        'is_worked_on', exists (
          select from pixseek.work w where w.model_id = m.id and w.leased_until > clock_timestamp()
        )
      )
      from pixseek.models m where m.is_target
    ),
    'webhook', pixseek.webhook_here(salt),
    'storage', pixseek.storage_here()
  );
$$;

revoke execute on function
  pixseek.caller_roles, pixseek.functions_here, pixseek.tables_here, pixseek.partitions_here, pixseek.digest_of,
  pixseek.vault_here, pixseek.posts_here, pixseek.webhook_here, pixseek.storage_here, pixseek.migrations_here,
  public.doctor_v1
from public, anon, authenticated;
grant execute on function public.doctor_v1 to service_role;
