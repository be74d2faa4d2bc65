-- The registry of models: building → active → retired → dropped. Each has a partition and an index of its own.
--
-- PostgREST applies a function's own statement_timeout before it calls it: what works through many rows gets more
-- than the 8 seconds that Supabase gives.

-- Rather fail and be run again than make a live project wait.
set local lock_timeout = '5s';
set local statement_timeout = '60s';

select set_config('search_path', 'pg_catalog, ' || quote_ident(n.nspname), false)
from pg_catalog.pg_extension e
join pg_catalog.pg_namespace n on n.oid = e.extnamespace
where e.extname = 'vector';

-- The model of this name, or the active one for null.
create function pixseek.model_named(model_name text) returns pixseek.models
language plpgsql stable
set search_path = ''
as $$
declare
  model pixseek.models;
begin
  if model_name is null then
    select * into model from pixseek.models where state = 'active';
  else
    select * into model from pixseek.models where name = model_name and state <> 'dropped';
  end if;
  if not found then
    raise exception 'unknown model: %', coalesce(model_name, '(none is active)')
      using errcode = '42704', hint = 'list_models_v1 lists them; create_model_v1 registers one.';
  end if;
  return model;
end
$$;

-- Models and buckets are the registry. Who changes it takes turns, and waits for all calls that write images: so
-- nothing comes into an emptied partition, and states and owners follow the registry as it is. Taken first.
create function pixseek.lock_registry() returns void
language sql
set search_path = ''
as $$
  select pg_advisory_xact_lock(hashtextextended('pixseek.registry', 0));
$$;

create function pixseek.share_registry() returns void
language sql
set search_path = ''
as $$
  select pg_advisory_xact_lock_shared(hashtextextended('pixseek.registry', 0));
$$;

-- The same for a call that writes.
create function pixseek.model_for_writing(model_name text) returns pixseek.models
language plpgsql
set search_path = ''
as $$
begin
  perform pixseek.share_registry();
  return pixseek.model_named(model_name);
end
$$;

-- How many rows a call may ask for; refuses all else. Supabase caps rows at 1,000 and does not say so.
create function pixseek.checked_count(match_count integer) returns integer
language plpgsql immutable
set search_path = ''
as $$
begin
  if not coalesce(match_count between 1 and 1000, false) then
    raise exception 'match_count must be from 1 to 1000, not %', coalesce(match_count::text, 'null')
      using errcode = '22023', hint = 'search_images_v1 has pages: next_cursor.';
  end if;
  return match_count;
end
$$;

-- The names that a call asks about, answered by a row each; refuses more than such an answer may have.
create function pixseek.checked_names(object_names text[]) returns text[]
language plpgsql immutable
set search_path = ''
as $$
begin
  if not coalesce(cardinality(object_names) <= 1000, false) then
    raise exception 'object_names must be a list of at most 1000 names, not %',
      coalesce(cardinality(object_names)::text, 'null')
      using errcode = '22023', hint = 'Ask in several calls.';
  end if;
  return object_names;
end
$$;

-- A vector as it is stored and compared: of length 1. Refuses one that does not belong to the model's space
-- or points nowhere.
create function pixseek.unit_vector(embedding vector, model pixseek.models) returns halfvec
language plpgsql immutable
set search_path from current
as $$
declare
  unit halfvec;
begin
  if embedding is null or vector_dims(embedding) <> model.dimensions then
    raise exception 'the vector %; model % needs % dimensions',
      coalesce(format('has %s dimensions', vector_dims(embedding)), 'is null'), model.name, model.dimensions
      using errcode = '22023', hint = 'Embed with the model that the index uses.';
  end if;
  unit := l2_normalize(embedding)::halfvec;
  -- Not 1: the vector was zero, or so small or large that its length is.
  if not coalesce(l2_norm(unit) between 0.9 and 1.1, false) then
    raise exception 'the vector points nowhere, so nothing is near it (model %, % dimensions)',
      model.name, model.dimensions
      using errcode = '22023', hint = 'Its length is zero or out of range: embed again.';
  end if;
  return unit;
end
$$;

-- A model's empty partition. Made aside and attached last: `create table … partition of` would lock out
-- every search.
create function pixseek.create_partition(model pixseek.models) returns void
language plpgsql
set search_path from current
as $$
declare
  part text := format('vectors_%s', model.id);
begin
  execute format(
    'create table pixseek.%I (like pixseek.vectors including all, check (model_id = %s),
       check (vector_dims(embedding) = %s), check (l2_norm(embedding) between 0.9 and 1.1))',
    part, model.id, model.dimensions
  );
  -- Inside the row: an exact scan reads no second table.
  execute format('alter table pixseek.%I alter column embedding set storage main', part);
  execute format('alter table pixseek.%I enable row level security', part);
  execute format('alter table pixseek.vectors attach partition pixseek.%I for values in (%s)', part, model.id);
end
$$;

-- The index of a model's partition. Why these values: docs/decisions/0012-search-paths.md.
create function pixseek.create_vector_index(model pixseek.models) returns void
language plpgsql
set search_path from current
-- Parallel builds overflow before pgvector 0.8.2, and Supabase hosts 0.8.0.
set max_parallel_maintenance_workers = 0
as $$
begin
  execute format(
    'create index on pixseek.%I using hnsw ((embedding::halfvec(%s)) halfvec_ip_ops)
     with (m = 20, ef_construction = 256)',
    format('vectors_%s', model.id), model.dimensions
  );
end
$$;

-- Registers a model; asking again for the same one changes nothing. The first model becomes active at once.
-- Security definer, because it makes tables; only service_role may call it.
create function public.create_model_v1(
  model_name text,
  model_dimensions integer,
  model_similarity_floor double precision default 0.2,
  model_languages text[] default '{}'
) returns void
language plpgsql security definer
set search_path from current
set statement_timeout = '60s'
as $$
declare
  model pixseek.models;
begin
  if coalesce(model_name, '') = '' or model_languages is null then
    raise exception 'a model needs a name, and languages, which may be none'
      using errcode = '22023', hint = 'Name it after its weights.';
  elsif not coalesce(model_dimensions in (384, 512, 640, 768, 1024), false) then
    raise exception 'model % cannot have % dimensions', model_name, coalesce(model_dimensions::text, 'null')
      using errcode = '22023', hint = 'One of 384, 512, 640, 768, 1024.';
  elsif not coalesce(model_similarity_floor between -1 and 1, false) then
    raise exception 'the similarity floor of a model must be from -1 to 1, not %',
      coalesce(model_similarity_floor::text, 'null')
      using errcode = '22023', hint = 'Leave it out to get the default.';
  end if;
  perform pixseek.lock_registry();
  select * into model from pixseek.models where name = model_name;
  if found and model.dimensions <> model_dimensions then
    raise exception 'model % has % dimensions, not %', model_name, model.dimensions, model_dimensions
      using errcode = '22023', hint = 'Other weights need another model name.';
  elsif found and model.state <> 'dropped' then
    return;
  end if;

  insert into pixseek.models as m (name, dimensions, similarity_floor, languages)
  values (model_name, model_dimensions, model_similarity_floor, model_languages)
  on conflict (name) do update set
    similarity_floor = excluded.similarity_floor, languages = excluded.languages, state = 'building',
    created_at = now(), retired_at = null
  returning * into model;
  -- A dropped model may have left its shell, in place or detached.
  if not exists (
    select from pg_catalog.pg_inherits h
    where h.inhrelid = to_regclass(format('pixseek.vectors_%s', model.id)) and not h.inhdetachpending
  ) then
    execute format('drop table if exists pixseek.%I', format('vectors_%s', model.id));
    perform pixseek.create_partition(model);
    perform pixseek.create_vector_index(model);
    perform pixseek.create_scan(model);
  end if;
  if not exists (select from pixseek.models where state = 'active') then
    perform pixseek.make_active(model);
  end if;
end
$$;

-- Where each live picture stands under the active model. What failed without ever coming to a model (it is no
-- picture) is not among them.
create view pixseek.standings with (security_invoker = true) as
select
  i.id as image_id,
  case when v.image_id is not null then 'indexed' when w.is_failed then 'failed' else 'pending' end as state,
  case when v.image_id is null and w.is_failed then w.reason end as reason
from pixseek.images i
-- A subquery, so that only the active model's partition is read.
left join pixseek.vectors v
  on v.image_id = i.id and v.model_id = (select m.id from pixseek.models m where m.state = 'active')
left join pixseek.work w
  on w.image_id = i.id and w.model_id = (select m.id from pixseek.models m where m.state = 'active')
where i.state in ('pending', 'indexed')
  or (i.state = 'failed' and exists (select from pixseek.work f where f.image_id = i.id and f.is_failed));

-- Pictures whose state is not what it says there.
create view pixseek.unsettled with (security_invoker = true) as
select s.image_id
from pixseek.standings s
join pixseek.images i on i.id = s.image_id
where i.state <> s.state or i.reason is distinct from s.reason;

-- The pictures that a model has no vector of, and why.
create function pixseek.gaps(of_model_id integer)
returns table (image_id bigint, is_failed boolean, reason text)
language sql stable
set search_path = ''
as $$
  select s.image_id, coalesce(w.is_failed, false), w.reason
  from pixseek.standings s
  left join pixseek.work w on w.image_id = s.image_id and w.model_id = of_model_id
  where not exists (select from pixseek.vectors v where v.image_id = s.image_id and v.model_id = of_model_id);
$$;

-- How much of the index a model covers: live pictures with a vector, those still without, and those that
-- failed for good under it. coverage = vectors / (vectors + missing), 1 for an empty index.
create function public.model_coverage_v1(model_name text)
returns table (coverage double precision, vectors bigint, missing bigint, failed bigint)
language plpgsql stable
set search_path = ''
set statement_timeout = '60s'
as $$
declare
  model pixseek.models := pixseek.model_named(model_name);
  covered bigint := (
    select count(*) from pixseek.vectors v
    join pixseek.images i on i.id = v.image_id and i.state not in ('blocked', 'deleted')
    where v.model_id = model.id
  );
begin
  return query
  select coalesce(covered / nullif(covered + g.missing, 0)::double precision, 1), covered, g.missing, g.failed
  from (
    select count(*) filter (where not is_failed) as missing, count(*) filter (where is_failed) as failed
    from pixseek.gaps(model.id)
  ) g;
end
$$;

-- The pictures that a model does not cover: missing, or failed with the reason.
create function public.model_gaps_v1(model_name text, match_count integer)
returns table (bucket text, image text, state text, reason text)
language plpgsql stable
set search_path = ''
set statement_timeout = '60s'
as $$
declare
  model pixseek.models := pixseek.model_named(model_name);
begin
  return query
  select i.bucket, i.name, case when g.is_failed then 'failed' else 'missing' end, g.reason
  from pixseek.gaps(model.id) g
  join pixseek.images i on i.id = g.image_id
  order by g.is_failed, g.image_id
  limit pixseek.checked_count(match_count);
end
$$;

-- Locks images in the one order that all calls share, so that they wait for each other and never deadlock.
create function pixseek.lock_images(image_ids bigint[]) returns void
language sql
set search_path = ''
as $$
  select from pixseek.images i where i.id = any (image_ids) order by i.bucket, i.name for no key update;
$$;

-- Brings the state of some live images in line with what the active model has of them.
create function pixseek.settle(image_ids bigint[]) returns void
language plpgsql
set search_path = ''
as $$
declare
  unsettled bigint[] := array(select u.image_id from pixseek.unsettled u where u.image_id = any (image_ids));
begin
  perform pixseek.lock_images(unsettled);
  update pixseek.images i set state = s.state, reason = s.reason, updated_at = now()
  from pixseek.standings s
  where s.image_id = i.id and i.id = any (unsettled);
end
$$;

-- Two statements: one that retires and activates at once breaks on the index that allows one active model.
create function pixseek.make_active(model pixseek.models) returns void
language plpgsql
set search_path = ''
as $$
begin
  update pixseek.models set state = 'retired', retired_at = clock_timestamp() where state = 'active';
  update pixseek.models set state = 'active', retired_at = null where id = model.id;
  -- The guide's clients embed with the first of their length, and go on with it until they are changed.
  update pixseek.guide set model_id = model.id where model_id is null and model.dimensions = 512;
  perform pixseek.settle(array(select u.image_id from pixseek.unsettled u));
end
$$;

-- Makes a model the one that searches use, in one transaction, if it covers the index. The model that was
-- active before comes back at once, whatever it covers: that is the way back from a bad model.
create function public.activate_model_v1(model_name text, min_coverage double precision default 0.999)
returns void
language plpgsql
set search_path = ''
set statement_timeout = '60s'
as $$
declare
  model pixseek.models;
  covers record;
begin
  if model_name is null or not coalesce(min_coverage between 0 and 1, false) then
    raise exception 'activate_model_v1 needs a model and a coverage from 0 to 1'
      using errcode = '22023', hint = 'list_models_v1 lists the models.';
  end if;
  perform pixseek.lock_registry();
  model := pixseek.model_named(model_name);
  if model.state = 'active' then
    return;
  end if;
  if not coalesce(model.retired_at = (select max(m.retired_at) from pixseek.models m), false) then
    select * into covers from public.model_coverage_v1(model_name);
    if covers.coverage < min_coverage then
      raise exception 'model % covers % %% of the pictures, and the gate is % %% (missing: %, failed: %)',
        model_name, trim_scale(trunc(100 * covers.coverage::numeric, 2)),
        trim_scale(100 * min_coverage::numeric), covers.missing, covers.failed
        using errcode = '55000', hint = 'Embed the missing ones first (claim_images_v1 hands them out).',
          detail = (
            select string_agg(format('%s: %s/%s%s', g.state, g.bucket, g.image, ' (' || g.reason || ')'), E'\n')
            from public.model_gaps_v1(model_name, 20) g
          ) || case
            when covers.missing + covers.failed > 20
            then format(E'\nand %s more: model_gaps_v1 lists them', covers.missing + covers.failed - 20)
            else ''
          end;
    end if;
  end if;
  perform pixseek.make_active(model);
end
$$;

-- Empties a model's partition and gives the space back. Its empty shell stays: a partition can only be
-- detached without blocking searches outside a function (docs/architecture.md).
-- Security definer, because it truncates; only service_role may call it.
create function public.drop_model_v1(model_name text) returns void
language plpgsql security definer
set search_path = ''
set statement_timeout = '60s'
-- It waits for whoever reads or writes this model's vectors, and they wait behind it: better to fail and come back.
set lock_timeout = '5s'
as $$
declare
  model pixseek.models;
begin
  if model_name is null then
    raise exception 'drop_model_v1 needs a model' using errcode = '22023', hint = 'list_models_v1 lists them.';
  end if;
  begin
    perform pixseek.lock_registry();
    model := pixseek.model_named(model_name);
    if model.state = 'active' then
      raise exception 'model % is active: searches use it', model_name
        using errcode = '55000', hint = 'Activate another model first.';
    end if;
    update pixseek.models set state = 'dropped', retired_at = null where id = model.id;
    execute format('truncate pixseek.%I', format('vectors_%s', model.id));
  exception when lock_not_available then
    raise exception 'model % is in use', model_name
      using errcode = '55P03', hint = 'Try again when its searches and writes have ended; nothing was changed.';
  end;
  delete from pixseek.work where model_id = model.id;
  delete from pixseek.leases where model_id = model.id;
  delete from pixseek.queries where model_id = model.id;
end
$$;

create function public.list_models_v1()
returns table (name text, dimensions integer, similarity_floor double precision, languages text[], state text,
               vectors bigint, is_guides boolean)
language sql stable
set search_path = ''
as $$
  select m.name, m.dimensions, m.similarity_floor, m.languages, m.state,
         (select count(*) from pixseek.vectors v where v.model_id = m.id),
         exists (select from pixseek.guide g where g.model_id = m.id)
  from pixseek.models m
  order by m.id;
$$;

revoke all on pixseek.standings, pixseek.unsettled from anon, authenticated, public;
grant select on pixseek.standings, pixseek.unsettled to service_role;
revoke execute on all functions in schema pixseek from public;
revoke execute on function
  public.create_model_v1, public.model_coverage_v1, public.model_gaps_v1, public.activate_model_v1,
  public.drop_model_v1, public.list_models_v1
from public, anon, authenticated;
grant execute on function
  public.create_model_v1, public.model_coverage_v1, public.model_gaps_v1, public.activate_model_v1,
  public.drop_model_v1, public.list_models_v1,
  pixseek.checked_names, pixseek.lock_registry, pixseek.share_registry, pixseek.model_for_writing,
  pixseek.lock_images, pixseek.settle, pixseek.gaps, pixseek.make_active
to service_role;
grant execute on function pixseek.model_named, pixseek.unit_vector, pixseek.checked_count
to anon, authenticated, service_role;

reset search_path;
